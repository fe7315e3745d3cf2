"""Plain text and its encodings, delimited values, JSON, mail, archives."""
