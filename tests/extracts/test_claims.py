"""What is only related: it has the question's words, and not what is asked for."""

import pytest

from footnote.extracts import Passage, statement_rows
from footnote.extracts.choosing import choose
from footnote.extracts.question import understood
from footnote.providers.extractive import _statements


def answers(question: str, text: str, title: str = "report.pdf") -> bool:
    return choose(question, [Passage(1, title, text)]).answers


@pytest.mark.parametrize(
    ("question", "text", "is_answer"),
    [
        # what is counted
        ("How many employees does the harbour have?", "The harbour has 70 pension plans in 26 countries.", False),
        ("How many employees does the harbour have?", "The harbour has a staff of 70 in all.", True),
        ("How many bytes does a char take?", "A char takes 4 bytes.", True),
        ("Wie viele Boote hat der Hafen?", "Der Hafen hat 12 Kräne und einen Turm.", False),
        # the year
        ("How many keepers worked there in 2019?", "In 2017 there were 14 keepers who worked there.", False),
        ("How many keepers worked there in 2019?", "In 2019 there were 14 keepers who worked there.", True),
        # words that name nothing
        ("Are the keepers of Beacon represented by a union?", "Beacon pays its keepers on the first day.", False),
        ("When did Beacon take over the pier?", "Beacon acquired the pier in May 1931.", True),
        ("When did Beacon take over the pier?", "Beacon was painted in May 1931.", False),
        # persons
        ("Who wrote the tide report?", "The tide report was written by Ada Lund.", True),
        ("Who wrote the tide report?", "The tide report of the Dual Lamp Prototype is long.", False),
        (
            "When was Beacon incorporated?",
            "Plan of 2004, incorporated by reference from Beacon's filing of 2005.",
            False,
        ),
        ("Who signed the report?", "Date: May 5, 2023 By: /s/ Ada Lund", True),
        # words of a span of time, and what only a heading says
        (
            "How much did Beacon pay in dividends in the six months ended July 30, 2022?",
            "Beacon: net earnings of the six months ended July 30, 2022 were $274 million.",
            False,
        ),
        (
            "When was Beacon incorporated?",
            "Beacon was incorporated by charter. The lease of Beacon dates from May 4, 2004.",
            False,
        ),
        # a number that is part of a name
        ("How many people died in the accident?", "Of the people on Flight 302 many died in the accident.", False),
        ("How many people died in the accident?", "In the accident 157 people died.", True),
        # what it is, and what is done to it
        ("What is a linked tower?", "A linked tower is moved with care if the wind is strong.", False),
        ("What is a linked tower?", "A linked tower is a tower that shares its lamp with another.", True),
        # the largest of several
        (
            "Which pier had the largest sales?",
            "The sales of the north pier were 12 boats, of the south pier 14.",
            False,
        ),
        ("Which pier had the largest sales?", "The largest sales were the $14 of the north pier.", True),
    ],
)
def test_what_is_asked_for_must_stand_there(question: str, text: str, is_answer: bool) -> None:
    assert answers(question, text) is is_answer


def test_a_value_is_of_what_its_passage_names() -> None:
    text = "At the end of 2020 we had 114 keepers. "
    question = "How many keepers did Lantern Harbour have at the end of 2020?"
    assert not answers(question, text, "beacon_2020.pdf")
    assert answers(question, text, "lantern_2020.pdf")


def test_a_statement_asks_for_no_value() -> None:
    assert understood("The loss of the lamp harms the seals.").kind == "fact"
    assert understood("Give the loss of 2018.").kind == "value"


def test_a_command_behind_its_lead_in_belongs_to_the_answer() -> None:
    text = "To light the lamp, there is a tool. Run it like this:\n\n```sh\nlamp light --tower 2\nlamp status\n```\n"
    [[statement, *_], is_answer] = _statements("How do I light the lamp?", [Passage(1, "guide.md", text)], {})
    assert is_answer
    assert "`lamp light --tower 2` `lamp status`" in statement.text
    assert statement.quote in text


BALANCE = (
    "CONSOLIDATED BALANCE SHEETS\n(in millions)\nAt December 31, 2019 2018\nInventories 40 38\n"
    "Total current assets 90 85\nProperty, plant and equipment, net 300 290\nTotal assets 512 498\n"
    "Accounts payable 20 19\nRetained earnings 100 90\n"
)


@pytest.mark.parametrize(
    ("question", "row", "is_answer"),
    [
        ("Using the balance sheet, what is the net PPNE of 2019?", "Property, plant and equipment, net 300 290", True),
        ("From the balance sheet, what is the DPO of 2019?", "Accounts payable 20 19", True),
        ("From the balance sheet, what is the inventory turnover ratio of 2019?", "Inventories 40 38", False),
    ],
)
def test_rows_of_a_named_statement_are_called_as_it_calls_them(question: str, row: str, is_answer: bool) -> None:
    of_them = statement_rows.passages_of(question, [Passage(1, "beacon.pdf", BALANCE), Passage(2, "b", "A lamp.")])
    rows, says = statement_rows.rows(question, of_them)
    assert rows[0].quote == row
    assert says is is_answer
