"""The HTTP API: a thin layer over `footnote`."""
