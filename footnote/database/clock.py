"""The database's clock, the only one that leases and retries go by."""

from typing import Any

from sqlalchemy import func
from sqlalchemy.sql.elements import ColumnElement


def from_now(seconds: float) -> ColumnElement[Any]:
    """A time `seconds` after the transaction began; before it, when negative."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
