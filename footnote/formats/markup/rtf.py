"""Rich text (.rtf): headings by style or outline level, lists, tables, footnotes at the end."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.markup._rtf import Paragraph, Reader
from footnote.formats.markup._rtf_words import TOKEN
from footnote.formats.office import _tables
from footnote.formats.plain.txt import read_bytes

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"application/rtf": (".rtf",)}


def recognise(head: bytes) -> str | None:
    return "application/rtf" if head.lstrip().startswith(b"{\\rtf") else None


def parse(path: Path) -> Iterator[Block]:
    yield from blocks(read_bytes(path))


def blocks(data: bytes) -> Iterator[Block]:
    """A block per paragraph; items and rows that follow each other share one."""
    above: list[tuple[int, str]] = []
    lines: list[Paragraph] = []
    notes: list[str] = []
    shared = ""
    for paragraph in _paragraphs(data):
        if paragraph.kind == "note":
            notes.append(paragraph.text)
            continue
        if lines and not (shared and shared == paragraph.kind):
            yield _block(lines, above)
            lines = []
        shared = paragraph.kind
        if paragraph.level is not None:
            title = " ".join(paragraph.text.split())
            above = [each for each in above if each[0] < paragraph.level] + [(paragraph.level, title)]
        lines.append(paragraph)
    yield _block(lines, above)
    yield Block("\n".join(notes), heading=("Footnotes",))


def _block(lines: list[Paragraph], above: list[tuple[int, str]]) -> Block:
    """Paragraphs of one kind: items or rows that follow each other, or one of another kind."""
    heading = tuple(title for _, title in above)
    if lines and lines[0].kind == "row":
        headed = sum(1 for _ in takewhile(lambda row: row.header, lines))
        rows = [[_tables.Cell(cell) for cell in row.cells] for row in lines]
        text, columns = _tables.text(rows, headed)
        return Block(text, heading=heading, columns=columns)
    return Block("\n".join(f"- {one.text}" if one.kind == "item" else one.text for one in lines), heading=heading)


def _paragraphs(data: bytes) -> Iterator[Paragraph]:
    """Raises `type_mismatch` for what is no RTF, `corrupt_file` if the document is not closed."""
    if not recognise(data[:1024]):
        raise DocumentRejected("type_mismatch")
    reader = Reader()
    position = data.index(b"{")
    while match := TOKEN.match(data, position):
        position = match.end()
        if match["word"] == b"bin":
            position += max(int(match["number"] or 0), 0)
        reader.take(match)
        yield from reader.finished
        reader.finished.clear()
        if not reader.outer:
            break
    if reader.outer:
        raise DocumentRejected("corrupt_file", "The file ends in the middle.")
    reader.end_paragraph()
    yield from reader.finished
