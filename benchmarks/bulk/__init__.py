"""`make bench BULK=1`: Footnote through its HTTP API beside a raw floor that does the least that must be done."""
