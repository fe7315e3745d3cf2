"""What a document is about."""

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
