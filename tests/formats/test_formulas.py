"""Formulas that a workbook has no values for: calculated, or shown as formulas; never lost."""

import io
from pathlib import Path

import pytest
import xlsxwriter

from footnote.formats import ParsedPage, paginate
from footnote.formats.office import _sheet_formulas, ods, xlsx
from footnote.formats.office._formulas import Value, moved
from footnote.formats.office._sheet_formulas import Book, Cell
from tests.formats.containers import archive
from tests.samples.office import opendocument

NUMBERS = {(1, 0): 120.0, (2, 0): 30.0, (3, 0): 80.0}
WORDS = {(1, 1): "oil", (2, 1): "wick", (3, 1): "Oil lamp"}


def cells(sheet: str, formulas: dict[tuple[int, int], str]) -> list[Cell]:
    values: dict[tuple[int, int], Value] = {(1, 0): 5.0} if sheet == "My Data" else {**NUMBERS, **WORDS}
    found: list[Cell] = [(*place, value, "") for place, value in values.items()]
    return found + [(*place, None, formula) for place, formula in formulas.items() if sheet == "S"]


def worked_out(formula: str, **others: str) -> Value:
    formulas = {(9, 3): formula, **{(int(name[1:]), ord(name[0]) - 65): text for name, text in others.items()}}
    book = Book(["S", "My Data"], lambda sheet: cells(sheet, formulas), {"Total": "S!$A$1:$A$3"})
    return book.show("S", 9, 3)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("SUM(A1:A3)", 230),
        ("SUM(A:A,1)", 231),
        ("A1+A2*2-6/3", 178),
        ("-2^2", 4),
        ("(A1-A2)/A3", 1.125),
        ("2^-1", 0.5),
        ("A1*10%", 12),
        ('"a"&A1&" ""b"""', 'a120 "b"'),
        ('IF(A1>=100,"large","small")', "large"),
        ('IF(A8=0,"none",A1/A8)', "none"),
        ('IFERROR(A1/0,"none")', "none"),
        ("ROUND(A1/7,2)", 17.14),
        ("ROUND(2.5,0)", 3),
        ("ROUND(1250,-2)", 1300),
        ("AVERAGE(A1:A3)", 230 / 3),
        ("MAX(A1:A3)-MIN($A$1:A$3)", 90),
        ("COUNT(A1:B3)", 3),
        ("COUNTA(A1:B9)", 6),
        ('COUNTIF(B1:B3,"oil*")', 2),
        ('SUMIF(A1:A3,">50")', 200),
        ('SUMIF(B1:B3,"oil*",A1:A3)', 200),
        ('SUMIFS(A1:A3,B1:B3,"oil*",A1:A3,"<100")', 80),
        ('VLOOKUP("WICK",B1:C3,1,FALSE)', "wick"),
        ('INDEX(A1:A3,MATCH("wick",B1:B3,0))', 30),
        ("'My Data'!A1*2", 10),
        ("SUM(Total)", 230),
        ("_xlfn.CONCAT(B1:B2)", "oilwick"),
        ("A1<>120", False),
        ("AND(A1>1,NOT(A2>100))", True),
        ("+".join(["1"] * 3_000), 3_000),
    ],
)
def test_what_is_calculated(formula: str, value: Value) -> None:
    found = worked_out(formula)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    "formula",
    [
        *("TODAY()", "SUM(Table1[x])", "{1,2}", "A1:A3", "A1/0", "A1+B1", "Nowhere!A1", "[1]Book!A1", "SUM(A1", "1 2"),
        *("__import__('os').system('true')", "(" * 100 + "1" + ")" * 100, "D9", "E1", "VLOOKUP(1,A1:A3,9,FALSE)"),
    ],
)
def test_what_is_shown_as_a_formula(formula: str) -> None:
    assert worked_out(formula, E1="E2+1", E2="E1+1") == f"={formula}"


def test_formulas_that_refer_to_each_other_for_long() -> None:
    def chain(_sheet: str) -> list[Cell]:
        return [(1, 0, 1.0, ""), *((row, 0, None, f"A{row - 1}+1") for row in range(2, 3_001)), (1, 1, None, "A3000")]

    assert Book(["S"], chain, {}).show("S", 1, 1) == 3_000


def test_a_formula_that_is_shared_moves_with_its_cell() -> None:
    assert moved('B2+$C2+SUM(D$2:D2)&"B2"', 3, 1) == 'C5+$C5+SUM(E$2:E5)&"B2"'


def budget(tmp_path: Path, formulas: dict[str, str], stale: bool = False) -> list[ParsedPage]:
    """A workbook as libraries write it: no values, or 0 for each formula."""
    value = "<v>0</v>" if stale else "<v></v>"
    rows = "".join(
        f'<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{name}</t></is></c><c r="B{row}"><v>{row * 10}</v></c>'
        f'<c r="C{row}" s="1">{formula}{value if formula.startswith("<f") else ""}</c></row>'
        for row, (name, formula) in enumerate(formulas.items(), start=1)
    )
    styles = '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="10"/></cellXfs></styleSheet>'
    relation = '<Relationship Id="{0}" Type="x/{0}" Target="{1}"/>'
    members: dict[str, str | bytes] = {
        "_rels/.rels": f"<Relationships>{relation.format('officeDocument', '/xl/book.xml')}</Relationships>",
        "xl/book.xml": '<workbook xmlns:r="r"><sheets><sheet name="S" r:id="worksheet"/></sheets>'
        f'<calcPr fullCalcOnLoad="{int(stale)}"/></workbook>',
        "xl/_rels/book.xml.rels": f"<Relationships>{relation.format('worksheet', 's.xml')}"
        f"{relation.format('styles', 'styles.xml')}</Relationships>",
        "xl/s.xml": f"<worksheet><sheetData>{rows}</sheetData></worksheet>",
        "xl/styles.xml": styles,
    }
    path = tmp_path / "x.xlsx"
    path.write_bytes(archive(members))
    return list(paginate(xlsx.parse(path)))


@pytest.mark.parametrize("stale", [False, True])
def test_values_have_the_format_of_their_cell_and_are_counted(tmp_path: Path, stale: bool) -> None:
    (page,) = budget(
        tmp_path,
        {
            "Oil": '<f t="shared" si="0" ref="C1:C2">B1/SUM(B$1:B$3)</f>',
            "Rope": '<f t="shared" si="0"/>',
            "Now": "<f>TODAY()</f>",
        },
        stale,
    )
    assert page.text.split("\n") == ["Oil | 10 | 16.67%", "Rope | 20 | 33.33%", "Now | 30 | =TODAY()"]
    assert page.notes == {"formulas_calculated": 2, "formulas_shown": 1}


def test_values_that_a_program_stored_are_believed(tmp_path: Path) -> None:
    (page,) = budget(tmp_path, {"Oil": "<f>TODAY()</f><v>0.5</v>", "Rope": "<f>B1</f><v>7</v>"})
    assert "50.00%" in page.text
    assert "700.00%" in page.text
    assert page.notes == {}


def test_a_workbook_of_a_library_that_stores_no_values(tmp_path: Path) -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet, other = book.add_worksheet("Costs"), book.add_worksheet("Sum")
    for row, (name, cost) in enumerate([("Item", "Cost"), ("Oil", 120), ("Rope", 80)]):
        sheet.write_row(row, 0, [name, cost])
    other.write_formula("A1", "=SUM(Costs!B2:B3)")
    book.close()
    (tmp_path / "x.xlsx").write_bytes(out.getvalue())
    assert [page.text for page in paginate(xlsx.parse(tmp_path / "x.xlsx"))][1] == "200"


def test_opendocument_without_values(tmp_path: Path) -> None:
    def cell(text: str = "", **attributes: str) -> str:
        given = "".join(
            f' {name.replace("_", ":", 1).replace("_", "-")}="{value}"' for name, value in attributes.items()
        )
        return f"<table:table-cell{given}>{f'<text:p>{text}</text:p>' if text else ''}</table:table-cell>"

    def number(value: int) -> str:
        return cell(str(value), office_value_type="float", office_value=str(value))

    rows = [
        cell("Oil") + number(120) + cell(table_formula="of:=[.B1]*2"),
        cell("Rope") + number(80) + cell(table_formula="of:=SUM([.B1:.B2];[$Other.A1])"),
    ]
    sheet = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    other = f"<table:table-row>{number(5)}</table:table-row>"
    body = f'<table:table table:name="S">{sheet}</table:table><table:table table:name="Other">{other}</table:table>'
    (tmp_path / "x.ods").write_bytes(opendocument("spreadsheet", body))
    page, _ = paginate(ods.parse(tmp_path / "x.ods"))
    assert page.text.split("\n") == ["Oil | 120 | 240", "Rope | 80 | 205"]
    assert page.notes == {"formulas_calculated": 2}


@pytest.mark.parametrize("formula", ["1" + "%" * 5_000, "deep0"])
def test_a_formula_that_is_nested_for_long_is_no_fault_of_the_document(formula: str) -> None:
    names = {f"deep{n}": "(" * 60 + f"deep{n + 1}" + ")" * 60 for n in range(20)}
    book = Book(["S"], lambda sheet: cells(sheet, {(9, 3): formula}), names)
    assert book.show("S", 9, 3) == f"={formula}"


def test_many_look_ups_in_a_long_list_do_not_use_up_what_others_may_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sheet_formulas, "_MOST_READS", 50_000)
    found: list[Cell] = [(row, column, float(row), "") for row in range(1, 201) for column in range(2)]
    found += [(row, 3, None, f"VLOOKUP({row},A$1:B$200,2,FALSE)") for row in range(1, 61)]
    found += [(row, 4, None, f"SUM(A$1:B{row})") for row in range(1, 201)] + [(1, 5, None, "A1+A2")]
    book = Book(["S"], lambda _: found, {})
    assert [book.show("S", row, 3) for row in range(1, 61)] == list(range(1, 61))
    assert all(book.show("S", row, 4) for row in range(1, 201))
    assert book.show("S", 1, 5) == 3


def test_formulas_of_a_sheet_that_is_too_large_to_be_held_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sheet_formulas, "_MOST_CELLS", 3_000)
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as workbook:
        sheet = workbook.add_worksheet("S")
        for row in range(1_000):
            sheet.write_row(row, 0, [row] * 4)
        sheet.write_formula(1_000, 0, "=SUM(A1:A1000)", None, "")
    (page,) = paginate(xlsx.parse(path))
    assert page.text.endswith("=SUM(A1:A1000)")
    assert page.notes == {"formulas_shown": 1}
