"""The lines at the top and bottom of a PDF's page that white space parts from its text: running lines stand there."""

from itertools import count, pairwise
from statistics import median_low
from typing import NamedTuple

from footnote.formats.pdf._boxes import Box, TextLine
from footnote.formats.pdf._running_lines import Margin
from footnote.formats.pdf._text import PageText

_DEPTH = 3  # rows
_SHARE = 0.2  # of the page's height, at its top and at its bottom
_GAP = 0.4  # how much more than between lines of text, in parts of a line's height
_LARGE = 1.3  # a line this much higher than most is a title


class _Row(NamedTuple):
    """Lines beside each other, as shares of the page's height from its bottom."""

    bottom: float
    top: float
    texts: list[str]


def margins(text: PageText, page: Box, number: int) -> list[Margin]:
    """The candidates of a page, the outermost first at either edge."""
    rows = _rows(text, page)
    if len(rows) < 2:
        return []
    gaps = [above.bottom - below.top for above, below in pairwise(rows)]
    usual, height = median_low(gaps), median_low([row.top - row.bottom for row in rows])
    wide = [gap > max(usual, 0) + _GAP * height for gap in gaps]
    found = []
    for at_top, ordered, parted in ((True, rows, wide), (False, rows[::-1], wide[::-1])):
        outer = [row for row in ordered[:_DEPTH] if (row.bottom > 1 - _SHARE if at_top else row.top < _SHARE)]
        deepest = max((deep for deep, gap in zip(count(1), parted[: len(outer)], strict=False) if gap), default=0)
        for depth, row in enumerate(outer[:deepest]):
            if row.top - row.bottom > _LARGE * height:
                break
            found += [Margin(number, line, at_top, depth, row.bottom) for line in row.texts]
    return found


def _rows(text: PageText, page: Box) -> list[_Row]:
    """From top to bottom."""
    height = page.top - page.bottom
    rows: list[tuple[Box, list[TextLine]]] = []
    for line in sorted(text.lines, key=lambda line: -line.first.bottom):
        box = line.first.around(line.last)
        if rows and rows[-1][0].beside(box):
            rows[-1] = rows[-1][0].around(box), [*rows[-1][1], line]
        else:
            rows.append((box, [line]))
    return [
        _Row(
            (box.bottom - page.bottom) / height,
            (box.top - page.bottom) / height,
            [text.text[line.start : line.end] for line in lines],
        )
        for box, lines in rows
        if height > 0
    ]
