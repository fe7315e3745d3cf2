"""Rows: how many a statement changes, and those that the driver fetches."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, CursorResult, Executable, inspect
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.models import Base

Row = TypeVar("Row", bound=Base)


async def affected(session: AsyncSession, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
    """Executes an INSERT, UPDATE or DELETE. Returns the number of rows."""
    done = await session.execute(statement, values)
    assert isinstance(done, CursorResult)
    return done.rowcount


class RowReader(Generic[Row]):
    """Makes objects of the rows that the driver fetched. They belong to no session: what is set in them is not written.

    `columns` is what a statement selects for one, from the table or from what it calls `alias`. `names`: only these
    attributes.
    """

    def __init__(self, table: type[Row], alias: str = "", *, names: Sequence[str] = ()) -> None:
        found = {each.key: each for each in inspect(table).column_attrs}
        attributes = [found[name] for name in names or found]
        alias = alias or table.__tablename__
        self._table = table
        self._names = [each.key for each in attributes]
        columns = [each.expression for each in attributes]
        self.columns = ", ".join(f"{alias}.{each.name}" if isinstance(each, Column) else str(each) for each in columns)

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self._names)

    def read(self, values: Sequence[Any]) -> Row:
        row = self._table()
        # Without SQLAlchemy's events, which cost more than the statement.
        vars(row).update(zip(self._names, values, strict=True))
        return row
