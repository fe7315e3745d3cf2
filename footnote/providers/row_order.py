"""Which row of an answer belongs to which text: rows may have an `index`, which some servers leave out."""

from collections.abc import Sequence
from typing import Any

from footnote.errors import Unavailable


def rows_of_texts(indexes: Sequence[Any], count: int) -> list[int]:
    """The row of each of `count` texts.

    Rows are in the order of the texts where none has an index, where all have the same (0 everywhere), and where those
    that have one are at its place. Servers that leave out zeros name every row but the first text's.
    Raises Unavailable(provider_bad_response) for indexes that contradict each other, and says how.
    """
    if len(indexes) != count:
        raise _contradiction(f"{len(indexes)} vectors for {count} texts")
    given = [index for index in indexes if index is not None]
    if odd := [index for index in given if type(index) is not int]:
        raise _contradiction(f"a vector with the index {odd[0]!r:.20}, which is not a whole number")
    if len(set(given)) <= 1 and (len(given) != 1 or count == 1):
        return list(range(count))
    if outside := [index for index in given if not 0 <= index < count]:
        raise _contradiction(f"a vector with the index {outside[0]:.20g} for {count} texts")
    if len(set(given)) < len(given):
        twice = next(index for index in given if given.count(index) > 1)
        raise _contradiction(f"{given.count(twice)} vectors with the index {twice}")
    named = [place if index is None else index for place, index in enumerate(indexes)]
    if len(given) == count - 1 and 0 not in given:
        named = [index or 0 for index in indexes]
    if len(set(named)) < count:
        raise _contradiction("some vectors without an index, and others out of their order")
    return [row for _, row in sorted(zip(named, range(count), strict=True))]


def _contradiction(what: str) -> Unavailable:
    return Unavailable("provider_bad_response", f"The provider sent {what}.")
