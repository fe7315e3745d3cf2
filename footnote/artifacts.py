"""What the chunk step hands to the next two: pages with their chunks, one JSON line a page.

It lies in the store, not in Postgres, so that a version becomes visible in one transaction; it is written and read
a page at a time, so that memory does not grow with the document.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from footnote.chunking import Chunk
from footnote.formats import Page
from footnote.text import clean


@dataclass(frozen=True)
class Extracted:
    """A page's number and stored text, and its chunks in order."""

    number: int
    text: str
    chunks: list[Chunk]


def key(job_id: str, token: int) -> str:
    """The token keeps a worker that lost its lease from writing over its successor's artifact."""
    return f"artifacts/{job_id}-{token}.jsonl"


def dump(page: Page, chunks: list[Chunk]) -> bytes:
    anchors = [[chunk.char_start, chunk.char_end, [clean(name) for name in chunk.heading]] for chunk in chunks]
    line = json.dumps({"number": page.number, "text": page.text, "chunks": anchors}, ensure_ascii=False)
    return line.encode() + b"\n"


def _load(line: bytes) -> Extracted:
    page = json.loads(line)
    number, text = page["number"], page["text"]
    return Extracted(
        number,
        text,
        [Chunk(number, start, end, tuple(heading), text[start:end]) for start, end, heading in page["chunks"]],
    )


def read(path: Path) -> Iterator[Extracted]:
    with path.open("rb") as file:
        for line in file:
            yield _load(line)
