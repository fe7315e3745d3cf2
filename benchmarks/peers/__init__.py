"""`make peers`: the same documents through other libraries, beside the floor and Footnote in one run.

`with_*.py` run in a virtual environment of their own (requirements/peers.txt), each in a process of its own.
"""
