"""Identifiers: a prefix that names the kind and 26 characters that sort by time of creation."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread


def new_id(prefix: str) -> str:
    """`doc_01jd...`: 48 bits of milliseconds, then 80 random bits (the layout of a ULID)."""
    return _id(prefix, time.time_ns() // 1_000_000, secrets.randbits(80))


def first_id(prefix: str, age: float) -> str:
    """Below every id of the kind that was made in the last `age` seconds, and above all that were made before."""
    return _id(prefix, time.time_ns() // 1_000_000 - round(1000 * age), 0)


def _id(prefix: str, milliseconds: int, random: int) -> str:
    number = milliseconds << 80 | random
    return prefix + "_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))
