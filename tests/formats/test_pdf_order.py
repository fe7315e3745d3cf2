"""PDFs whose text is drawn in another order than it is read: columns row by row, lines from right to left."""

from pathlib import Path

import pytest

from footnote.formats import paginate
from footnote.formats.pdf import pdf
from footnote.formats.pdf._bidi import Glyph, logical
from footnote.formats.pdf._boxes import Box
from tests.formats.test_pdf_text import shown, text_of
from tests.samples.pdfs import Drawn, document, placed

LEFT = [
    "The keeper lights the lamp at dusk and",
    "puts it out when the sun stands over",
    "the horizon. In winter he trims the",
    "wicks twice, for the oil thickens and",
    "the flame grows dim before the imple-",
    "ments are warm. He writes it down.",
]
RIGHT = [
    "Boats land on the eastern side unless",
    "the swell is high. The crew carries the",
    "flour first, then the oil, and rests on",
    "the steps while the derrick is turned.",
    "Nobody lands alone after dark, and a",
    "lantern hangs from the lower gallery.",
]
THIRD = [
    "Guillemots nest below the wall and must",
    "not be disturbed before July. Visitors",
    "who climb down to them are sent home",
    "with the next boat, whatever they have",
    "paid, and the principal keeper writes a",
    "letter to the board about each of them.",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pdf"


def by_row(*columns: list[str], top: float = 700, width: float = 185, drop: float = 0.0) -> str:
    """Columns of text, drawn row by row; each one `drop` lower than the one left of it."""
    return "".join(
        shown(40 + width * number, top - 14 * row - drop * number, line, 9)
        for row, lines in enumerate(zip(*columns, strict=True))
        for number, line in enumerate(lines)
    )


def prose(*columns: list[str]) -> str:
    return "\n".join(line for column in columns for line in column).replace("imple-\nments", "implements")


@pytest.mark.parametrize("drop", [0.0, 5.0])
@pytest.mark.parametrize("columns", [(LEFT, RIGHT), (LEFT, RIGHT, THIRD)])
def test_columns_drawn_row_by_row_are_read_column_by_column(
    path: Path, columns: tuple[list[str], ...], drop: float
) -> None:
    title = "Rules of the tower, for keepers and for those who visit them"
    content = shown(40, 740, title, 12) + by_row(*columns, drop=drop)
    assert text_of(path, content) == f"{title}\n{prose(*columns)}"


def test_what_goes_over_all_columns_parts_them(path: Path) -> None:
    between = "Table 1 shows what is kept in the store, and in which month each of it is counted."
    table = [("Oil", "40 barrels", "May"), ("Flour", "12 sacks", "June"), ("Rope", "300 m", "July")]
    rows = "".join(shown(40 + 130 * x, 550 - 14 * y, cell) for y, row in enumerate(table) for x, cell in enumerate(row))
    content = by_row(LEFT, RIGHT) + shown(40, 580, between) + rows + by_row(THIRD, LEFT, top=480)
    cells = "\n".join(" ".join(row) for row in table)
    assert text_of(path, content) == "\n".join([prose(LEFT, RIGHT), between, cells, prose(THIRD, LEFT)])


def test_a_page_number_in_the_middle_below_columns_is_no_column(path: Path) -> None:
    # The gutter goes from about 200 to 245.
    content = by_row(LEFT, RIGHT, width=205) + shown(215, 600, "12", 9)
    assert text_of(path, content) == f"{prose(LEFT, RIGHT)}\n12"


def test_columns_start_over_below_a_picture(path: Path) -> None:
    content = by_row(LEFT, RIGHT) + by_row(THIRD, LEFT, top=400)
    assert text_of(path, content) == "\n".join([prose(LEFT, RIGHT), prose(THIRD, LEFT)])


def test_columns_drawn_one_after_the_other_stay_as_they_are(path: Path) -> None:
    content = by_row(LEFT) + "".join(shown(225, 700 - 14 * row, line, 9) for row, line in enumerate(RIGHT))
    assert text_of(path, content) == prose(LEFT, RIGHT)


TABLES: dict[str, list[tuple[str, ...]]] = {
    "a table": [("Fresh cod fillet", "North Sea", "412.50"), ("Smoked haddock", "Iceland", "98.00")] * 4,
    "a table of phrases": [
        ("white flashes every night", "seen from the open sea", "in clear weather only"),
        ("white flashes every night", "seen from the open sea", "in clear weather only"),
        ("a red light", "over the sands", "all year"),
        ("no light at all", "behind the rock", "when it burns"),
        ("a red light", "over the sands", "all year"),
    ],
    "a list": [(f"{number}.", "Trim the wicks and fill the lamp with oil") for number in range(1, 9)],
    "contents": [(f"Chapter {number} . . . . . . . . . . . . . . . . .", f"{12 * number}") for number in range(1, 9)],
    "a form": [("Name of the applicant:", "Ada Lovelace"), ("Date of birth:", "10 December 1815")] * 4,
    "code": [("let a = 1;", "// the first of all numbers is one"), ("let bc = aa + 2;", "// and so on")] * 4,
    "addresses": [
        ("Bill to", "Ship to"),
        ("Skerrow Ltd", "Harbour Office"),
        ("12 Pier Road", "Quay 4"),
        ("Inver", "Ost"),
    ],
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_that_belong_together_stay_together(path: Path, name: str) -> None:
    rows = TABLES[name]
    content = by_row(*map(list, zip(*rows, strict=True)))
    assert text_of(path, content) == "\n".join(" ".join(row) for row in rows)


def test_cells_of_several_lines_are_read_one_after_the_other(path: Path) -> None:
    """Rows of such cells begin together; the shorter cell leaves room below it."""
    long = [*LEFT[:3], "wicks.", *RIGHT[:3], "the steps.", *THIRD[:3], "with the boat."]
    short = [*RIGHT[:2], "flour.", "", *THIRD[:2], "who.", "", *LEFT[:2], "", ""]
    cells = [[line for line in column[row : row + 4] if line] for row in (0, 4, 8) for column in (long, short)]
    assert text_of(path, by_row(long, short)) == "\n".join(line for cell in cells for line in cell)


@pytest.mark.parametrize(
    "words",
    [
        "מספר החוזה| |HT-2291| |לשנת| |2025",
        "בתוקף עד| |12/03/2024| |בשיעור| |50%| |בלבד.",
        "ודואר| |info@skerrow.example| (קומה |3|) עכשיו",
        "המחיר| |3.14| |דולר",
        "השתמשו ב-|Windows Server 2022 (64-bit)| |עם גרסה| |v2.0.1| |במשרד",
    ],
)
@pytest.mark.parametrize("order", ["visual", "logical", "by runs"])
def test_numbers_and_latin_words_in_hebrew_lines_keep_their_order(path: Path, words: str, order: str) -> None:
    """Runs go from right to left; odd ones are Hebrew, whose letters do so, too."""
    runs = words.split("|")
    glyphs: list[Drawn] = []
    x = 500.0
    for run in runs:
        rtl = not run.isascii() or not run.strip()
        x -= 6 * len(run)
        mirrored = run[::-1].translate(str.maketrans("()", ")(")) if rtl else run
        drawn = [Drawn(x + 6 * place, 700, letter) for place, letter in enumerate(mirrored)]
        glyphs += drawn[::-1] if rtl and order != "by runs" else drawn
    if order == "visual":
        glyphs.sort(key=lambda glyph: glyph.x)
    path.write_bytes(document([placed(glyphs)]))
    (page,) = paginate(pdf.parse(path))
    assert page.text == "".join(runs)


def test_hebrew_drawn_from_left_to_right_is_read_as_it_is_drawn(path: Path) -> None:
    """Programs without bidirectional text draw it so; letters that only end a word tell."""
    line = "שלום לכולם, חוזה HT-2291 בתוקף"
    path.write_bytes(document([placed(Drawn(50 + 6 * place, 700, letter) for place, letter in enumerate(line))]))
    (page,) = paginate(pdf.parse(path))
    assert page.text == line


def test_a_phone_number_behind_arabic_begins_with_its_plus() -> None:
    """Without a mark of direction its groups would be drawn the other way round, and the plus at the right."""
    line = "هاتف: +962-6-555-0199 (المكتب)"
    drawn = ")بتكملا( +962-6-555-0199 :فتاه"
    boxes = [Box(6.0 * place, 0, 6.0 * place + 5.9, 9) for place in range(len(drawn))]
    shown = [Glyph(letter, place, 6.0 * place, boxes[place]) for place, letter in enumerate(drawn)]
    found = logical(shown, mostly=True, backwards=False)
    assert "".join(glyph.text for glyph in found).replace("(", ")") == line.replace("(", ")")
