"""What a hostile file is, and all of them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hostile:
    """A file by name, how its bytes are made, and the outcomes that are right: `ready`, or a code of ours."""

    name: str
    make: Callable[[], bytes]
    outcomes: set[str]
    heavy: bool = False  # takes seconds to make or to refuse: thrown at the product only


def everything() -> list[Hostile]:
    from tests.hostile import packed, pdfs, texts

    return [*pdfs.FILES, *packed.FILES, *texts.FILES]
