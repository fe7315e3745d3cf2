"""What a question asks for."""

import time

import pytest

from footnote.extracts.question import understood


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What is the handbook about?", "about"),
        ("Worum geht es in der Satzung?", "about"),
        ("De quoi parle ce rapport ?", "about"),
        ("¿De qué trata el informe?", "about"),
        ("What does the letter report?", "about"),
        ("What does NATO stand for?", "acronym"),
        ("Wofür steht THW?", "acronym"),
        ("What is the KTC?", "acronym"),
        ("What does KTC mean in the annual report?", "acronym"),
        ("When was the tower built?", "when"),
        ("Seit wann ist sie im Amt?", "when"),
        ("Depuis quand est-il auditeur ?", "when"),
        ("¿Cuándo se fundó?", "when"),
        ("Quando foi fundada?", "when"),
        ("Wanneer is het gebouwd?", "when"),
        ("In what year did it open?", "when"),
        ("Who signed it?", "who"),
        ("Von wem stammt der Brief?", "who"),
        ("¿Quién firmó la carta?", "who"),
        ("How many lamps are there?", "value"),
        ("Wie viele Lampen gibt es?", "value"),
        ("Combien de lampes y a-t-il ?", "value"),
        ("¿Cuántas lámparas hay?", "value"),
        ("Quanti fari ci sono?", "value"),
        ("Hoeveel lampen zijn er?", "value"),
        ("What were the net sales in 2018?", "value"),
        ("How do I trim the wick?", "howto"),
        ("Wie kann ich den Docht kürzen?", "howto"),
        ("Comment couper la mèche ?", "howto"),
        ("How do the two lamps differ?", "compare"),
        ("What is the difference between oil and gas?", "compare"),
        ("What are the duties of a keeper?", "list"),
        ("What is a wick?", "definition"),
        ("Was ist ein Docht?", "definition"),
        ("Was tut die Sirene?", "definition"),
        ("What does a siren do in the fog?", "definition"),
        ("Where is the spare siren?", "where"),
        ("Can the keeper leave?", "yes_no"),
        ("What is the capital of the island?", "fact"),
        ("Which oil burns brightest?", "fact"),
        ("How do I push when the branch is gone?", "howto"),
    ],
)
def test_the_kind_is_told_by_the_words(question: str, kind: str) -> None:
    assert understood(question).kind == kind


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("What is a linked worktree?", "linked worktree"),
        ("What is a trace in TraceMonkey?", "trace"),
        ("Qu'est-ce qu'un phare ?", "phare"),
        ("¿Qué es un mutex?", "mutex"),
        ("What does RECA stand for?", "RECA"),
        ("Was bedeutet RECA?", "RECA"),
        ("What does monomorphization mean?", "monomorphization"),
        ("What is the meaning of life?", "life"),
        ("What does a siren do in the fog?", "siren"),
    ],
)
def test_what_is_to_be_explained(question: str, subject: str) -> None:
    assert understood(question).subject == subject


@pytest.mark.parametrize(
    ("question", "measure"),
    [
        ("How much money does she get?", "money"),
        ("What percentage of the oil is lost?", "percent"),
        ("How long does the oil last?", "duration"),
        ("How many days until the money is paid back?", "duration"),
        ("Wie viele Nächte darf ein Boot am Steg liegen?", "duration"),
        ("Per quante notti può restare la barca?", "duration"),
        ("How many keepers are there?", "count"),
        ("How high is the tower?", None),
    ],
)
def test_the_measure_of_a_number(question: str, measure: str | None) -> None:
    assert understood(question).measure == measure


def test_words_that_carry_meaning_have_no_possessive_and_no_question_word() -> None:
    assert understood("Who is the keeper's wife?").words == {"keep", "wif"}
    assert understood("Quel est le chiffre d'affaires d'Amazon ?").words == {"chiffr", "affair", "amazon"}
    assert understood("Wie viele Lampen hat der Turm?").words == {"lampen", "turm"}


@pytest.mark.parametrize(
    "question", ["", "?", "x" * 100_000, "what is " * 12_000, "how long " * 11_000, "((((" * 25_000]
)
def test_long_questions_take_no_time(question: str) -> None:
    started = time.process_time()
    understood(question)
    assert time.process_time() - started < 0.5
