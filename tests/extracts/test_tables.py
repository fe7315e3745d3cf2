"""Rows of tables as answers: the row, the column, the value with its unit, and the row as the quote."""

import time

import pytest

from footnote.citations import locate
from footnote.extracts import Passage
from footnote.extracts.tables import ANSWERS, RowAnswer, rows

SEGMENTS = """\
Information on reportable segments is as follows (in millions):

Year Ended December 31,
2017 2018 2019
Northern
Net sales $ 106,110 $ 141,366 $ 170,773
Operating income (loss) $ 2,837 $ 7,267 $ (7,033)
Towers
Net sales $ 17,459 $ 25,655 $ 35,026
Operating income $ 4,331 $ 7,296 $ 9,201
Earnings per share $ 1.25 $ 1.50 $ 1.75
Year-over-year percentage growth:
Net sales 33% 21% 12%
Operating income 40 20 10
"""
VOTES = """\
(1) The following persons were elected as directors of Lighthouse Trust:

Nominee For Against Abstain Broker Non-Votes
Agnes K. Tolmie 943,626,804 69,085,058 7,436,027 172,969,325
Jennifer Bailey 1,013,605,781 4,200,722 2,341,386 172,969,325

(2) The proposal about lamp oil was defeated:
For 250,838,697
Against 746,982,272
Broker Non-Votes 172,969,325
(3) The proposal about fog horns was defeated:
For 150,838,697
Against 846,982,272
Broker Non-Votes 172,969,325
"""
GROUPS = """\
Disability Category,Participants,Ballots Completed,Results,
Results: Accuracy | Time to complete
Disability Category: Blind | Participants: 5 | Ballots Completed: 1 | Results: 34.5%, n=1 | 1199 sec, n=1
Disability Category: Dexterity | Participants: 5 | Ballots Completed: 4 | Results: 98.3%, n=4 | 1672.1 sec, n=4
"""
OPTIONS = """\
| Option | Default | Meaning |
|---|---|---|
| max-boats | 12 | Boats that may moor at a time |
| lamp-oil | colza | What the lamp burns |
"""
CLAIMS = """\
 | 2006 | 2007
Claims filed | 1,748 | 1,635
Claims approved | 1,262 | 1,638
"""


def best(question: str, *texts: str, title: str = "report.pdf", before: str = "") -> RowAnswer:
    passages = [Passage(marker, title, text, before) for marker, text in enumerate(texts, 1)]
    found = rows(question, passages)
    assert found
    text = passages[found[0].marker - 1].text
    assert locate(found[0].quote, text) is not None
    assert "\n" not in found[0].quote
    assert 0 < found[0].score <= 1
    return found[0]


def test_a_row_is_said_with_its_section_column_unit_and_title():
    found = best("What were the net sales of Towers in 2018?", SEGMENTS)
    assert found.text == "Towers, Net sales, 2018: $25,655 million (Information on reportable segments)."
    assert found.quote == "Net sales $ 17,459 $ 25,655 $ 35,026"


def test_years_that_are_compared_are_said_together():
    found = best("Compare the operating income of Towers in 2017 with that in 2019.", SEGMENTS)
    assert found.text.startswith("Towers, Operating income, 2017: $4,331 million; 2019: $9,201 million")


def test_amounts_per_share_and_percentages_are_not_scaled():
    assert "2018: $1.50 (" in best("What were the earnings per share in 2018?", SEGMENTS).text
    assert "2018: 20%" in best("What was the growth of operating income in 2018 in percent?", SEGMENTS).text


def test_a_year_that_the_table_does_not_have_is_not_answered():
    assert rows("What were the net sales of Towers in 2024?", [Passage(1, "report.pdf", SEGMENTS)]) == []


def test_a_question_without_a_year_gets_all_columns():
    found = best("How much are the net sales of Towers?", SEGMENTS)
    assert "2017: $17,459 million; 2018: $25,655 million; 2019: $35,026 million" in found.text


def test_the_head_of_a_table_may_stand_before_the_passage_or_in_its_title():
    head, _, tail = SEGMENTS.partition("Towers\n")
    found = best("What were the net sales of Towers in 2018?", tail, before=f"{head}Towers\n")
    assert found.text.startswith("Towers, Net sales, 2018: $25,655 million")
    columns = "report.pdf > Year Ended December 31, > (in millions) > 2017 2018 2019"
    assert "2018: $25,655 million" in best("What were the net sales in 2018?", tail, title=columns).text


def test_a_line_with_the_name_of_the_table_and_years_heads_it():
    text = "Year ended\nDecember 31,\nNet Sales (Millions) 2018 2017\nOil $ 444 $ 486\nTotal Lamps $ 6,021 $ 5,853\n"
    assert "2018: $6,021 million" in best("What were the sales of lamps in 2018?", text).text


def test_a_column_of_words_is_found_by_the_labels_of_other_tables():
    found = best("How many votes were cast against Agnes Tolmie as a director?", VOTES)
    assert found.text.startswith("Agnes K. Tolmie, Against: 69,085,058")


def test_a_key_and_its_value_are_found_under_what_they_are_about():
    found = best("How many votes were against the proposal about fog horns?", VOTES)
    assert found.text.startswith("(3) The proposal about fog horns was defeated, Against: 846,982,272")


def test_where_columns_cannot_be_told_all_are_said_under_their_head():
    text = "Worldwide Sales Change Organic local- Total sales\nIndustrial 2.5 % (0.1) % (0.3) %\nLamps 3.3 (0.2) 0.3\n"
    found = best("How much did the sales of lamps change?", text)
    assert found.text == "Lamps: 3.3% | (0.2)% | 0.3% (columns: Worldwide Sales Change Organic local- Total sales)."


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How long did the blind participants take to complete the ballot?", "Blind, Time to complete: 1199 sec, n=1"),
        ("How many ballots were completed by participants with dexterity?", "Dexterity, Ballots Completed: 4"),
    ],
)
def test_cells_that_name_their_columns(question: str, said: str):
    assert best(question, GROUPS).text.startswith(said)


def test_rows_between_bars_stand_under_their_names():
    assert best("What is the default value of lamp-oil?", OPTIONS).text.startswith("lamp-oil, Default: colza")
    assert best("How many claims were approved in 2007?", CLAIMS).text.startswith("Claims approved, 2007: 1,638")


def test_another_label_is_worth_less():
    text = "(Millions) 2018 2017\nConsumer Health Care 389 421\nOther Health Care 6 1\nTotal Health Care 6,021 5,853\n"
    found = rows("What were the sales of Health Care in 2018?", [Passage(1, "report.pdf", text)])
    assert "6,021" in found[0].text
    assert all(each.score < found[0].score for each in found[1:])


def test_sentences_that_end_in_figures_are_no_rows():
    text = "The increase in the sales of towers was due to higher prices and more of them, and to the year 2018\n"
    assert rows("What were the sales of towers in 2018?", [Passage(1, "report.pdf", text)]) == []


NASTY = [
    "a 1 ",
    "1 ",
    "| ",
    "a: b | ",
    "2018 ",
    "$ ",
    "a\n",
    "a 1\n",
    "a | b\n",
    "(in millions)\n",
    "December 31, ",
    "Q1 ",
    "- ",
]


@pytest.mark.parametrize("piece", NASTY)
def test_hostile_texts_take_time_in_proportion_to_their_length(piece: str):
    text = piece * (40_000 // len(piece))
    started = time.process_time()
    rows("How many a b in 2018?", [Passage(1, "report.pdf", text, text)])
    assert time.process_time() - started < 12


SITES = """\
Table 4: Costs of works (in millions of pounds) and area

Site Cost (£ million) Area (ha) Year of breach
Harrow 4.7 240 2013
Ferry Point 7.9 209 2016
"""
STOCK = """\
sku: LK-1 | product: Brass gauge | supplier: Hofer | price_eur: 18.90 | stock: 420
sku: LK-2 | product: Bench microscope | supplier: Optika Nord | price_eur: 1290.00 | stock: 5
"""


def test_names_of_columns_that_end_in_their_units_tell_the_columns() -> None:
    [area, *_] = rows("What is the area of Ferry Point?", [Passage(1, "sites.pdf", SITES)])
    assert area.text.startswith("Ferry Point, Area (ha): 209 (")
    [cost, *_] = rows("How much did the works at Harrow cost?", [Passage(1, "sites.pdf", SITES)])
    assert "Cost (£ million): 4.7 (" in cost.text


def test_a_row_that_counts_something_else_does_not_say_how_many() -> None:
    found = rows("How many boats were there at the works of Harrow?", [Passage(1, "sites.pdf", SITES)])
    assert all(row.score < ANSWERS for row in found)


def test_a_row_of_named_cells_is_met_by_one_of_them_and_says_which() -> None:
    [row, *_] = rows("What is the price of the bench microscope?", [Passage(1, "stock.csv", STOCK)])
    assert row.score > ANSWERS
    assert row.text == "LK-2, Bench microscope, price_eur: 1290.00."
