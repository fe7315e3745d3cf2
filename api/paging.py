"""Lists that are answered page by page: their parameters, and the page."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, TypeVar

from fastapi import Query

from api.schemas.common import PageOf
from api.schemas.fields import Plain

Row = TypeVar("Row")
Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=100, description="The most items in one page.")]
Cursor = Annotated[
    Plain | None,
    Query(max_length=64, description="`next_cursor` of the page before. Leave it out to get the first page."),
]


def page(
    rows: Sequence[Row], limit: int, render: Callable[[Row], Item], cursor: Callable[[Row], Any] = attrgetter("id")
) -> PageOf[Item]:
    """The first `limit` of the rows. Read `limit + 1` of them: the additional one tells that there is another page."""
    shown = rows[:limit]
    more = str(cursor(shown[-1])) if len(rows) > limit else None
    return PageOf(data=[render(each) for each in shown], next_cursor=more)
