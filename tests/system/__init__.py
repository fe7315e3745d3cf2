"""The running product: driven, killed and frozen, given hostile input."""
