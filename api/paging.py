"""Lists that are answered page by page: their parameters, and the page."""

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import AfterValidator

from api.schemas.common import PageOf
from api.schemas.fields import Plain
from footnote.errors import Invalid

Row = TypeVar("Row")
Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=100, description="Maximum number of items in one page.")]


def _from(ids: str) -> AfterValidator:
    """Checks a cursor, which is the id of the last item. Raises Invalid(invalid_cursor) if it is none of `ids`."""
    theirs = re.compile(ids)

    def checked(given: str | None) -> str | None:
        if given is not None and not theirs.fullmatch(given):
            raise Invalid("invalid_cursor", "The cursor is not one of this list.")
        return given

    return AfterValidator(checked)


_given = Query(max_length=64, description="`next_cursor` of the previous page. Leave it out to get the first page.")
_ID = "_[0-9a-z]{26}"
AuditCursor = Annotated[Plain | None, _given, _from("aud_[0-9a-f]{26}")]
ChunkCursor = Annotated[Plain | None, _given, _from("[0-9]{1,9}")]
CollectionCursor = Annotated[Plain | None, _given, _from("col" + _ID)]
ConversationCursor = Annotated[Plain | None, _given, _from("cnv" + _ID)]
DeliveryCursor = Annotated[Plain | None, _given, _from("whd" + _ID)]
DocumentCursor = Annotated[Plain | None, _given, _from("doc" + _ID)]
EndpointCursor = Annotated[Plain | None, _given, _from("whe" + _ID)]
JobCursor = Annotated[Plain | None, _given, _from("job" + _ID)]
KeyCursor = Annotated[Plain | None, _given, _from("key" + _ID)]
MessageCursor = Annotated[Plain | None, _given, _from("msg" + _ID)]
RefusalCursor = Annotated[Plain | None, _given, _from("ref" + _ID)]


def page(
    rows: Sequence[Row], limit: int, render: Callable[[Row], Item], cursor: Callable[[Row], Any] = attrgetter("id")
) -> PageOf[Item]:
    """The first `limit` of the rows. Read `limit + 1` of them: the additional one means that there is another page."""
    shown = rows[:limit]
    more = str(cursor(shown[-1])) if len(rows) > limit else None
    return PageOf(data=[render(each) for each in shown], next_cursor=more)
