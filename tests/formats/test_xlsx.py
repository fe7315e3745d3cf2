"""Sheets in every form: what their cells show, and rows that can be read on their own."""

import io
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.office import ods, xls, xlsx
from footnote.formats.office._number_formats import formatted, plain
from footnote.formats.office._tables import Row, blocks
from tests import SAMPLES
from tests.formats.containers import archive, ole2
from tests.samples.office import opendocument


def pages_of(path: Path) -> list[ParsedPage]:
    return list(paginate(xlsx.parse(path)))


def workbook(tmp_path: Path, fill: Callable[[Any, Any], object], **options: bool) -> Path:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, **options})
    fill(book, book.add_worksheet("S"))
    book.close()
    path = tmp_path / "x.xlsx"
    path.write_bytes(out.getvalue())
    return path


def sheet(tmp_path: Path, rows: str, tail: str = "", **parts: str) -> Path:
    """A workbook whose only sheet has these rows, in the strict form and with a prefix."""

    def relations(**targets: str) -> str:
        each = (f'<Relationship Id="{name}" Type="x/{name}" Target="{target}"/>' for name, target in targets.items())
        return f"<Relationships>{''.join(each)}</Relationships>"

    sheets = '<x:sheets><x:sheet name="S" r:id="worksheet"/></x:sheets>'
    members: dict[str, str | bytes] = {
        "_rels/.rels": relations(officeDocument="/xl/book.xml"),
        "xl/book.xml": f'<x:workbook xmlns:x="s" xmlns:r="r">{sheets}</x:workbook>',
        "xl/_rels/book.xml.rels": relations(worksheet="s.xml", **{name: f"{name}.xml" for name in parts}),
        "xl/s.xml": f'<x:worksheet xmlns:x="s"><x:sheetData>{rows}</x:sheetData>{tail}</x:worksheet>',
    }
    path = tmp_path / "x.xlsx"
    path.write_bytes(archive(members | {f"xl/{name}.xml": text for name, text in parts.items()}))
    return path


def row(number: int, **cells: str) -> str:
    each = (
        f'<x:c r="{column}{number}" t="inlineStr"><x:is><x:t>{text}</x:t></x:is></x:c>'
        for column, text in cells.items()
    )
    return f'<x:row r="{number}">{"".join(each)}</x:row>'


def test_sheets_are_pages_and_rows_carry_the_names_of_their_columns():
    stores, watches, empty = pages_of(SAMPLES / "stores.xlsx")
    assert [section.heading for section in stores.sections] == [
        ("Stores",),
        ("Stores", "Stores of Skerrow Light"),
        ("Stores",),
    ]
    assert stores.text == (
        "Stores of Skerrow Light\n\nitem | place | share left | counted | worth\n"
        "item: tin | place: third floor | share left: 50.0% | counted: 2026-01-05 | worth: 41.50 crowns\n"
        "item: barrel | place: cellar | share left: 12.5% | counted: 2026-02-16 | worth: 1,210.00 crowns\n"
        "item: rope | place: boat house | share left: 100.0% | counted: 2026-03-02 | worth: 88.25 crowns\n"
        "worth: 1,339.75 crowns\n\nCounted by the second assistant."
    )
    assert watches.text == (
        "summer | winter\nkeeper | day | night | day | night\n"
        "keeper: Tolmie | summer day: 31 | summer night: 14 | winter day: 22 | winter night: 23\n"
        "keeper: Nowak | summer day: 12 | summer night: 33 | winter day: 25 | winter night: 20\n\n"
        "keeper: relief | summer day: 3 | summer night: 4 | winter day: 5 | winter night: 6\n"
        "keeper: relief | summer day: 7 | summer night: 8 | winter day: 9 | winter night: 10"
    )
    assert empty == ParsedPage(3, "")


def test_the_old_form_and_opendocument_read_alike():
    (boats,) = paginate(xls.parse(SAMPLES / "boats.xls"))
    assert boats.text == (
        "boat | length | crew\nboat: Kittiwake | length: 4.2 | crew: 2\nboat: Guillemot | length: 6.5 | crew: 4"
    )
    assert boats.sections[0].heading == ("Boats",)
    stores, empty = paginate(ods.parse(SAMPLES / "stores.ods"))
    assert stores.text == (
        "item | share left | counted\nitem: tin | share left: 50,0 % | counted: 2026-01-05\n"
        "item: rope | share left: 12,5 % | counted: 2026-02-16"
    )
    assert empty == ParsedPage(2, "")


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1.0, "General", "1"),
        (0.1 + 0.2, "", "0.3"),
        (1e-7, "", "1e-07"),
        (12345678901234, "", "12345678901234"),
        (0.125, "0.0%", "12.5%"),
        (1234.5, '#,##0.00 "EUR"', "1,234.50 EUR"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (-1234.5, r'_(* #,##0.00_);_(* \(#,##0.00\);_(* "-"??_);_(@_)', "(1,234.50)"),
        (0, r'_(* #,##0.00_);_(* \(#,##0.00\);_(* "-"??_);_(@_)', "-"),
        (-5, "#,##0;[Red]#,##0", "-5"),
        (-0.001, "0.00", "0.00"),
        (2.665, "0.00", "2.67"),
        (3, "0.##", "3"),
        (3.14159, "0.##", "3.14"),
        (1234567, '0.0,,"M"', "1.2M"),
        (12345.678, "0.00E+00", "1.23E+04"),
        (2139, "00000", "02139"),
        (123456789, "000-00-0000", "123-45-6789"),
        (5551234567, "(###) ###-####", "(555) 123-4567"),
        (10.52, "# ?/?", "10.52"),
        (7, "[<5]0.0;0", "7"),
        (1e300, "#,##0", "1e+300"),
        (45000.5, "d/m/yy", "2023-03-15"),
        (45000.5, "d/m/yy h:mm", "2023-03-15 12:00"),
        (45000, "mmm-yy", "March 2023"),
        (45000, "yyyy", "2023"),
        (0.75, "h:mm:ss", "18:00:00"),
        (45000.75, "hh:mm AM/PM", "18:00"),
        (1.5, "[h]:mm", "36:00"),
        (59, "yyyy-mm-dd", "1900-02-28"),
        (-1, "yyyy-mm-dd", "-1"),
        (3e9, "yyyy-mm-dd", "3000000000"),
    ],
)
def test_numbers_as_they_are_shown(value: float, code: str, shown: str):
    assert formatted(value, code) == shown


def test_a_workbook_may_count_its_days_from_1904(tmp_path: Path):
    def fill(book: Any, into: Any) -> None:
        into.write_datetime(0, 0, datetime(2026, 1, 5), book.add_format({"num_format": "d.m.yyyy"}))  # noqa: DTZ001

    (page,) = pages_of(workbook(tmp_path, fill, date_1904=True))
    assert page.text == "2026-01-05"
    assert formatted(0, "yyyy-mm-dd", base_1904=True) == "1904-01-01"
    assert plain(-0.5) == "-0.5"


def test_kinds_of_cells(tmp_path: Path):
    strings = (
        "<x:sst xmlns:x='s'><x:si><x:t>one _x000a_line</x:t></x:si><x:si><x:r><x:t>rich </x:t></x:r><x:r><x:t>text"
        "</x:t></x:r><x:rPh><x:t>phonetic</x:t></x:rPh></x:si></x:sst>"
    )
    cells = (
        '<x:c t="s"><x:v>0</x:v></x:c><x:c t="s"><x:v>1</x:v></x:c><x:c t="s"><x:v>99</x:v></x:c>'
        '<x:c t="b"><x:v>1</x:v></x:c><x:c t="e"><x:v>#DIV/0!</x:v></x:c>'
        '<x:c t="str"><x:f>A1</x:f><x:v>made</x:v></x:c>'
        "<x:c><x:v>nan</x:v></x:c><x:c><x:v>word</x:v></x:c><x:c/><x:c t='d'><x:v>2026-01-05</x:v></x:c>"
        "<x:c s='7'><x:v>2.0</x:v></x:c><x:c r='ZZZZZZ9'><x:v>1</x:v></x:c>"
    )
    (page,) = pages_of(sheet(tmp_path, f"<x:row>{cells}</x:row>", sharedStrings=strings))
    assert page.text == "one line | rich text | TRUE | made | 2026-01-05 | 2"


def test_a_cell_merged_downwards_counts_in_every_row(tmp_path: Path):
    rows = row(1, A="kind", B="boat", C="oars") + row(2, A="rowing", B="Tern", C="two") + row(3, B="Skua", C="four")
    merged = '<x:mergeCells><x:mergeCell ref="A2:A1048576"/></x:mergeCells>'
    (page,) = pages_of(sheet(tmp_path, rows + row(5, B="Auk", C="none"), merged))
    assert page.text.split("\n") == [
        "kind | boat | oars",
        "kind: rowing | boat: Tern | oars: two",
        "kind: rowing | boat: Skua | oars: four",
        "",
        "kind: rowing | boat: Auk | oars: none",
    ]


def test_a_sheet_of_almost_nothing_costs_almost_nothing(tmp_path: Path):
    rows = row(1, A="first") + row(1_048_576, XFD="last")
    (page,) = pages_of(sheet(tmp_path, rows))
    assert page.text == "first\n\nlast"


def test_parts_may_be_named_as_other_systems_name_them(tmp_path: Path):
    path = sheet(tmp_path, row(1, A="found"))
    with zipfile.ZipFile(path) as source:
        members = {name.replace("/", "\\").upper(): source.read(name) for name in source.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, data in members.items():
            target.writestr(name, data)
    path.write_bytes(out.getvalue())
    assert pages_of(path)[0].text == "found"


def test_text_that_is_shared_without_end_is_too_large(tmp_path: Path):
    strings = f"<x:sst xmlns:x='s'><x:si><x:t>{'long ' * 200_000}</x:t></x:si></x:sst>"
    rows = "<x:row><x:c t='s'><x:v>0</x:v></x:c></x:row>" * 100
    with pytest.raises(DocumentRejected, match="too_large"):
        pages_of(sheet(tmp_path, rows, sharedStrings=strings))


def text_of(rows: list[list[str | float]]) -> list[str]:
    """Lines of a sheet with these rows; numbers are cells that are numbers, empty rows part."""
    given = (
        Row(
            number,
            {column: str(cell) for column, cell in enumerate(cells) if cell != ""},
            {column for column, cell in enumerate(cells) if not isinstance(cell, str)},
        )
        for number, cells in enumerate(rows)
        if cells
    )
    return "\n".join(block.text for block in blocks(given, 1, "S")).split("\n")


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([["Name", "John"], ["Age", 42]], ["Name | John", "Age | 42"]),
        ([["oil", 14], ["wick", 30]], ["oil | 14", "wick | 30"]),
        (
            [["item", "count"], ["oil", 14], ["wick", 30]],
            ["item | count", "item: oil | count: 14", "item: wick | count: 30"],
        ),
        ([["a", 2019, 2020], ["x", 1, 2]], ["a | 2019 | 2020", "a: x | 2019: 1 | 2020: 2"]),
        ([["a", 2019, "n"], ["b", 2020, "m"]], ["a | 2019 | n", "b | 2020 | m"]),
        ([["a", "a", "b"], ["x", 1, 2], ["y", 1, 2]], ["a | a | b", "x | 1 | 2", "y | 1 | 2"]),
        ([["Name:", "x", "Date:"], ["k", 1, 2], ["l", 1, 2]], ["Name: | x | Date:", "k | 1 | 2", "l | 1 | 2"]),
        ([["", "p", "q"], ["x", 1, 2], ["y", 3, 4]], ["p | q", "x | p: 1 | q: 2", "y | p: 3 | q: 4"]),
        ([["alone"], [], ["other"]], ["alone", "other"]),
    ],
)
def test_what_are_names_of_columns_and_what_are_not(rows: list[list[str | float]], lines: list[str]):
    assert text_of(rows) == lines


def test_names_hold_behind_a_gap_only_for_the_same_table():
    table: list[list[str | float]] = [["a", "b", "c"], ["x", 1, 2], ["y", 3, 4], []]
    assert text_of([*table, ["z", 5, 6]])[-1] == "a: z | b: 5 | c: 6"
    assert text_of([*table, ["Sum", 9]])[-1] == "a: Sum | b: 9"
    assert text_of([*table, ["Signed", "", "", "Tolmie"]])[-1] == "Signed | Tolmie"
    assert text_of([*table, ["A note."]])[-1] == "A note."


def test_a_table_is_written_in_pieces():
    rows = (Row(number, {0: "word " * 20, 1: "x"}) for number in range(10_000))
    pieces = blocks(rows, 1, "S")
    assert len(next(pieces).text) < 80_000


def test_opendocument_cells(tmp_path: Path):
    rows = (
        '<table:table-row><table:table-cell table:number-columns-spanned="2" table:number-rows-spanned="2"><text:p>wide'
        "</text:p></table:table-cell><table:covered-table-cell><text:p>covered</text:p></table:covered-table-cell>"
        '<table:table-cell table:number-columns-repeated="2"><text:p>twice</text:p></table:table-cell>'
        "</table:table-row>"
        '<table:table-header-rows><table:table-row table:number-rows-repeated="900000"><table:covered-table-cell/>'
        "<table:covered-table-cell/><table:table-cell><text:p>line</text:p><text:p>two<text:s/>words</text:p>"
        "<office:annotation><text:p>comment</text:p></office:annotation></table:table-cell></table:table-row>"
        "</table:table-header-rows>"
    )
    path = tmp_path / "x.ods"
    path.write_bytes(opendocument("spreadsheet", f'<table:table table:name="T">{rows}</table:table>'))
    (page,) = paginate(ods.parse(path))
    assert page.text == "wide | twice | twice\nwide | line two words"


def test_locked_and_damaged_workbooks(tmp_path: Path):
    path = tmp_path / "x"
    for data, parser, code in (
        (ole2({"EncryptedPackage": b"x"}), xlsx, "encrypted"),
        (ole2({"Workbook": b"x"}), xlsx, "unsupported_type"),
        ((SAMPLES / "boats.xls").read_bytes()[:3000], xls, "corrupt_file"),
        ((SAMPLES / "stores.xlsx").read_bytes(), xls, "type_mismatch"),
        (ole2({"WordDocument": b"x"}), xls, "unsupported_type"),
        (ole2({"EncryptedPackage": b"x"}), xls, "encrypted"),
        (opendocument("text", ""), ods, "type_mismatch"),
        (archive({"META-INF/manifest.xml": "<encryption-data/>", "content.xml": "?"}), ods, "encrypted"),
        (archive({"xl/workbook.xml": "<document/>"}), xlsx, "type_mismatch"),
    ):
        path.write_bytes(data)
        with pytest.raises(DocumentRejected) as caught:
            list(parser.parse(path))
        assert caught.value.code == code
