"""Files made to break what reads them: `files.py` makes them, `make hostile` throws them at the running product."""
