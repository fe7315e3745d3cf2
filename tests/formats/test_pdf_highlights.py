"""Boxes of quotes on PDF pages: one for each line, whatever the order in which the page is drawn."""

from pathlib import Path

import pytest

from footnote.formats import paginate
from footnote.formats.pdf import pdf
from tests.formats.test_pdf_order import LEFT, RIGHT, by_row
from tests.formats.test_pdf_text import shown, text_of
from tests.samples.pdfs import Drawn, document, placed

LINES = ["The lamp burns from half an hour", "before sunset to half an hour", "after sunrise, every day."]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pdf"


def marked(path: Path, quote: str) -> list[list[float]]:
    """The boxes of a quote that the page holds once."""
    (page,) = paginate(pdf.parse(path))
    start = page.text.index(quote)
    where = len("".join(page.text[:start].split())) / len("".join(page.text.split()))
    return pdf.boxes(path, 1, quote, where)


@pytest.mark.parametrize("rotate", [0, 90, 270])
def test_glyphs_placed_one_by_one_make_one_box_a_line(path: Path, rotate: int) -> None:
    glyphs = [
        Drawn(60 + 6 * x, 700 - 14 * y, letter)
        for y, line in enumerate(LINES)
        for x, letter in enumerate(line)
        if letter != " "
    ]
    path.write_bytes(document([placed(glyphs)], page=b"/Rotate %d" % rotate))
    boxes = marked(path, "\n".join(LINES))
    assert len(boxes) == len(LINES)
    across, along = (1, 3) if rotate else (0, 2)
    page = 600
    assert [(box[along] - box[across]) * page for box in boxes] == pytest.approx(
        [6 * len(line) for line in LINES], abs=6
    )
    assert len(marked(path, "half an hour\nafter")) == 2


def test_raised_figures_and_sizes_stay_in_the_box_of_their_line(path: Path) -> None:
    content = (
        shown(50, 700, "Statutes") + shown(86.7, 705, "1", 6) + shown(90.1, 700, ", and H")
        + shown(122.4, 696, "2", 6) + shown(125.8, 700, "O", 14) + shown(140, 700, "flows.")
        + shown(50, 680, "Next line")
    )  # fmt: skip
    text = text_of(path, content)
    first, second = marked(path, text)
    assert first[3] < second[1]
    assert (first[0] * 600, first[2] * 600) == pytest.approx((50, 166), abs=4)


def test_boxes_do_not_reach_over_the_gutter(path: Path) -> None:
    text_of(path, by_row(LEFT, RIGHT))
    quote = "down.\nBoats land on the eastern side unless\nthe swell"
    boxes = [[edge * 600 for edge in (left, right)] for left, _, right, _ in marked(path, quote)]
    assert len(boxes) == 3
    assert boxes[0][1] < 220
    assert boxes[1][0] == pytest.approx(225, abs=2)
    assert boxes[2][0] == pytest.approx(225, abs=2)


def test_a_quote_in_a_right_to_left_line_is_marked_where_it_stands(path: Path) -> None:
    drawn = "1922-TH"[::-1] + " " + "חוזה"[::-1]
    path.write_bytes(document([placed(Drawn(100 + 6 * x, 700, letter) for x, letter in enumerate(drawn))]))
    ((left, _, right, _),) = marked(path, "HT-2291")
    assert (left * 600, right * 600) == pytest.approx((100, 142), abs=4)
    ((left, _, right, _),) = marked(path, "חוזה")
    assert (left * 600, right * 600) == pytest.approx((148, 172), abs=6)


def test_of_equal_words_the_one_is_marked_that_is_quoted(path: Path) -> None:
    text = text_of(path, "".join(shown(50, 780 - 12 * line, "again " * (line % 7 + 1)) for line in range(60)))
    words = "".join(text.split())
    for number in (3, 100, 201):
        where = 5 * number / len(words)
        ((_, top, _, _),) = pdf.boxes(path, 1, "again", where)
        line = text[: [at for at in range(len(text)) if text.startswith("again", at)][number]].count("\n")
        assert top * 800 == pytest.approx(800 - (780 - 12 * line) - 8, abs=4)
