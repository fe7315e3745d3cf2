"""Headers and footers of PDFs: stored on their page, and in no chunk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.pdf import pdf
from footnote.formats.pdf._running_lines import AHEAD, Margin, PageTitles, mark
from footnote.ingest.chunking import split
from tests.formats import drawn
from tests.formats.drawn import Drawn, lines

BODY = [
    "The keeper of section {n} lights the lamp at dusk",
    "and writes the hour of it into the log.",
    "Nobody else may.",
]


def body(number: int) -> list[Drawn]:
    return lines([line.format(n="abcdefghijklmnop"[number]) for line in BODY])


def read(path: Path, pages: Sequence[Sequence[Drawn]], **size: int) -> tuple[list[ParsedPage], list[str]]:
    """The pages, and the text of the chunks of each."""
    made = list(paginate(pdf.parse(drawn.pdf(path / "x.pdf", pages, **size))))
    chunks = ["\n".join(chunk.text for chunk in split(page, size=1000, overlap=150)) for page in made]
    return made, chunks


def test_running_lines_are_on_the_page_and_in_no_chunk(tmp_path: Path) -> None:
    pages = [
        [(70, 800, "Nordvik Authority - Manual KM-77", 9), *body(n), (250, 40, f"Page {n + 1} of 12", 9)]
        for n in range(12)
    ]
    made, chunks = read(tmp_path, pages)
    for number, page in enumerate(made):
        assert "KM-77" in page.text
        assert f"Page {number + 1} of 12" in page.text
        assert "lights the lamp" in chunks[number]
        assert "KM-77" not in chunks[number]
        assert "Page" not in chunks[number]
        for chunk in split(page, size=60, overlap=20):
            assert page.text[chunk.char_start : chunk.char_end] == chunk.text


def test_left_and_right_pages_and_short_chapters(tmp_path: Path) -> None:
    chapters = ["Lamps", "Lamps", "Lamps", "Wicks", "Fog", "Fog", "Fog", "Bells", "Stores", "Stores", "Stores", "Boats"]
    pages = [
        [
            (70 if n % 2 else 480, 800, str(n + 21), 9),
            (200, 800, "The Manual" if n % 2 else f"Chapter on {chapters[n]}", 9),
            *body(n),
        ]
        for n in range(12)
    ]
    _, chunks = read(tmp_path, pages)
    for number, text in enumerate(chunks):
        assert text.startswith("The keeper of section"), text
        assert str(number + 21) not in text


def test_roman_page_numbers(tmp_path: Path) -> None:
    romans = ["iii", "iv", "v", "vi", "vii"]
    _, chunks = read(tmp_path, [[*body(n), (290, 40, romans[n], 9)] for n in range(5)])
    assert all(text.endswith("Nobody else may.") for text in chunks)


def test_the_number_of_an_invoice_is_no_page_number(tmp_path: Path) -> None:
    numbers = [4711, 4712, 4713, 4714, 9001]
    _, chunks = read(tmp_path, [[(70, 800, f"Invoice {numbers[n]}", 9), *body(n)] for n in range(5)])
    assert all(f"Invoice {number}" in text for number, text in zip(numbers, chunks, strict=True))


def test_titles_of_slides_and_repeated_table_headers_are_text(tmp_path: Path) -> None:
    slides = [
        [(60, 480, "Results of the year", 28), *lines(["Catch is up", "Boats are old"], 400, size=16, pitch=24)]
        for _ in range(6)
    ]
    _, chunks = read(tmp_path, slides, width=960, height=540)
    assert all("Results of the year" in text for text in chunks)
    tables = [
        lines(["Village 2019 2020", *(f"Place {n}{row} {row * 7} {row * 9}" for row in range(9))], 800)
        for n in range(6)
    ]
    _, chunks = read(tmp_path, tables)
    assert all("Village 2019 2020" in text for text in chunks)


@pytest.mark.parametrize("count", [1, 2])
def test_documents_of_few_pages_have_no_running_lines(tmp_path: Path, count: int) -> None:
    _, chunks = read(tmp_path, [[(70, 800, "Order HT-2291", 9), *body(n)] for n in range(count)])
    assert all("HT-2291" in text for text in chunks)


def test_a_page_with_nothing_else_keeps_its_lines(tmp_path: Path) -> None:
    _, chunks = read(tmp_path, [[(70, 800, "Sample of the archive", 9), (70, 40, "Stamp A-1", 9)] for _ in range(4)])
    assert all("Sample of the archive" in text for text in chunks)


def test_few_pages_are_held_however_long_the_document() -> None:
    taken = 0

    def source() -> Iterator[tuple[int, list[Margin]]]:
        nonlocal taken
        for number in range(5_000):
            taken += 1
            yield number, [Margin(number, f"Page {number} of 5000", False, 0, 0.05)]

    for number, (page, running) in enumerate(mark(source())):
        assert (page, running) == (number, [f"Page {number} of 5000"])
        assert taken <= number + AHEAD + 2


@pytest.mark.parametrize(
    ("top", "title"),
    [
        (
            "Restoration of the Harbour on the\nNorthern Coast\nThe text begins here.",
            "Restoration of the Harbour on the Northern Coast",
        ),
        ("Consolidated Statements\nIn Millions\n1 2 3", "Consolidated Statements, In Millions"),
    ],
)
def test_a_title_that_goes_on_in_the_next_line_is_one(top: str, title: str) -> None:
    assert PageTitles().title(top) == title
