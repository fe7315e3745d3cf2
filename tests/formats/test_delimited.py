import csv
from io import StringIO
from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.plain import delimited
from tests import SAMPLES


def page_of(path: Path) -> ParsedPage:
    (page,) = paginate(delimited.parse(path))
    return page


def text_of(tmp_path: Path, source: str) -> str:
    path = tmp_path / "x.csv"
    path.write_text(source, encoding="utf-8")
    return page_of(path).text


def test_rows_carry_the_names_of_their_columns() -> None:
    page = page_of(SAMPLES / "tides.csv")
    assert page.text == (
        "Tides at Skerrow\n\nday;high water;height (m)\nday: 1 March | high water: 04:12 | height (m): 3,9\n"
        "day: 2 March | high water: 04:57 | height (m): 4,2\nday: 3 March | high water: 05:41 | height (m): 4,4"
    )
    assert page.sections[-1].heading == ("Tides at Skerrow",)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(separator: str) -> None:
    rows = [
        ["name", "length, m", "crew"],
        ["Kittiwake", "4,2", "2;3"],
        ["Guillemot", "6,5", "4|5"],
        ["Gull", "3,9", "1"],
    ]
    out = StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    assert delimited.delimiter(out.getvalue()) == separator


def test_excel_may_name_the_delimiter(tmp_path: Path) -> None:
    assert text_of(tmp_path, "sep=,\na,b\n1;2,3\n4;5,6\n") == "a,b\na: 1;2 | b: 3\na: 4;5 | b: 6"


def test_cells_in_quotes_may_hold_everything(tmp_path: Path) -> None:
    source = 'boat,note\nKittiwake,"leaks, a ""little""\nat the stern"\nGuillemot,12\nGull,7\n'
    assert text_of(tmp_path, source).splitlines()[:2] == ["boat,note", 'Kittiwake,"leaks, a ""little"" at the stern"']


def test_a_stray_quotation_mark_swallows_nothing(tmp_path: Path) -> None:
    source = 'part,size\npipe,"12 inch\nvalve,3\nbolt,4\nnut,5\n'
    assert text_of(tmp_path, source).splitlines()[1:] == ['pipe,"12 inch', "valve,3", "bolt,4", "nut,5"]


def test_text_that_is_no_table_stays_as_it_is(tmp_path: Path) -> None:
    assert text_of(tmp_path, "Lamps, oil and wicks\nwere landed.\nAll, he said, were dry.\n") == (
        "Lamps, oil and wicks\nwere landed.\nAll, he said, were dry."
    )


def test_cells_in_which_nothing_is_seen_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\u200b,\u00ad\n\ufeff,\u2060\n")
    assert not any(block.text for block in delimited.parse(path))
