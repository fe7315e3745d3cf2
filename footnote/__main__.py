"""`python -m footnote` is the command `footnote`."""

from footnote.cli import main

main()
