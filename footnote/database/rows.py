"""Statements that are judged by how many rows they change."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncSession


async def affected(session: AsyncSession, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
    """Executes an INSERT, UPDATE or DELETE. Returns the number of rows."""
    done = await session.execute(statement, values)
    assert isinstance(done, CursorResult)
    return done.rowcount
