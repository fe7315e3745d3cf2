"""Faults: the product as shipped, killed and frozen while it works; then its promises are checked.

`python -m tests.system.faults --scenario storm --seed 1`; needs Linux (it asks /proc who serves what).
"""
