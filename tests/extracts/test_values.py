"""Values in texts: what stands there, in which unit, and whether one says another."""

import time
from decimal import Decimal

import pytest

from footnote.extracts.values import agrees, dates, same, unit_line, values


def read(text: str, context: str = "") -> list[tuple[str, float, str | None, str]]:
    return [
        (text[value.start : value.end], float(value.number), value.unit, value.kind) for value in values(text, context)
    ]


@pytest.mark.parametrize(
    ("text", "number", "unit", "kind"),
    [
        ("6,021", 6021, None, "number"),
        ("1'234'567.5", 1_234_567.5, None, "number"),
        ("12,34,567", 1_234_567, None, "number"),
        ("1\u00a0234\u00a0567", 1_234_567, None, "number"),
        ("0.125", 0.125, None, "number"),
        ("$6.0 billion", 6e9, "USD", "money"),
        ("US$5bn", 5e9, "USD", "money"),
        ("$ (27.5) million", -27.5e6, "USD", "money"),
        ("25 000 euros", 25_000, "EUR", "money"),
        ("1.234,56 €", 1234.56, "EUR", "money"),
        ("5,5 Mio. EUR", 5.5e6, "EUR", "money"),
        ("2 Mrd. Dollar", 2e9, "USD", "money"),
        ("₹5 crore", 5e7, "INR", "money"),
        ("3万円", 30_000, "JPY", "money"),
        ("37.5%", 37.5, "%", "percent"),
        ("14.3 percent", 14.3, "%", "percent"),
        ("5,3 Prozent", 5.3, "%", "percent"),
        ("(5)%", -5, "%", "percent"),
        ("twenty-five percent", 25, "%", "percent"),
        ("three (3) minutes", 180, "second", "duration"),
        ("3 (three) minutes", 180, "second", "duration"),
        ("500ms", 0.5, "second", "duration"),
        ("10-year", 120, "month", "duration"),
        ("zwei Wochen", 1_209_600, "second", "duration"),
        ("100 MB", 1e8, "byte", "measure"),
        ("-5 °C", -5, "°C", "measure"),
        ("2x", 2, "x", "factor"),
        ("a million dollars", 1e6, "USD", "money"),
        ("two dozen", 24, None, "number"),
        ("1800 seconds", 1800, "second", "duration"),
        ("2018", 2018, None, "year"),
        ("FY18", 2018, None, "year"),
        ("Q1 2023", 20231, None, "quarter"),
        ("first quarter of 2023", 20231, None, "quarter"),
    ],
)
def test_a_value_is_read_with_what_stands_beside_it(text: str, number: float, unit: str | None, kind: str):
    assert read(f"It was {text} then.") == [(text, number, unit, kind)]


@pytest.mark.parametrize(
    "text",
    [
        "May 3, 2023",
        "3 May 2023",
        "3rd of May 2023",
        "3. Mai 2023",
        "3 mai 2023",
        "3 de mayo de 2023",
        "2023-05-03",
        "05/03/2023",
        "3.5.2023",
        "2023年5月3日",
    ],
)
def test_a_date_is_the_same_in_all_spellings(text: str):
    for found in dates(f"On {text}, it rained."), values(f"On {text}, it rained."):
        assert [(int(each.number), str(each.kind)) for each in found] == [(20230503, "date")]


@pytest.mark.parametrize(
    "text", ["COVID-19", "a 10-K form", "v1.4.2", "ERR_42", "x86", "10.0.0.1", "MS-DOS", "the DOS"]
)
def test_numbers_in_names_are_no_values(text: str):
    assert read(text) == []


def test_a_range_shares_its_unit_and_scale():
    assert [number for _, number, *_ in read("5 to 10 million")] == [5e6, 1e7]
    assert [unit for _, _, unit, _ in read("between 5-10% and 2x-20x")] == ["%", "%", "x", "x"]


def test_parentheses_are_negative_in_figures_only():
    numbers = [number for _, number, *_ in read("Loss (547) 12 (1,234) $(5), see note (3) of (2018)")]
    assert numbers == [-547, 12, -1234, -5, 3, 2018]


def test_a_unit_line_holds_for_bare_amounts():
    line = "(In millions of dollars, except per share amounts)"
    assert read("Marketing 18,878 in 2019", line)[0] == ("18,878", 18_878e6, "USD", "money")
    assert read("Marketing 18,878 in 2019", line)[1][1] == 2019
    assert read("Earnings per share $ 1.25", line) == [("$ 1.25", 1.25, "USD", "money")]
    assert read("Growth 5 %", line) == [("5 %", 5, "%", "percent")]
    assert unit_line("Umsatz in Mio. €").scale == unit_line("(Millions)").scale == Decimal(1_000_000)
    assert unit_line("$000").scale == 1000
    assert unit_line("It sold 5 million shares.").scale == 1


@pytest.mark.parametrize(
    ("said", "source", "agree"),
    [
        ("$6.0 billion", "6,021 million", True),
        ("$6.1 billion", "6,021 million", False),
        ("6,021 million", "$6.0 billion", False),
        ("3 minutes", "three (3) minutes", True),
        ("180 seconds", "3 minutes", True),
        ("3 hours", "3 minutes", False),
        ("one million", "1,000,000", True),
        ("5%", "(5)%", True),
        ("5%", "5", False),
        ("version 2", "version 2.3", False),
        ("14%", "14.3%", True),
        ("566,000", "566,123", False),
        ("May 2023", "3 May 2023", True),
        ("3 May 2023", "May 2023", False),
        ("2023", "May 3, 2023", True),
        ("Q2 2023", "second quarter of 2023", True),
        ("Q2 2023", "Q3 2023", False),
        ("$5 million", "€5 million", False),
    ],
)
def test_what_is_said_is_in_the_source_or_a_rounding_of_it(said: str, source: str, agree: bool):
    [first], [second] = values(said), values(source)
    assert agrees(first, second) is agree
    assert same(first, second) is (agree or agrees(second, first))


def test_decimal_commas_are_known_by_the_text():
    assert [number for _, number, *_ in read("Um 1,5 % auf 1.234 Stück")] == [1.5, 1234]
    assert [number for _, number, *_ in read("By 1.5 % to 1,234 units")] == [1.5, 1234]


NASTY = [
    "1,",
    "1",
    "(1",
    "1 ",
    "a1-",
    "1.1",
    "$",
    "may ",
    "first quarter of ",
    "two hundred ",
    "1 000 ",
    "in millions\n",
]
NASTY += [
    "2018-",
    "1-1",
    "(",
    "3 de ",
    "1 (three ",
    "US",
    "12/12/",
    "in ",
    "thousand ",
    "3 mil mil ",
    "\u00a0",
    "Q1 ",
    "1'",
]


@pytest.mark.parametrize("piece", NASTY)
def test_hostile_texts_take_time_in_proportion_to_their_length(piece: str):
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = time.process_time()
        values(text, text)
        return time.process_time() - started

    assert seconds(40_000) < 8  # a pattern that goes back takes minutes
