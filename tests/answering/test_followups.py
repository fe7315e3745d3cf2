"""Questions that lean on others, by rules alone: what must be in them afterwards, and what must not change."""

import pytest

from footnote.answering.followups import standalone
from footnote.answering.rewriting import fitting
from footnote.providers import ChatMessage
from footnote.text import estimated_tokens

TOLMIE = "Agnes Tolmie lit the zircon lamp in 1874 [1]."
LEANING = [
    ("What was Acme's revenue in 2018?", "", "And in 2019?", "What was Acme's revenue in 2019?"),
    ("What was the profit in 2020?", "", "2021?", "What was the profit in 2021?"),
    ("How many people live in Paris?", "", "What about Berlin?", "How many people live in Berlin?"),
    ("How many people live in Paris?", "", "and in Berlin", "How many people live in Berlin?"),
    ("What was Acme's revenue in Germany?", "", "And in France?", "What was Acme's revenue in France?"),
    ("What was Acme's revenue in Germany?", "", "How about Globex?", "revenue Globex"),
    ("Who founded Acme?", "", "What about Globex?", "Who founded Globex?"),
    ("What is ERR_CONN_42?", "", "And ERR_CONN_43?", "What is ERR_CONN_43?"),
    ("How long is the warranty of the pump?", "", "And for the boiler?", "warranty boiler"),
    ("What is the highest pressure of the boiler?", "", "the lowest?", "pressure boiler lowest"),
    ("When did Marie Curie receive the Nobel Prize?", "", "And Einstein?", "receive Nobel Prize Einstein"),
    ("What is the price of the red lamp?", "", "Same for the blue one?", "price lamp blue"),
    ("Who wrote the Treaty of Rome?", "", "When was it signed?", "signed Treaty Rome"),
    ("What is the Skerry lighthouse?", "", "Who built it?", "built Skerry lighthouse"),
    ("What is ERR_CONN_42?", "", "How do I fix it?", "fix ERR_CONN_42"),
    ("How long is the warranty of the pump?", "", "Which parts are not covered by it?", "parts covered warranty pump"),
    ("How long is the warranty of the pump?", "", "What is its price?", "price pump"),
    ("Which ports does the relief boat visit?", "", "How often does it go there?", "often relief boat ports"),
    ("Which ports does the relief boat visit?", "", "What else does it carry?", "carry relief boat"),
    ("Who are the members of the board?", "", "Are they paid?", "paid members board"),
    ("Who are the members of the board?", "", "What are their names?", "names members board"),
    ("What is the notice period?", "", "Does that apply to apprentices?", "apply apprentices notice period"),
    ("Which lamps burn oil?", "", "What do these cost?", "cost lamps oil"),
    ("Which of the two pumps is cheaper?", "", "Which one is quieter?", "quieter pumps"),
    ("What is the capital of Norland?", "", "How many people live there?", "people live capital Norland"),
    ("What does the fog siren need?", "", "Why?", "fog siren need"),
    ("What does the fog siren need?", "", "Tell me more.", "fog siren need"),
    ("What does the fog siren need?", "", "How does that work?", "work fog siren"),
    ("Who keeps the light?", "", "And who relieves?", "relieves light"),
    ("Who lit the zircon lamp?", TOLMIE, "When was she born?", "born Agnes Tolmie zircon lamp"),
    ("Who designed the bridge in Newport?", "Ada Quill [1].", "Did she build others?", "build bridge Ada Quill"),
    ("Who lit the zircon lamp?", TOLMIE, "What does it burn?", "What does it burn? (zircon lamp)"),
    ("Which company bought Acme?", "Globex did in 1999 [2].", "Where is it based?", "based Globex"),
]
STANDING = [
    "Who is Ada Lovelace?",
    "What is photosynthesis?",
    "And when did Napoleon die?",
    "Does the lamp burn oil when it is lit?",
    "Does the lamp need its oil changed?",
    "What did the company say in its report?",
    "Why do ships sink when they hit rocks?",
    "What does the captain do if he sees fog?",
    "What is the name of the ship that sank?",
    "What was the revenue this year?",
    "How long does it take to charge the battery?",
    "Is it possible to change the pump?",
    "How many people are there in Berlin?",
    "Are there lighthouses in Norland?",
    "Is there a warranty for the pump?",
    "zircon lamp specification",
    "List all lighthouses built before 1900.",
    "In which year was the tower built?",
    "Wer hat den Leuchtturm gebaut?",
    "it " * 200,
]


@pytest.mark.parametrize(("asked", "answered", "question", "wanted"), LEANING, ids=[each[2] for each in LEANING])
def test_what_leans_is_made_to_stand(asked: str, answered: str, question: str, wanted: str) -> None:
    told = standalone(question, [ChatMessage("user", asked), ChatMessage("assistant", answered)])
    if "?" in wanted:
        assert told == wanted
    for word in wanted.split():
        assert word in told
    for year in ("2018", "2020"):
        assert year not in told, "what was replaced would be found again"


def test_the_title_of_a_table_is_no_part_of_the_answer() -> None:
    history = [
        ChatMessage("user", "How much did the works at Harrow cost?"),
        ChatMessage(
            "assistant", "Harrow, Cost (£ million): 4.7 (Table 4: Costs of Works (in millions of pounds) and Area). [1]"
        ),
    ]
    rewritten = standalone("When was it breached?", history)
    assert "Harrow" in rewritten
    assert "Table" not in rewritten
    assert "Area" not in rewritten


def test_what_stands_alone_stays() -> None:
    history = [ChatMessage("user", "What is the boiler of the Skerry lighthouse?"), ChatMessage("assistant", TOLMIE)]
    for question in STANDING:
        assert standalone(question, history) == " ".join(question.split())
        assert standalone(question, []) == " ".join(question.split())


def test_a_chain_of_follow_ups_keeps_its_subject() -> None:
    history = [ChatMessage("user", "What was Acme's revenue in 2018?"), ChatMessage("assistant", "9 [1].")]
    history += [ChatMessage("user", "And in 2019?"), ChatMessage("assistant", "10 [1].")]
    told = standalone("Why did it rise?", history)
    assert all(word in told for word in ("rise", "Acme", "revenue", "2019"))
    assert "2018" not in told


def test_hostile_text_costs_no_time() -> None:
    """Each would run for minutes if an expression went back and forth over it."""
    for text in ("a" * 8000, "A " * 4000, "and " * 2000, "1,1" * 2700, "it is " * 60, "in the " * 60, "(" * 8000):
        standalone(text, [ChatMessage("user", text), ChatMessage("assistant", text)])
        standalone("And in 2019?", [ChatMessage("user", text), ChatMessage("assistant", text)])
        standalone("Who wrote it?", [ChatMessage("user", text), ChatMessage("assistant", text)])


# -- as much of a history as fits ----------------------------------------------------------------------------


def test_whole_exchanges_are_kept_the_newest_first() -> None:
    history = [
        ChatMessage(role, f"{role} {number} " + "x" * 400) for number in range(4) for role in ("user", "assistant")
    ]
    assert fitting(history, 10_000) == history
    for tokens in range(0, 1000, 7):
        kept = fitting(history, tokens)
        assert kept == history[len(history) - len(kept) :]
        assert len(kept) % 2 == 0, "an answer without its question"
        assert sum(estimated_tokens(turn.content) for turn in kept) <= tokens
    assert fitting(history, 0) == []
    assert len(fitting(history, 450)) == 4
    assert fitting([ChatMessage("user", "é" * 400)], 150) == [], "bytes count, not characters"


def test_markers_of_earlier_answers_are_taken_out() -> None:
    history = [
        ChatMessage("user", "Who?"),
        ChatMessage("assistant", 'Agnes [1] and Ada [2: "a quote"], in [12, 3] 1874.'),
    ]
    assert [turn.content for turn in fitting(history, 100)] == ["Who?", "Agnes and Ada, in 1874."]
