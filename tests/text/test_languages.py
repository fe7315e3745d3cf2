"""Which language a text is in; the sentences are ours."""

import json
import time
from pathlib import Path

import pytest

from footnote.text import languages
from footnote.text.languages import asked, configuration, decided, detected, evidence, stemming

TEXTS = json.loads(Path(__file__).with_name("languages.json").read_text("utf-8"))


@pytest.mark.parametrize("language", TEXTS)
def test_two_sentences_tell_the_language(language):
    assert detected(TEXTS[language]) == language


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Wie viele Tage habe ich für die Rückgabe?", "german"),
        ("Quand le musée est-il ouvert ?", "french"),
        ("¿Cuándo abre el museo?", "spanish"),
        ("When does the museum open?", "english"),
        ("Когда открыт музей и сколько это стоит?", "russian"),
        ("博物馆什么时候开放？", "chinese"),
    ],
)
def test_most_questions_do_too(question, language):
    assert detected(question) == language


@pytest.mark.parametrize(
    "text", ["", "ERR_CONN_42", "Siemens AG 2021", "museum opening hours", "12 345,67", "\n\t ", "😀"]
)
def test_what_says_too_little_is_not_guessed(text):
    assert detected(text) == ""


def test_evidence_of_pages_adds_up():
    half = evidence("Museum in der Altstadt")
    whole = evidence("Sonntag bis Donnerstag und Markt", half)
    assert (decided(half), decided(whole)) == ("", "german")

    mostly = evidence(TEXTS["german"] * 3, evidence(TEXTS["french"]))
    assert decided(mostly) == "german"


def test_a_list_of_words_is_in_no_language_though_some_are_small_words_of_one():
    assert detected("lamp oil lens mercury siren boat keeper tower door roof paint brush rock gull storm " * 9) == ""


def test_a_document_is_stemmed_in_its_language_unless_its_collection_says_another():
    assert stemming("auto", "german") == "german"
    assert stemming("auto", "polish") == "simple"
    assert stemming("auto", "") == "english"
    assert stemming("french", "german") == "french"
    assert configuration("") == ""


SPOKEN = {"english", "german", "spanish"}


@pytest.mark.parametrize(
    ("question", "language", "rest"),
    [
        ("What is a lamp?", "english", " is a lamp?"),
        ("Wer ist Schatzmeister?", "german", " ist Schatzmeister?"),
        ("¿Cuánto cuesta?", "spanish", " cuesta?"),
        ("lamp oil", "", "lamp oil"),
        ("Why", "", "Why"),
    ],
)
def test_the_word_that_a_question_asks_with_tells_its_language(question, language, rest):
    assert asked(question, SPOKEN) == (language, rest)


def test_what_a_question_is_in_beyond_doubt_is_not_changed_by_its_first_word():
    question = "Which, so sagten die Leute, ist das Wort für eine Frage, die man nicht stellt?"
    assert asked(question, SPOKEN) == ("german", question)


def test_a_word_asks_only_in_a_language_of_the_texts():
    for question in ("dove habitat", "chi square", "hoe"):
        assert asked(question, {"english"}) == ("", question)


def test_hostile_text_takes_linear_time():
    started = time.process_time()
    for text in ("a" * 100_000, "é" * 100_000, "क़" * 50_000, "退" * 100_000, "\u05b7" * 100_000, "\u0901a" * 50_000):
        evidence(text)

    assert time.process_time() - started < 3
    assert languages.LOOKED_AT < 10_000
