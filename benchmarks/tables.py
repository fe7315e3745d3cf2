"""Tables that read well on a terminal and in Markdown."""

from collections.abc import Iterator, Sequence

Row = Sequence[str]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines; the first row is the head. All rows are of one length."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
