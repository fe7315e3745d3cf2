"""Document formats: one module per format, found by being there.

A format module defines

- `MEDIA_TYPES`: media type -> file extensions, the usual one first;
- `parse(path) -> Iterator[Block]`, which imports its heavy libraries inside, so that listing types costs
  nothing;
- for one whose pages can be shown, `render(path, number, width)` and `boxes(path, number, quote, where)`; its `parse`
  takes an `Ocr`, too, which reads the pages that are pictures;
- for a binary format, `recognise(head) -> str | None`: the media type if a file that starts so is one of its;
- for one that is kept in a zip, `MEMBERS`: how the names of members begin that no other format has, in lower case. If
  the zip declares a media type of its own, as OpenDocument does, that one counts and `MEMBERS` may be empty;
- for a container of files, `unpack(path) -> Iterator[tuple[str, Iterator[bytes]]]`: their names and bytes in pieces.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from footnote.formats._pages import COLUMNS_CHARACTERS, PAGE_CHARACTERS, Block, Guess, Page, Scan, Section, paginate

__all__ = [
    "COLUMNS_CHARACTERS",
    "PAGE_CHARACTERS",
    "Block",
    "Guess",
    "Page",
    "Scan",
    "Section",
    "has_pictures",
    "is_container",
    "module_for",
    "modules",
    "paginate",
    "supported",
]


@cache
def modules() -> tuple[ModuleType, ...]:
    """The format modules, by name."""
    rooms = [f"{__name__}.{room}" for room in ("markup", "office", "pdf", "plain")]
    found = [
        (each.name, f"{room}.{each.name}")
        for room in rooms
        for each in pkgutil.iter_modules(importlib.import_module(room).__path__)
        if not each.name.startswith("_")
    ]
    return tuple(importlib.import_module(path) for _, path in sorted(found))


def module_for(media_type: str) -> ModuleType:
    """The module that reads a media type; `KeyError` if none does."""
    for module in modules():
        if media_type in module.MEDIA_TYPES:
            return module
    raise KeyError(media_type)


@cache
def supported() -> dict[str, tuple[str, ...]]:
    """Every media type that can be read, and its file extensions."""
    return {kind: extensions for module in modules() for kind, extensions in module.MEDIA_TYPES.items()}


def has_pictures(media_type: str) -> bool:
    """Whether its pages can be shown as people see them, with quotes marked on them."""
    return hasattr(module_for(media_type), "render")


def is_container(media_type: str) -> bool:
    """Whether there are files in it that become documents of their own."""
    return hasattr(module_for(media_type), "unpack")
