"""Faults: the product as shipped, killed and frozen while it works, and then held against what it promises.

`python -m tests.system.faults --scenario storm --seed 1`; needs Linux (it asks /proc who serves what).
"""
