"""JSON (.json, .jsonl): names of objects as headings, values after their names, a paragraph per record."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.formats import Block
from footnote.formats.plain.txt import decode, read_bytes

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/json": (".json", ".geojson"),
    "application/x-ndjson": (".jsonl", ".ndjson"),
}

_SHORT_LIST = 200  # characters of a list that is written in one line


def parse(path: Path) -> Iterator[Block]:
    """A text that is no JSON is read as it stands."""
    text = decode(read_bytes(path))
    try:
        values = [_loaded(text)]
    except ValueError:
        try:
            values = [_loaded(line) for line in text.split("\n") if line.strip()]
        except ValueError:
            yield Block(text)
            return
    for value in values:
        yield from _blocks(value, ())


def _loaded(text: str) -> Any:
    """The value with its numbers as they are written."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _blocks(value: Any, path: tuple[str, ...]) -> Iterator[Block]:
    if isinstance(value, list):
        for item in value:
            yield Block("\n".join(_lines(item, "")), heading=path)
    elif isinstance(value, dict):
        own = {name: one for name, one in value.items() if not isinstance(one, dict) and not _has_records(one)}
        yield Block("\n".join(_lines(own, "")), heading=path)
        for name, one in value.items():
            if name not in own:
                yield from _blocks(one, (*path, " ".join(name.split())) if name.strip() else path)
    else:
        yield Block("\n".join(_lines(value, "")), heading=path)


def _has_records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _lines(value: Any, name: str) -> Iterator[str]:
    """A line per value, after the path to it; what is empty is left out."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _lines(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and _has_records(value):
        for number, one in enumerate(value, start=1):
            yield from _lines(one, f"{name}[{number}]")
    elif isinstance(value, list):
        items = [_shown(one) for one in value if _shown(one)]
        if sum(map(len, items)) <= _SHORT_LIST:
            yield from _lines(", ".join(items), name)
        else:
            yield from [f"{name}:"] if name else []
            yield from (f"- {item}" for item in items)
    elif _shown(value):
        yield f"{name}: {_shown(value)}" if name else _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
