"""Sentences and words."""

import random
from itertools import pairwise

import pytest

from footnote.text import sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences.spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("One", ["One"]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("He said “no.” Then he left.", ["He said “no.”", "Then he left."]),
        ("It rose 2.4 bar. Then v2.3.1 came.", ["It rose 2.4 bar.", "Then v2.3.1 came."]),
        ("See Fig. 3 and e.g. the lamp by Dr. A. Tolmie.", ["See Fig. 3 and e.g. the lamp by Dr. A. Tolmie."]),
        ("Heading\n\nText follows", ["Heading", "Text follows"]),
        ("1. One. Two\n 2. Three", ["1. One.", "Two", "2. Three"]),
        ("So vgl. Abb. 3, d.h. ca. 5 m. Ende.", ["So vgl. Abb. 3, d.h. ca. 5 m.", "Ende."]),
        ("Er kam am 12. Mai 1921. Im 19. Jahrhundert nicht.", ["Er kam am 12. Mai 1921.", "Im 19. Jahrhundert nicht."]),
        ("Der Bund e. V. hat z. B. i. d. R. Lampen. Ende.", ["Der Bund e. V. hat z. B. i. d. R. Lampen.", "Ende."]),
        ("There are 12. May comes.", ["There are 12.", "May comes."]),
        ("A list:\n- one\n- two", ["A list:", "- one", "- two"]),
        ("A line\nbroken here. End.", ["A line\nbroken here.", "End."]),
        ("一文。二文！三文", ["一文。", "二文！", "三文"]),
        ("Wait… what? Yes", ["Wait…", "what?", "Yes"]),
        ("...", ["..."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_spans_cover_everything_but_white_space() -> None:
    chance = random.Random(3)
    bits = ["word", ".", "!", " ", "\n", "\n\n", "- ", "e.g. ", "。", '"', ")", "A.", "\u2003", "9.", "é"]
    for _ in range(500):
        text = "".join(chance.choices(bits, k=30))
        spans = sentences.spans(text)
        assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        covered = "".join(text[start:end] for start, end in spans)
        assert "".join(covered.split()) == "".join(text.split())


def test_words_keep_identifiers_whole() -> None:
    assert sentences.words("The ERR_CONN_42 of v2.3.1, second-order; don't!") == [
        *("the", "err_conn_42", "of", "v2.3.1", "second-order", "don't")
    ]
    assert sentences.words("日本 Ölstand _x_ ١٢") == ["日本", "ölstand", "x", "١٢"]


def test_stems_bring_forms_of_a_word_together() -> None:
    for forms in (("implements", "implementing", "implemented"), ("station", "stations"), ("lamp", "lamps")):
        assert len({sentences.stems(form)[0] for form in forms}) == 1
    assert sentences.stems("second-order") == ["second-order", "second", "ord"]
    assert sentences.stems("is as us") == ["is", "as", "us"]
