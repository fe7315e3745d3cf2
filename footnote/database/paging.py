"""Pages of lists, newest first, read in the order of an index whatever else a tenant has.

The rows of a page are found before anything is joined to them. Row-level security repeats the tenant in a condition on
each joined table, so Postgres expects few rows of many: it would join all of them, and then sort.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import CTE, Select, UnaryExpression, select, union_all
from sqlalchemy.orm import InstrumentedAttribute


def newest_first(column: InstrumentedAttribute[str]) -> UnaryExpression[str]:
    """The order that only indexes for lists have: see `models.base.newest_first`."""
    return column.desc().nulls_last()


def page_of(
    ids: Select[str], column: InstrumentedAttribute[str], limit: int, before: str | None, offset: int = 0
) -> CTE:
    """The newest of the selected ids, in a column `id`; `column`: what they are ordered by, older than `before`."""
    return _named(_newest(ids, column, limit, before).offset(offset))


def page_of_each(
    ids_of: Callable[[str], Select[str]],
    states: Iterable[str],
    column: InstrumentedAttribute[str],
    limit: int,
    before: str | None,
    offset: int = 0,
) -> CTE:
    """The newest of the ids in any of the states: the index is read once for each, no further than the page."""
    pages = [_newest(ids_of(state), column, limit + offset, before).subquery() for state in states]
    found = union_all(*(select(each.c[0].label("id")) for each in pages)).subquery()
    return _named(select(found.c.id).order_by(found.c.id.desc()).offset(offset).limit(limit))


def _newest(ids: Select[str], column: InstrumentedAttribute[str], limit: int, before: str | None) -> Select[str]:
    older = ids.where(column < before) if before else ids
    return older.order_by(newest_first(column)).limit(limit)


def _named(ids: Select[str]) -> CTE:
    found: Any = ids.subquery()
    return select(found.c[0].label("id")).cte("page").prefix_with("MATERIALIZED")
