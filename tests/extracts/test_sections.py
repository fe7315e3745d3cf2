"""Questions about a section of a document: its conclusions, recommendations, findings."""

import pytest

from footnote.extracts import Passage
from footnote.extracts.choosing import choose
from footnote.extracts.question import understood
from footnote.extracts.sections import AskedSection

REPORT = (
    "# The Lights of the Coast\n\nThis report looks at all lights of the coast and at those who keep them.\n\n"
    "## 3. Recommendations\n\nThe harbour board should buy a second lamp for each tower before the winter.\n\n"
    "- Each keeper should have a whistle of brass.\n- Each tower should have a store of dry wood.\n"
    "- Each boat should carry a flag.\n\n"
    "### 3.1 Money\n\nThe lamps should be paid out of the dues of the harbour.\n\n"
    "## 4. Conclusions\n\nThe lights of the coast are too weak for the new boats of the harbour. "
    "Two towers out of three were dark on at least one night of the year.\n\n"
    "## References\n\nA list of the lights was printed by the board some years ago."
)
PASSAGES = [Passage(1, "lights.md > The Lights of the Coast", REPORT)]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What does the report conclude?", "conclusions"),
        ("What did the authors of the study find?", "findings"),
        ("What does lights.md recommend?", "recommendations"),
        ("What are the main findings?", "findings"),
        ("What did the evaluation team find?", "findings"),
        ("What are the conclusions of the report on the lights of the coast?", "conclusions"),
        ("What are the key results of the study?", "findings"),
        ("Summarize the conclusions.", "conclusions"),
        ("Please summarise the main recommendations of the audit report", "recommendations"),
        ("Was sind die wichtigsten Ergebnisse der Studie?", "findings"),
        ("Was empfiehlt der Bericht?", "recommendations"),
        ("Fasse die Schlussfolgerungen zusammen.", "conclusions"),
        ("Zu welchem Schluss kommt der Bericht?", "conclusions"),
        ("Quelles sont les principales conclusions du rapport ?", "conclusions"),
        ("Que recommande le rapport ?", "recommendations"),
        ("Quels sont les résultats de l'étude ?", "findings"),
        ("¿Cuáles son las recomendaciones del informe?", "recommendations"),
        ("¿Qué concluye el estudio?", "conclusions"),
        ("Quali sono i risultati principali dello studio?", "findings"),
    ],
)
def test_such_questions_ask_for_a_section(question: str, name: str) -> None:
    assert (understood(question).kind, understood(question).section) == ("about", AskedSection(name))


@pytest.mark.parametrize(
    "question",
    [
        "What does the report conclude about the lamp?",
        "What are the results of the trial of aspirin in 2019?",
        "What did the keeper find in the store?",
        "What is the report about?",
        "Who recommended the lamp?",
    ],
)
def test_others_ask_for_none(question: str) -> None:
    assert understood(question).section is None


def told(question: str, passages: list[Passage] = PASSAGES) -> tuple[str, bool]:
    chosen = choose(question, passages)
    return "\n".join(each.text for each in chosen.found), chosen.answers


def test_what_stands_under_the_heading_is_told() -> None:
    text, answers = told("What does the report conclude?")
    assert answers
    assert "too weak" in text
    assert "Two towers" in text
    assert "whistle" not in text
    assert "was printed" not in text


def test_a_list_and_sections_below_belong_to_it() -> None:
    text, answers = told("What does the report recommend?")
    assert answers
    assert "whistle of brass" in text
    assert "carry a flag" in text
    assert "second lamp" in text
    assert "too weak" not in text


def test_without_such_a_section_nothing_is_claimed() -> None:
    text, answers = told("What are the main findings?")
    assert not answers
    assert "too weak" in text, "what stands nearest is shown"
    plain = [Passage(1, "boats.md > Boats", "The boats of the harbour are listed here, each with its owner.")]
    text, answers = told("What does the report recommend?", plain)
    assert text
    assert not answers


def test_what_another_document_concludes_is_not_claimed() -> None:
    assert told("What are the conclusions of the report on the lights of the coast?")[1]
    assert not told("What are the conclusions of the report on railways?")[1]


def test_two_documents_of_one_name_are_not_taken_for_one() -> None:
    texts = ["The towers of the coast are too weak at night.", "The boats of the harbour are too heavy for the crane."]
    both = [Passage(n, "report.md", f"# Conclusions\n\n{text}", document=f"doc_{n}") for n, text in enumerate(texts, 1)]
    text, answers = told("What does the report conclude?", both)
    assert answers
    assert "towers" in text
    assert "boats" not in text


def test_a_passage_may_begin_within_the_section() -> None:
    behind = Passage(1, "lights.txt", "Nine towers of ten were lit on each night of the year.", "4. Results\n\nOf old:")
    assert told("What are the results?", [behind])[1]
    headed = Passage(1, "lights.docx > Lights > Key findings", "Nine towers of ten were lit on each night of the year.")
    assert told("What are the main findings?", [headed])[1]


def test_labels_in_capitals_begin_sections() -> None:
    text = (
        "BACKGROUND The towers of the coast are old. METHODS We looked at the towers on each night of the year. "
        "RESULTS Nine towers of ten were lit on each night. CONCLUSIONS Towers of wood should be built again in stone."
    )
    said, answers = told("What were the results of the study?", [Passage(1, "study.txt", text)])
    assert answers
    assert "Nine towers" in said
    assert "in stone" not in said
    assert "We looked" not in said


def test_a_sentence_with_such_a_word_is_no_heading() -> None:
    text = "The results of the vote were read out in the hall.\nThe conclusions were drawn by all who stood there."
    assert not told("What are the conclusions?", [Passage(1, "vote.txt", text)])[1]


@pytest.mark.parametrize(
    "text",
    [
        "Contents\n1 Introduction 1\n2 Methods 4\n3 Results 9\n",
        "Contents\n1 Introduction ..... 1\n\n3 Results ..... 9\n",
        "Contents\n\n1. Introduction\n2. Results\n",
        "Results | 2019 | 2020\n",
        "Results-based budgets\n",
        "Ergebnisse-Tafeln\n",
        "Finding your way\n",
        "Results of the vote were read out in the\nhall to all who stood there.",
    ],
)
def test_what_only_looks_like_a_heading_begins_no_section(text: str) -> None:
    text += "\nThe towers of the coast were looked at in the spring."
    said, answers = told("What are the main findings?", [Passage(1, "towers.txt", text)])
    assert said
    assert not answers


def test_a_number_without_end_is_no_number_of_a_heading() -> None:
    text = f"Results 1\n\n{'1' * 5000} {'2' * 5000}.{'3' * 5000} lamps\n\nNine towers of ten were lit on each night."
    assert "Nine towers" in told("What are the main findings?", [Passage(1, "towers.txt", text)])[0]


@pytest.mark.parametrize("heading", ["Finding 2", "Finding:", "Key results", "Ergebnisse", "4.2 RESULTS OF THE SURVEY"])
@pytest.mark.parametrize("behind", ["\n\n", "\n", "\na) ", "\nii. "])
def test_what_is_a_heading_begins_one(heading: str, behind: str) -> None:
    text = f"{heading}{behind}Nine towers of ten were lit on each night of the year."
    assert told("What are the main findings?", [Passage(1, "towers.txt", text)])[1]


@pytest.mark.parametrize("mark", ["-", "1."])
def test_a_list_directly_under_the_heading_is_the_answer(mark: str) -> None:
    items = ["Buy a second lamp", "Store dry wood", "Give each keeper a whistle"]
    marks = [mark if mark == "-" else f"{number}." for number in (1, 2, 3)]
    lines = "\n".join(f"{one} {item}" for one, item in zip(marks, items, strict=True))
    text = f"# Lights\n\nOf all lights.\n\n## Recommendations\n\n{lines}\n\n## References\n\nA list of the lights."
    said, answers = told("What does the report recommend?", [Passage(1, "lights.md > Lights", text)])
    assert answers
    assert all(item in said for item in items)
    assert "A list" not in said
