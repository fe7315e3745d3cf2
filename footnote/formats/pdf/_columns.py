"""Columns of prose that a page draws row by row: where they are, and their lines in the order they are read.

A gutter is a strip that is free over many rows. It also lies between the cells of a table, whose rows must stay whole;
lines of prose differ from cells in that they end because the next word did not fit. Cells of several such lines are
read one after the other, row by row.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from statistics import median
from typing import NamedTuple

from footnote.formats.pdf._boxes import Box

# Lengths in parts of a line's height.
GUTTER = 0.65
_WORD_GAPS = 2.0  # in gaps between words
_COLUMN = 8.0
_INDENT = 0.5
_SPACE = 0.3
_CELLS = 1.5  # apart within a column
_SAME_ROW = 0.3
_MOST_ROWS = 2_000
_TALL = 3.0  # a line that is turned

ROWS = 4  # of both columns, at least
_LEADINGS = 2.5  # from row to row, where something is between
# Parts of a column's width: the longest word, and what lines may lack of the width where letters were counted.
_FIRST_WORD, _SLACK = 0.4, 0.12
_RETURNS, _TABLES = 0.4, 0.34  # parts of the rows: how often drawing goes back to the first column; cells among prose
# Shares of a column's lines, of its characters, of its beginnings.
_ALIGNED, _WRAPPED, _LETTERS, _SMALL, _TOGETHER = 0.6, 0.65, 0.6, 0.25, 0.6
_DOTTED = 0.2  # of a column's lines, in tables of contents
_WORDS = 3.0  # on a line, or
_CHARACTERS = 10.0  # of a script without spaces
_LEADERS = re.compile(r"(?:[.·…_] ?){4,}")


class ColumnWord(NamedTuple):
    """A word of the page: its number, its offsets and its box, which is mirrored where lines start at the right."""

    text: str
    number: int
    start: int
    end: int
    box: Box


Piece = list[ColumnWord]  # a line, or what of it is in one column


class _Row(NamedTuple):
    """Words on one height from left to right, and the numbers of the lines they are drawn in."""

    words: list[ColumnWord]
    lines: list[int]


class _Column(NamedTuple):
    """Its piece of each row, which may be empty, and the rows that begin something and continue no sentence."""

    pieces: list[Piece]
    begins: set[int]


def in_reading_order(lines: Sequence[Piece]) -> list[Piece]:
    """The lines, with those of columns cut at the gutters and put column by column; all others where they were."""
    pieces = [piece for line in lines for piece in _level(line)]
    upright = [index for index, piece in enumerate(pieces) if _height(piece) < _TALL * _em(piece)]
    if not ROWS <= len(upright) <= _MOST_ROWS:
        return list(lines)
    em = median(_em(pieces[index]) for index in upright)
    gaps = [b.box.left - a.box.right for index in upright for a, b in pairwise(pieces[index])]
    least = max(GUTTER * em, _WORD_GAPS * median(gaps)) if gaps else GUTTER * em
    replaced: dict[int, list[Piece]] = {}
    for rows in _regions(list(_rows(pieces, upright, em)), least):
        split = _split(rows, least)
        numbers = sorted({number for row in rows for number in row.lines})
        tables = _tables(split, em)
        if len(tables) <= _TABLES * len(rows) and _interleaved(split, tables, [pieces[number] for number in numbers]):
            columns = list(_columns(split, tables, em))
            if len(columns) == len(split) and _are_sentences(columns):
                found = [run for piece in _by_column(rows, columns, tables, pieces) for run in _runs(piece)]
                replaced |= {number: [] for number in numbers} | {numbers[0]: found}
    if not replaced:
        return list(lines)
    return [piece for index, one in enumerate(pieces) for piece in replaced.get(index, [one])]


def _level(line: Piece) -> Iterator[Piece]:
    """The words of a line in pieces that are on one height, from left to right; PDFium runs close rows together."""
    start = 0
    for index in range(1, len(line) + 1):
        if index < len(line):
            last, word = line[index - 1].box, line[index].box
            if last.is_level_with(word) and word.left >= last.left:
                continue
        yield line[start:index]
        start = index


def _em(line: Piece) -> float:
    return line[0].box.top - line[0].box.bottom


def _height(line: Piece) -> float:
    return max(word.box.top for word in line) - min(word.box.bottom for word in line)


def _runs(piece: Piece) -> Iterator[Piece]:
    """The words of a piece as they follow each other in the page's text."""
    words = sorted(piece, key=lambda word: word.number)
    start = 0
    for index in range(1, len(words) + 1):
        if index == len(words) or words[index].number != words[index - 1].number + 1:
            yield words[start:index]
            start = index


def _rows(lines: Sequence[Piece], upright: list[int], em: float) -> Iterator[_Row]:
    """The rows of a page from the top; lines on one height make one row if they do not overlap."""
    row = _Row([], [])
    for index in sorted(upright, key=lambda index: -lines[index][0].box.bottom):
        line = lines[index]
        if row.words and (
            row.words[0].box.bottom - line[0].box.bottom > _SAME_ROW * em
            or any(a.box.left < b.box.right and b.box.left < a.box.right for a in row.words for b in line)
        ):
            yield row
            row = _Row([], [])
        row = _Row(sorted([*row.words, *line], key=lambda word: word.box.left), [*row.lines, index])
    yield row


def _regions(rows: list[_Row], least: float) -> Iterator[list[_Row]]:
    """Parts of the page that a gutter divides from top to bottom."""
    rest = [rows]
    while rest:
        rows = rest.pop()
        best = (0, 0, 0)
        seen: set[tuple[int, float]] = set()
        for first, row in enumerate(rows):
            for left, right in _gaps(row, rows[first + 1 : first + 2]):
                if right - left >= least and (first, left) not in seen:
                    best = max(best, _followed(rows, first, (left, right), least, seen))
        both, first, last = best
        if both >= ROWS:
            yield rows[first:last]
            rest += [rows[:first], rows[last:]]


def _gaps(row: _Row, following: list[_Row]) -> Iterator[tuple[float, float]]:
    """Gaps within a row, and between it and the next one where they stand side by side."""
    yield from ((a.box.right, b.box.left) for a, b in pairwise(row.words))
    for other in following:
        yield row.words[-1].box.right, other.words[0].box.left
        yield other.words[-1].box.right, row.words[0].box.left


def _followed(
    rows: list[_Row], first: int, gap: tuple[float, float], least: float, seen: set[tuple[int, float]]
) -> tuple[int, int, int]:
    """How far down a gap reaches: the lines on its poorer side, the first row, and the first that is not part of it."""
    on_left = on_right = 0
    last = first
    for last, row in enumerate(rows[first:], first):
        if gap[0] <= row.words[0].box.left and row.words[-1].box.right <= gap[1]:
            break  # is in the gutter, as a page number below it does
        gap = _free(row, gap)
        if gap[1] - gap[0] < least:
            break
        before = bisect_right(row.words, gap[0], key=_right)
        if before:
            seen.add((last, row.words[before - 1].box.right))
        on_left += before > 0
        on_right += before < len(row.words)
    else:
        last += 1
    return min(on_left, on_right), first, last


def _free(row: _Row, gap: tuple[float, float]) -> tuple[float, float]:
    """The widest part of a gap that no word of a row is in."""
    widest, edge = (gap[0], gap[0]), gap[0]
    for word in islice(row.words, bisect_right(row.words, gap[0], key=_right), None):
        if word.box.left >= gap[1]:
            break
        widest = max(widest, (edge, word.box.left), key=_width)
        edge = max(edge, word.box.right)
    return max(widest, (edge, gap[1]), key=_width)


def _right(word: ColumnWord) -> float:
    return word.box.right


def _width(gap: tuple[float, float]) -> float:
    return gap[1] - gap[0]


def _split(rows: list[_Row], least: float) -> list[list[Piece]]:
    """The pieces of each column, one for each row, which may be empty."""
    edge, starts = float("-inf"), []
    for word in sorted((word for row in rows for word in row.words), key=lambda word: word.box.left):
        if word.box.left - edge >= least:
            starts.append(word.box.left)
        edge = max(edge, word.box.right)
    ends = [*starts[1:], float("inf")]
    return [
        [[word for word in row.words if start <= word.box.left < end] for row in rows]
        for start, end in zip(starts, ends, strict=True)
    ]


def _interleaved(split: list[list[Piece]], tables: set[int], lines: list[Piece]) -> bool:
    """Whether the order in which the columns are drawn goes from one to another and back, again and again."""
    column_of = {
        word.number: number
        for number, column in enumerate(split)
        for index, piece in enumerate(column)
        if index not in tables
        for word in piece
    }
    drawn = [column_of[word.number] for line in lines for word in line if word.number in column_of]
    shared = sum(sum(map(bool, pieces)) > 1 for pieces in zip(*split, strict=True)) - len(tables)
    return sum(b < a for a, b in pairwise(drawn)) > max(1.0, _RETURNS * shared)


def _tables(split: list[list[Piece]], em: float) -> set[int]:
    """The rows that are cells even within a column, if there is more than one below the other."""
    apart = {
        index
        for column in split
        for index, piece in enumerate(column)
        if any(b.box.left - a.box.right > _CELLS * em for a, b in pairwise(piece))
    }
    return {index for index in apart if index - 1 in apart or index + 1 in apart}


def _columns(split: list[list[Piece]], tables: set[int], em: float) -> Iterator[_Column]:
    """Those columns that are text whose lines are broken where they are full."""
    for column in split:
        numbers = [index for index, piece in enumerate(column) if piece and index not in tables]
        pieces = [column[index] for index in numbers]
        if len(pieces) >= ROWS and _is_text(pieces, em):
            wrapped = list(_wrapped(pieces, em))
            if sum(wrapped) >= _WRAPPED * len(wrapped):
                begins = {index for index, full in zip(numbers[1:], wrapped, strict=True) if not full}
                yield _Column(column, begins)


def _is_text(pieces: list[Piece], em: float) -> bool:
    """Whether a column is wide enough for sentences, begins its lines below each other and has words on them."""
    left, right = median(piece[0].box.left for piece in pieces), max(piece[-1].box.right for piece in pieces)
    aligned = sum(abs(piece[0].box.left - left) < _INDENT * em for piece in pieces)
    text = " ".join(word.text for piece in pieces for word in piece)
    characters = text.replace(" ", "")
    enough = sum(map(len, pieces)) >= _WORDS * len(pieces) or (
        not text.isascii() and sum(map(len, pieces)) < 2 * len(pieces) and len(characters) >= _CHARACTERS * len(pieces)
    )
    lettered = sum(map(str.isalpha, characters)) >= _LETTERS * len(characters)
    dotted = sum(bool(_LEADERS.search(" ".join(word.text for word in piece))) for piece in pieces)
    return (
        enough
        and lettered
        and dotted < _DOTTED * len(pieces)
        and right - left >= _COLUMN * em
        and aligned >= _ALIGNED * len(pieces)
    )


def _wrapped(pieces: list[Piece], em: float) -> Iterator[bool]:
    """For each line but the last, whether it ends because the next word did not fit."""
    left, right = min(piece[0].box.left for piece in pieces), max(piece[-1].box.right for piece in pieces)
    longest, slack = _FIRST_WORD * (right - left), _SLACK * (right - left) + _SPACE * em
    for piece, following in pairwise(pieces):
        word = following[0].box.right - following[0].box.left
        yield right - piece[-1].box.right < min(longest, word) + slack


def _are_sentences(columns: list[_Column]) -> bool:
    """Whether lines begin with small letters as often as sentences that continue, where the script has such."""
    starts = [piece[0].text[0] for column in columns for piece in column.pieces[1:] if piece]
    small = sum(map(str.islower, starts))
    return small >= _SMALL * (small + sum(map(str.isupper, starts)))


def _by_column(rows: list[_Row], columns: list[_Column], tables: set[int], lines: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces column by column, starting over where cells begin, below a table and below what parts two rows."""
    begins = set.intersection(*(column.begins for column in columns))
    fewest = min(len(column.begins) for column in columns)
    cells = begins if len(begins) > 1 and len(begins) >= _TOGETHER * fewest else set()
    heights = [row.words[0].box.bottom for row in rows]
    leading = median(a - b for a, b in pairwise(heights))
    start = 0
    for index in range(1, len(rows) + 1):
        close = index < len(rows) and heights[index - 1] - heights[index] <= _LEADINGS * leading
        if close and (index in tables) == (index - 1 in tables) and index not in cells:
            continue
        if start in tables:
            yield from (lines[number] for row in rows[start:index] for number in sorted(row.lines))
        else:
            yield from (piece for column in columns for piece in column.pieces[start:index] if piece)
        start = index
