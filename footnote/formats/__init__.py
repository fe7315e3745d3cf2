"""Document formats: one module per format, found by being there.

A format module defines `MEDIA_TYPES` (media type -> file extensions) and `parse(path) -> Iterator[Block]`, and
imports its heavy libraries inside `parse`, so that listing types costs nothing.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Block:
    """A piece of a document's text, in reading order.

    `page` counts from 1 and never decreases; a format without pages has one. `heading` is the path of headings
    above the block, outermost first.
    """

    text: str
    page: int = 1
    heading: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """The characters `start:end` of a page's text that stand under one heading path."""

    start: int
    end: int
    heading: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A page's stored text and the sections that tile it."""

    number: int
    text: str
    sections: list[Section] = field(default_factory=list)
