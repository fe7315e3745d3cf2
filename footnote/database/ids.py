"""Identifiers: a prefix that names the kind and 26 characters that sort by time of creation."""

import secrets
import time
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread


def new_id(prefix: str) -> str:
    """`doc_01jd...`: 48 bits of milliseconds, then 80 random bits (the layout of a ULID)."""
    return _written(prefix, (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80))


def first_id(prefix: str, moment: datetime) -> str:
    """Sorts before all ids that were created since that time."""
    return _written(prefix, round(moment.timestamp() * 1000) << 80)


def derived_id(prefix: str, other: str, number: int) -> str:
    """An id with the time of the id `other`, and `number` (80 bits) in place of the random bits."""
    moment = 0
    for character in other.rpartition("_")[2][:10]:
        moment = moment << 5 | max(0, _ALPHABET.find(character))
    return _written(prefix, (moment & (1 << 48) - 1) << 80 | number)


def _written(prefix: str, number: int) -> str:
    return prefix + "_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))
