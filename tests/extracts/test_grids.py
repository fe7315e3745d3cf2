"""Rows of tables in texts: labels, cells and what stands above them."""

import pytest

from footnote.extracts.grids import rows
from footnote.extracts.table_row import TableRow


def read(text: str, before: str = "", place: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
    return [(row.label, [(cell.name, cell.text) for cell in row.cells]) for row in rows(text, before, place)]


def only(text: str) -> TableRow:
    [row] = rows(text)
    return row


@pytest.mark.parametrize(
    ("line", "label", "cells"),
    [
        ("Net sales $ 141,366 $ (1,283) — (547)", "Net sales", ["$ 141,366", "$ (1,283)", "—", "(547)"]),
        ("Industrial 2.5 % (0.1) % (0.3)%", "Industrial", ["2.5 %", "(0.1) %", "(0.3)%"]),
        ("Balance at December 31, 2018 1,234 5,678", "Balance at December 31, 2018", ["1,234", "5,678"]),
        ("Impairment (see Notes 1 and 4) 3,166 — 42", "Impairment (see Notes 1 and 4)", ["3,166", "—", "42"]),
        ("Online stores (1) $ 108,354 $ 122,987", "Online stores", ["$ 108,354", "$ 122,987"]),
        ("Oil ..... 12 13", "Oil", ["12", "13"]),
    ],
)
def test_a_row_is_a_label_and_the_figures_behind_it(line: str, label: str, cells: list[str]):
    row = only(line)
    assert (row.label, [cell.text for cell in row.cells]) == (label, cells)


@pytest.mark.parametrize(
    "line",
    [
        "The increase of costs in 2018 was due to higher prices of oil and to 2017",
        "Costs increased 55 % and 43 %",
        "35",
        "we now expect our costs to increase by 8",
    ],
)
def test_other_lines_that_end_in_figures_are_no_rows(line: str):
    assert rows(line) == []


@pytest.mark.parametrize(
    ("head", "line", "names"),
    [
        ("2018 2017", "Oil 1 2", ["2018", "2017"]),
        ("Net Sales (Millions) 2018 2017", "Oil 1 2", ["2018", "2017"]),
        ("Fiscal Year\n2019 (a) 2018 (b)", "Oil 1 2", ["2019", "2018"]),
        ("December 31, 2018 December 31, 2017", "Oil 1 2", ["December 31, 2018", "December 31, 2017"]),
        ("2018 2017 % Change", "Oil 3 2 50", ["2018", "2017", "% Change"]),
        ("2018 2017 2018 vs. 2017", "Oil 3 2 1 50", ["2018", "2017", "2018 vs. 2017", "2018 vs. 2017"]),
        ("FISCAL\n2021\nFISCAL\n2020 % CHANGE", "Oil 3 2 50 %", ["2021", "2020", "% CHANGE"]),
        ("2021 2020 CHANGE 2019 CHANGE", "Oil $ 3 $ 2 50 % $ 1 100 %", ["2021", "2020", "", "2019", ""]),
        ("2018 2017 2016", "Oil 2.6 % 3.9 %", ["", ""]),
        (
            "Three Months Ended Six Months Ended\nJuly 1, 2023 July 2, 2022 July 1, 2023 July 2, 2022",
            "Oil 1 2 3 4",
            [
                *("Three Months Ended July 1, 2023", "Three Months Ended July 2, 2022"),
                *("Six Months Ended July 1, 2023", "Six Months Ended July 2, 2022"),
            ],
        ),
    ],
)
def test_years_above_figures_name_them_where_they_fit(head: str, line: str, names: list[str]):
    assert [cell.name for cell in rows(f"{head}\n{line}")[-1].cells] == names


def test_only_the_first_row_may_say_that_figures_are_percentages():
    text = "2018 2017\nGrowth:\nNorth 33% 21%\nSouth 21 13\nSales:\nNorth $ 5 $ 6\n"
    assert [row.is_rate for row in rows(text)] == [True, True, False]
    table = "2021 2020 CHANGE\nOil $ 3 $ 2 50 %\nWicks 4 5 —\n"
    assert [cell.name for cell in rows(table)[-1].cells] == ["2021", "2020", "CHANGE"]


def test_lines_above_rows_are_sections_labels_or_captions():
    text = (
        "Costs of towers were as follows (in thousands):\n2018 2017\nNorthern\nOil 1 2\n"
        "Purchases of property, including\nsoftware and lamps 3 4\nSouthern:\nOil 5 6\n"
    )
    found = rows(text)
    assert [(row.section, row.label) for row in found] == [
        ("Northern", "Oil"),
        ("Northern", "Purchases of property, including software and lamps"),
        ("Southern", "Oil"),
    ]
    assert {row.caption for row in found} == {"Costs of towers were as follows (in thousands):"}
    assert {int(row.unit.scale) for row in found} == {1000}


def test_the_head_stands_before_the_text_or_in_its_place():
    assert read("Oil 1 2", before="2018 2017\nWicks 3 4") == [("Oil", [("2018", "1"), ("2017", "2")])]
    assert read("Oil 1 2", place="a.pdf > Costs > 2018 2017") == [("Oil", [("2018", "1"), ("2017", "2")])]


def test_a_sentence_ends_a_table():
    assert rows("2018 2017\nOil 1 2\nThese are the costs of all our towers.\nWicks 3 4\n")[-1].periods == ()


def test_bars_divide_cells_below_their_names():
    table = "| Lamp | Oil |\n|------|-----|\n| Skerry | 12 |\n| Moor | colza |\n"
    assert read(table) == [
        ("Skerry", [("Lamp", "Skerry"), ("Oil", "12")]),
        ("Moor", [("Lamp", "Moor"), ("Oil", "colza")]),
    ]
    assert read(" | 2006 | 2007\nOil | 1 | 2") == [("Oil", [("", "Oil"), ("2006", "1"), ("2007", "2")])]
    assert read("Lamp: Skerry | Oil: 12 | 13") == [("Skerry", [("Lamp", "Skerry"), ("Oil", "12"), ("", "13")])]
