"""What a question names and no passage holds."""

from time import process_time

import pytest

from footnote.extracts.constraints import unmet

THREE_M = "3M_2018_10K.pdf\nNet Sales\nNet sales of 3M were $32,765 million in the year ended December 31, 2018."
AMEX = "AMERICANEXPRESS_2022_10K.pdf\nAmerican Express Company (AXP) is a payments company. Ramon L. Laguarta joined."


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("What were Honeywell's net sales in 2018?", ["Honeywell"]),
        ("What were the net sales of Johnson & Johnson?", ["Johnson & Johnson"]),
        ("What dividend per share did 3M pay in 2024?", ["2024"]),
        ("What were 3M's net sales in fiscal '19?", ["fiscal '19"]),
        ("What were 3M's net sales in Q3 of FY2018?", ["Q3"]),
        ("What were 3M's net sales in the third quarter?", ["third quarter"]),
        ("Wie hoch war der Umsatz der AT&T im 3. Quartal 2018?", ["AT&T", "3. Quartal"]),
        ("Does it run on Python 3.12?", ["Python", "Python 3.12"]),
        ("Which sales did version 7 have?", ["version 7"]),
        ("Does vitamin C sell?", ["vitamin C"]),
        ("What is setup.cfg about?", ["setup.cfg"]),
        ("What is the sales figure for part LX-4711?", ["LX-4711"]),
        ("Did General Mills sell it?", ["General Mills"]),
    ],
)
def test_what_no_passage_names_is_said(question: str, missing: list[str]) -> None:
    assert unmet(question, [THREE_M]) == missing


@pytest.mark.parametrize(
    "question",
    [
        "What were 3M's net sales in FY2018?",
        "WHAT WERE THE NET SALES OF HONEYWELL?",  # says nothing about names by case
        "What Were The Total Earnings Of The Company?",
        "Wie hoch war der Umsatz im Geschäftsjahr 2018?",
        "Gibt es eine Kündigungsfrist für Lieferanten?",
        "is there anything about cats",
        "Summarise the document. Answer in USD millions.",
        "What is the EBITDA margin of 3M?",
        "What is days payable outstanding (DPO)? DPO is defined as 365 * payables.",
        "On May 5, how many of 2000 people got 5km and $3M?",
        "Is it the 2nd of the 10-K forms?",
    ],
)
def test_what_is_no_name_is_not_missed(question: str) -> None:
    assert unmet(question, [THREE_M]) == []


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("Does AMEX have debt?", AMEX),
        ("Does AXP have debt?", AMEX),
        ("What has American Express' board decided?", AMEX),
        ("Who is Ramon Laguarta?", AMEX),
        ("What does the European Central Bank say?", "The ECB raises rates."),
        ("What does the ECB say?", "The European Central Bank raises rates."),
        ("What does Wal-Mart sell?", "Walmart sells food."),
        ("What does PepsiCo sell?", "Pepsi Co sells drinks."),
        ("Where is Zürich?", "Zurich lies in Switzerland."),
        ("Where is Italy?", "The Italian coast."),
        ("How do iPhones work?", "An iPhone works by touch."),
        ("What was it in Q1 2023?", "In the first quarter of 2023 it was 3."),
        ("What was it in the first quarter of 2023?", "1Q23: it was 3."),
        ("What was it in FY19?", "Fiscal 2019 was good."),
        ("What was it from 2016 to 2017?", "It was 3 in 2017."),
        ("What is interleukin in NOX2-mediated cells?", "NOX-2 is here."),
        ("What does YAP1 do?", "YAP goes into the nucleus."),
        ("What is in Python 3.11?", "Python 3.11.4 is out."),
        ("What does the K8S-dependent build do?", "K8s builds."),
    ],
)
def test_a_name_is_held_in_other_forms(question: str, passage: str) -> None:
    assert unmet(question, [passage]) == []


def test_a_number_tells_one_identifier_from_another() -> None:
    assert unmet("What does NOX2 do?", ["NOX1 and NOX3 are enzymes."]) == ["NOX2"]


def test_nothing_is_missing_where_nothing_was_found() -> None:
    assert unmet("What were Honeywell's net sales?", []) == []


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("A a" * 30_000, "A b " * 25_000),
        ("Ab & " * 20_000, "Ab, " * 25_000),
        ("Who is ABCDEFGH?", "A of B of " * 10_000),
        ("Is ABCDEFGH " * 300, "Abcd Abcd " * 10_000),
        ("2018-" * 20_000, "2018" * 25_000),
        ("Is foo.bar " + "a." * 50_000, "FOO " * 25_000),
    ],
)
def test_time_is_linear(question: str, passage: str) -> None:
    started = process_time()
    unmet(question, [passage])
    assert process_time() - started < 5
