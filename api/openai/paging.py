"""Lists as OpenAI's clients page through them: `after` and `before` are ids, `has_more` ends the loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import Depends, Query
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from api.openai.schemas.common import ListOf
from api.schemas.fields import Plain


class Identified(Protocol):
    @property
    def id(self) -> str: ...


Named = TypeVar("Named", bound=Identified)
Row = TypeVar("Row")
Item = TypeVar("Item")
Selected = TypeVar("Selected")
Order = Literal["asc", "desc"]
Cursor = Annotated[Plain | None, Query(max_length=64)]


@dataclass(frozen=True)
class Window:
    """The requested part of a list. Ids sort by their creation time."""

    limit: int
    order: Order = "desc"
    after: str | None = None
    before: str | None = None

    def inner(self, own: Callable[[str, str], str]) -> "Window":
        """With our own ids. `own` gets an id and the name of its parameter, and raises Invalid."""
        after = own(self.after, "after") if self.after else None
        before = own(self.before, "before") if self.before else None
        return replace(self, after=after, before=before)

    @property
    def between(self) -> dict[str, Any]:
        """The rows to read, for functions that list: one more than the limit, between two ids."""
        low, high = (self.before, self.after) if self.order == "desc" else (self.after, self.before)
        return {"limit": self.limit + 1, "low": low, "high": high, "descends": self.descends}

    @property
    def is_backwards(self) -> bool:
        """Whether rows are read towards the beginning of the list: the nearest ones before an id."""
        return self.before is not None and self.after is None

    @property
    def descends(self) -> bool:
        """Whether rows are read from high ids to low ones."""
        return (self.order == "desc") != self.is_backwards

    def of(self, query: Select[Selected], column: InstrumentedAttribute[str]) -> Select[Selected]:
        """The rows to read: one more than the limit, in the order of the window, by the id in `column`."""
        between = self.between
        if between["low"]:
            query = query.where(column > between["low"])
        if between["high"]:
            query = query.where(column < between["high"])
        return query.order_by(column.desc().nulls_last() if self.descends else column).limit(self.limit + 1)

    def among(self, items: Sequence[Named]) -> list[Named]:
        """The same of items that are all there, in any order."""
        low, high = (self.before, self.after) if self.order == "desc" else (self.after, self.before)
        chosen = [each for each in items if (low is None or each.id > low) and (high is None or each.id < high)]
        return sorted(chosen, key=lambda each: each.id, reverse=self.descends)[: self.limit + 1]

    def page(self, rows: Sequence[Row], render: Callable[[Row], Item]) -> ListOf[Item]:
        """The first `limit` of the rows that `of` selects."""
        shown = rows[: self.limit]
        return listed([render(each) for each in (shown[::-1] if self.is_backwards else shown)], len(rows) > self.limit)


def listed(items: Sequence[Any], has_more: bool = False) -> ListOf[Any]:
    """A page of items that have ids. Strict clients refuse null as the id of an empty page."""
    first, last = (items[0].id, items[-1].id) if items else ("", "")
    return ListOf(data=list(items), first_id=first, last_id=last, has_more=has_more)


def window(most: int = 100, default: int = 20) -> Any:
    """The dependency of a route that lists."""

    def asked(
        limit: Annotated[int, Query(ge=1, le=most)] = default,
        order: Order = "desc",
        after: Cursor = None,
        before: Cursor = None,
    ) -> Window:
        return Window(limit, order, after or None, before or None)

    return Depends(asked)


Windowed = Annotated[Window, window()]
