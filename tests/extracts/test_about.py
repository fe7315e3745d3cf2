"""What a document is about."""

import pytest

from footnote.extracts import Passage
from footnote.extracts.choosing import choose

TITLE = "keeping.md > Keeping a Light"
PASSAGES = [
    Passage(
        1,
        TITLE,
        "# Keeping a Light\n\nSummary\n\nThis handbook tells keepers how the light of the tower is kept. "
        "The light and its keepers serve the boats of the harbour. Printed on grey paper by a shop in town.",
    ),
    Passage(2, TITLE, "The keepers trim the wick of the light each evening before the sun sets."),
    Passage(3, "boats.md > Boats", "The boats of the harbour are listed here, each with its owner and its number."),
]


def test_the_title_comes_before_what_the_beginning_says() -> None:
    chosen = choose("What is keeping.md about?", PASSAGES)
    assert chosen.answers
    assert chosen.found[0].text == "# Keeping a Light"
    assert chosen.found[1].text.startswith("This handbook tells keepers")


def test_only_one_document_is_told_of() -> None:
    assert {each.marker for each in choose("What is keeping.md about?", PASSAGES).found} <= {1, 2}


def test_a_document_without_sentences_is_not_told_of() -> None:
    assert not choose("What is it about?", [Passage(1, "a.csv", "1;2;3")]).answers


COVER = (
    "UNITED STATES\nSECURITIES AND EXCHANGE COMMISSION\nFORM 10-Q\nQUARTERLY REPORT\n"
    "For the quarter ended May 3, 2023\nBEACON CO., INC.\n(Exact name of registrant as specified in its charter)\n"
)
BOXES = "Indicate by check mark whether the registrant has filed all reports that it was required to file. Yes No"
SAID = "Beacon sells lamps for the towers of the harbour. The sales of lamps rose because more towers were lit."


def test_a_form_is_told_by_its_cover_and_by_what_no_form_says() -> None:
    title = "beacon.pdf > UNITED STATES"
    passages = [Passage(1, title, COVER), Passage(2, title, BOXES), Passage(3, title, SAID)]
    found = choose("What kind of document is beacon.pdf?", passages).found
    assert found[0].text.startswith("FORM 10-Q")
    assert found[0].text.endswith("BEACON CO., INC.")
    assert {each.marker for each in found[1:]} == {3}


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("What is the report about?", True),
        ("What is harbour_lights.pdf about?", True),
        ("Give me an overview of the harbour lights", True),
        ("Give me an overview of the payroll", False),
    ],
)
def test_another_document_than_the_one_that_is_meant_is_only_near(question: str, answers: bool) -> None:
    passages = [Passage(1, "harbour_lights > Lights", f"{SAID} All lights of the harbour are listed here by tower.")]
    assert choose(question, passages).answers is answers
