"""Questions that are several: which parts they have, and that single ones stay whole."""

import time

import pytest

from footnote.extracts.parts import LONGEST, MOST_PARTS, parts

SEVERAL = {
    "How many employees did Amazon have in 2017 compared with 2019?": [
        "How many employees did Amazon have in 2017?",
        "How many employees did Amazon have in 2019?",
    ],
    "Compare the operating income of AWS in 2017 with that in 2019.": [
        "What is the operating income of AWS in 2017?",
        "What is the operating income of AWS in 2019?",
    ],
    "What was the operating income in 2017, and what was it in 2019?": [
        "What was the operating income in 2017?",
        "What was it in 2019 (the operating income)?",
    ],
    "Was revenue higher in 2018 than in 2017?": ["Was revenue higher in 2018?", "Was revenue higher in 2017?"],
    "How did sales change from 2017 to 2019?": ["How did sales change 2017?", "How did sales change 2019?"],
    "How do Box<T> and Rc<T> differ in the number of owners?": [
        "What is the number of owners of Box<T>?",
        "What is the number of owners of Rc<T>?",
    ],
    "Compare the revenue of Apple and Microsoft": [
        "What is the revenue of Apple?",
        "What is the revenue of Microsoft?",
    ],
    "What is the difference between git push and git pull?": ["What is git push?", "What is git pull?"],
    "Who gains more from the Budget, Siobhan or Eddie, and how much does each gain?": [
        "How much Siobhan gains from the Budget?",
        "How much Eddie gains from the Budget?",
    ],
    "Who gets more votes: Smith or Jones?": ["How much votes Smith gets?", "How much votes Jones gets?"],
    "Which is heavier, lead or gold?": ["How heavy is lead?", "How heavy is gold?"],
    "Who built the tower, and when does the siren stall?": ["Who built the tower?", "When does the siren stall?"],
    "Which oil does it burn, and who lit it?": ["Which oil does it burn?", "Who lit it (oil does it burn)?"],
    "When and where was Ada Lovelace born?": ["When was Ada Lovelace born?", "Where was Ada Lovelace born?"],
    "What is a trace? How long is it?": ["What is a trace?", "How long is it (a trace)?"],
    "When was 3M founded and by whom?": ["When was 3M founded?", "By whom (3M founded)?"],
    "Wie viele Mitarbeiter hatte Amazon 2017 und 2019?": [
        "Wie viele Mitarbeiter hatte Amazon 2017?",
        "Wie viele Mitarbeiter hatte Amazon 2019?",
    ],
    "Was ist der Unterschied zwischen Box und Rc?": ["Was ist Box?", "Was ist Rc?"],
    "Wer hat den Turm gebaut und wann?": ["Wer hat den Turm gebaut?", "Wann (den Turm gebaut)?"],
    "Wer verdient mehr, Anna oder Bert?": ["Wie viel Anna verdient?", "Wie viel Bert verdient?"],
    "Combien d'employés en 2017 par rapport à 2019 ?": [
        "Combien d'employés en 2017?",
        "Combien d'employés en 2019?",
    ],
    "Quelle est la différence entre Box et Rc ?": ["Qu'est-ce que Box ?", "Qu'est-ce que Rc ?"],
    "Qui a construit la tour et quand ?": ["Qui a construit la tour?", "Quand (construit la tour)?"],
    "¿Cuántos empleados tenía Amazon en 2017 y en 2019?": [
        "Cuántos empleados tenía Amazon en 2017?",
        "Cuántos empleados tenía Amazon en 2019?",
    ],
    "¿Quién construyó la torre y cuándo?": ["Quién construyó la torre?", "Cuándo (construyó la torre)?"],
    "¿Cuál es la diferencia entre Box y Rc?": ["¿Qué es Box?", "¿Qué es Rc?"],
}
SINGLE = (
    "",
    "What were the sales of Procter and Gamble in 2018?",
    "What was the revenue of the Electronics and Energy segment?",
    "How many people died between 1914 and 1918?",
    "Wie viele Menschen starben zwischen 1914 und 1918?",
    "What happens when I push and when I pull?",
    "Explain how it works and what it does",
    "What are the main features and benefits of X?",
    "Is it safe or dangerous, and why?",
    "Who was the man who built the tower and who later sold it?",
    "What was net income in 2018? Answer in millions and round it.",
    "what is known of slight rarefaction (the ?slip? effect) .",
    "Qui est l'homme qui a construit la tour et qui l'a vendue ?",
    "What does 2001: A Space Odyssey say of 2010?",
    "Which version came with 1.2017 and 1.2019?",
    "Who are the authors of the paper on trace-based just-in-time type specialization?",
)


@pytest.mark.parametrize("question", SEVERAL)
def test_a_question_has_its_parts(question: str) -> None:
    assert parts(question) == SEVERAL[question]


@pytest.mark.parametrize("question", SINGLE)
def test_what_is_one_question_stays_as_it_is(question: str) -> None:
    assert parts(question) == [question]


def test_there_are_four_at_most() -> None:
    assert len(parts("What were sales in 2015, 2016, 2017 and 2018, and who is the auditor of the firm?")) == MOST_PARTS
    assert len(parts("What is a? What is b? What is c? What is d? What is e?")) == MOST_PARTS


@pytest.mark.parametrize(
    "piece", ["and who ", "2017 and ", "compare a and ", "? ", "who or, ", "in the ", "difference "]
)
def test_work_is_bounded_however_the_question_is_made(piece: str) -> None:
    started = time.process_time()
    for start in ("", "Compare ", "Who gains more, ", "What is the difference between "):
        parts((start + piece * LONGEST)[:LONGEST])
        parts(start + piece * 20_000)
    assert time.process_time() - started < 0.5
