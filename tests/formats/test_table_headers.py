"""Every chunk of a long table knows what its columns are: by its rows, its text, or the context it is indexed with."""

from collections.abc import Callable
from pathlib import Path

import docx as python_docx
import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.markup import html, md, rst, rtf
from footnote.formats.office import docx, odp, odt, pptx
from footnote.formats.pdf import pdf
from footnote.formats.pdf._line_tables import Tables
from footnote.ingest.chunking import TextChunk, split
from tests.formats import drawn
from tests.formats.drawn import lines
from tests.formats.test_pptx import deck
from tests.samples.office import opendocument

WOODS = ["oak", "elm", "ash", "fir"]
TOWNS = ["Lund", "Ystad", "Malmo"]
HEADER = ["Part no.", "Wood", "Shelf town", "Keeper of it"]
ROWS = [[f"PX-{n}a", WOODS[n % 4] + " beam", TOWNS[n % 3], f"Anna{n} Holm"] for n in range(100, 160)]


def chunks_of(pages: list[ParsedPage]) -> list[TextChunk]:
    return [chunk for page in pages for chunk in split(page, size=600, overlap=80)]


def check(pages: list[ParsedPage], names: list[str] = HEADER, mark: str = "PX-") -> None:
    """Each chunk with rows says all names, and stands literally in its page."""
    found = [chunk for chunk in chunks_of(pages) if mark in chunk.text]
    assert len(found) > 2
    for chunk in found:
        known = f"{chunk.context('parts')}\n{chunk.text}"
        assert all(name in known for name in names), known
        assert pages[chunk.page - 1].text[chunk.char_start : chunk.char_end] == chunk.text


def piped(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def test_markdown(tmp_path: Path) -> None:
    table = piped([HEADER, ["---"] * 4, *ROWS])
    path = tmp_path / "x.md"
    path.write_text("\n".join(["# Store", "", "Counted in March.", "", *table, "", "After the table."]))
    pages = list(paginate(md.parse(path)))
    assert pages[0].text == path.read_text()
    check(pages)
    after = chunks_of(pages)[-1]
    assert "After the table." in after.text


def test_a_short_table_says_its_header_once(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("\n".join(piped([HEADER, ["---"] * 4, *ROWS[:3]])))
    (chunk,) = chunks_of(list(paginate(md.parse(path))))
    assert chunk.columns == ""


def grid(rows: list[list[str]]) -> str:
    border = "+" + "+".join("-" * 16 for _ in HEADER) + "+"
    made = [border]
    for number, row in enumerate(rows):
        made += [
            "|" + "|".join(f" {cell:<15}" for cell in row) + "|",
            border.replace("-", "=") if not number else border,
        ]
    return "\n".join(made)


def simple(rows: list[list[str]]) -> str:
    border = " ".join("=" * 15 for _ in HEADER)
    texts = [" ".join(f"{cell:<15}" for cell in row) for row in rows]
    return "\n".join([border, texts[0], border, *texts[1:], border])


def listed(rows: list[list[str]]) -> str:
    items = ["   * - " + "\n     - ".join(row) for row in rows]
    return "\n".join([".. list-table:: Parts", "   :header-rows: 1", "", *items])


def comma_separated(rows: list[list[str]]) -> str:
    body = [f"   {','.join(row)}" for row in rows[1:]]
    return "\n".join([".. csv-table:: Parts", f"   :header: {', '.join(rows[0])}", "", *body])


@pytest.mark.parametrize("write", [grid, simple, listed, comma_separated])
def test_restructuredtext(tmp_path: Path, write: Callable[[list[list[str]]], str]) -> None:
    path = tmp_path / "x.rst"
    path.write_text(f"Store\n=====\n\n{write([HEADER, *ROWS])}\n\nAfter.\n")
    check(list(paginate(rst.parse(path))))


def test_a_table_without_a_header_has_none(tmp_path: Path) -> None:
    path = tmp_path / "x.rst"
    border = "==== ===="
    path.write_text(f"{border}\n1    2\n{border}\n\n{border}\nA    B\n{border}\n3    4\n{border}\n")
    (page,) = paginate(rst.parse(path))
    assert [section.columns for section in page.sections] == ["", "A B"]


def test_html_with_marked_headers(tmp_path: Path) -> None:
    head = "".join(f"<th>{name}</th>" for name in ("Term", "Meaning"))
    rows = "".join(f"<tr><td>PX-{n}</td><td>a word of the keepers, told by Anna{n}</td></tr>" for n in range(60))
    path = tmp_path / "x.html"
    path.write_text(f"<p>Words.</p><table><thead><tr>{head}</tr></thead>{rows}</table><p>After.</p>")
    check(list(paginate(html.parse(path))), ["Term", "Meaning"])


@pytest.mark.parametrize("marked", [True, False])
def test_opendocument(tmp_path: Path, marked: bool) -> None:
    def row(cells: list[str]) -> str:
        inner = "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in cells)
        return f"<table:table-row>{inner}</table:table-row>"

    head = f"<table:table-header-rows>{row(HEADER)}</table:table-header-rows>" if marked else row(HEADER)
    table = f"<table:table>{head}{''.join(map(row, ROWS))}</table:table>"
    path = tmp_path / "x.odt"
    path.write_bytes(opendocument("text", table))
    check(list(paginate(odt.parse(path))))
    path.write_bytes(opendocument("presentation", f"<draw:page><draw:frame>{table}</draw:frame></draw:page>"))
    check(list(paginate(odp.parse(path))))


def test_word_without_a_marked_header(tmp_path: Path) -> None:
    document = python_docx.Document()
    table = document.add_table(0, 4)
    for row in [HEADER, *ROWS]:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.save(str(tmp_path / "x.docx"))
    check(list(paginate(docx.parse(tmp_path / "x.docx"))))


def test_rich_text(tmp_path: Path) -> None:
    def row(cells: list[str], properties: str = "") -> str:
        inner = "".join(rf"\intbl {cell}\cell" for cell in cells)
        return rf"\trowd{properties}\cellx1000\cellx2000\cellx3000\cellx4000 {inner}\row "

    path = tmp_path / "x.rtf"
    path.write_text(r"{\rtf1\ansi " + row(HEADER, r"\trhdr") + "".join(map(row, ROWS)) + r"\pard After.\par}")
    check(list(paginate(rtf.parse(path))))


def test_slides(tmp_path: Path) -> None:
    def row(cells: list[str]) -> str:
        return f"<tr>{''.join(f'<tc><txBody><p><r><t>{cell}</t></r></p></txBody></tc>' for cell in cells)}</tr>"

    table = f'<tbl><tblPr firstRow="1"/>{"".join(map(row, [HEADER, *ROWS]))}</tbl>'
    frame = f"<graphicFrame><graphic><graphicData>{table}</graphicData></graphic></graphicFrame>"
    check(list(paginate(pptx.parse(deck(tmp_path, frame)))))


FIGURES = [f"Village{n} {n * 37} {n * 41} {n * 43}" for n in range(10, 140)]


def test_a_pdf_table_that_goes_on_over_pages(tmp_path: Path) -> None:
    header = ["Catch by village", "Village 2019 2020 2021", "tonnes tonnes tonnes"]
    pages = [
        lines(["The catch is counted each spring by the harbour office of Lund.", *header, *FIGURES[:40]], 800),
        lines(FIGURES[40:85], 800),
        lines([*FIGURES[85:], "That is all there was to count in the three years of the survey."], 800),
    ]
    made = list(paginate(pdf.parse(drawn.pdf(tmp_path / "x.pdf", pages))))
    check(made, header, "Village")


def test_a_header_that_is_repeated_or_replaced(tmp_path: Path) -> None:
    one, two = "Harbour Boats Crew Nets", "Item Price Weight Length"
    pages = [lines([one, *FIGURES[:40]], 800), lines([one, *FIGURES[40:80]], 800), lines([two, *FIGURES[80:]], 800)]
    made = list(paginate(pdf.parse(drawn.pdf(tmp_path / "x.pdf", pages))))
    check(made[:2], [one], "Village")
    for chunk in split(made[2], size=600, overlap=80):
        assert two in f"{chunk.columns} {chunk.text}"
        assert one not in f"{chunk.columns} {chunk.text}"


def test_text_with_figures_is_no_table() -> None:
    text = "\n".join(
        f"In {1900 + n} the harbour had {n} boats, {n * 2} crews and an office that was open on {n % 7} days"
        for n in range(9)
    )
    assert [columns for _, columns in Tables().divide(text)] == [""]


def test_html_tables_with_long_cells_under_a_row_of_names(tmp_path: Path) -> None:
    rows = "".join(f"<tr><td>PX-{n}</td><td>{f'The beam of lot {n} is kept dry. ' * 12}</td></tr>" for n in range(40))
    path = tmp_path / "x.html"
    path.write_text(f"<!doctype html><table><tr><th>Part no.</th><th>How it is kept</th></tr>{rows}</table>")
    check(list(paginate(html.parse(path))), ["Part no.", "How it is kept"])
