"""Which extracts are chosen, by the kind of thing that is asked for."""

import random
import time

import pytest

from footnote.extracts import Passage
from footnote.extracts.choosing import MOST, choose
from footnote.extracts.cutting import LONGEST_LIST, cut

KEEPERS = (
    "3.1 Keepers\n"
    "The keeper keeps the log of the tower, and keepers of the tower keep it clean. The tower was finished in March "
    "1871 by masons of the harbour board. Its lamp burns 12 litres of oil a night. The log is kept by Anna Brandt, the "
    "principal keeper.\n"
    "A *wick* is a cord that draws oil into the flame. Keepers trim the wick of the tower each evening.\n"
    "The Tower Light Authority (TLA) pays $4,200 a year for the keepers of the tower.\n"
    "To trim the wick, run `wick --trim` in the tower.\n\n"
    "The duties of a keeper are:\n- to light the lamp\n- to sound the siren\n- to write the log\n"
)
TOWER = [Passage(1, "tower.md > Keepers", KEEPERS)]


def first(question: str, text: str = KEEPERS) -> str:
    return choose(question, [Passage(1, "tower.md > Keepers", text)]).found[0].text


@pytest.mark.parametrize(
    ("question", "held"),
    [
        ("When was the tower of the keepers finished?", "March 1871"),
        ("Who keeps the log of the tower?", "Anna Brandt"),
        ("How much oil does the lamp of the tower burn?", "12 litres"),
        ("How much money do the keepers of the tower get?", "$4,200"),
        ("What is a wick?", "cord that draws oil"),
        ("What does TLA stand for?", "Tower Light Authority"),
        ("How do I trim the wick of the tower?", "`wick --trim`"),
        ("What are the duties of a keeper?", "to write the log"),
    ],
)
def test_what_is_asked_for_comes_before_what_repeats_the_question(question: str, held: str) -> None:
    chosen = choose(question, TOWER)
    assert held in chosen.found[0].text
    assert chosen.answers


@pytest.mark.parametrize(
    "question",
    [
        "When did the masons of the tower go on strike?",
        "Who built the siren?",
        "What does LOG stand for?",
        "How much money did the siren cost?",
    ],
)
def test_what_lacks_the_kind_of_thing_is_near_at_best(question: str) -> None:
    text = "The masons of the tower went on strike over the siren and the log. The siren of the tower is loud."
    assert not choose(question, [Passage(1, "tower.md", text)]).answers


def test_a_year_of_the_question_is_no_answer_to_when() -> None:
    text = "In 2019 the board of the harbour met often. The board met for the last time on 3 May."
    assert first("On what day did the board meet for the last time in 2019?", text).endswith("3 May.")


def test_words_in_small_letters_are_no_names() -> None:
    text = "Harbour Log and Tower Log are kept. The harbour log and the tower log were signed by Ada Lund."
    assert "Ada Lund" in first("Who signed the log?", text)


def test_a_sentence_is_quoted_whole() -> None:
    sentence = "The lamp of the tower, " + "which burns oil, " * 40 + "was lit first in 1872."
    assert first("When was the lamp of the tower lit first?", f"{sentence} It is bright.") == sentence


def test_a_list_comes_with_its_lead_in() -> None:
    [extract] = [each for each in cut(TOWER) if each.form == "list"]
    assert extract.text == "The duties of a keeper are:\n- to light the lamp\n- to sound the siren\n- to write the log"


def test_lines_below_a_colon_belong_to_it() -> None:
    text = "Common issues\n\nThe common issues are:\n  annual leave\n  public holidays\n  casual employment"
    assert first("What are the common issues?", text).endswith("casual employment")


def test_a_term_stands_above_what_is_said_of_it() -> None:
    text = "--mirror\n\nMirror all refs that there are, under refs/heads and others.\n\n--dry-run\n\nDo all but send."
    assert first("What does --dry-run do?", text) == "--dry-run\n\nDo all but send."


def test_what_something_does_is_told_by_a_verb_behind_it() -> None:
    text = "The siren has two horns. In fog there is a siren. A siren loudly warns the boats of the rocks."
    assert first("What does a siren do in fog?", text) == "A siren loudly warns the boats of the rocks."


def test_what_a_term_belongs_to_stands_anywhere_in_the_passage_of_its_definition() -> None:
    defined = "A watch is a turn of four hours by day and by night, which two keepers share."
    around = "The second watch eats late. At the end of a watch they ring. No keeper leaves his watch."
    passages = [
        Passage(1, "a", "Watches\n\nA harbour rule that lets all keepers sleep."),
        *(Passage(number, "c", f"The pier number {number} is old.") for number in range(2, 6)),
        Passage(6, "b", f"A harbour has a siren. {defined} {around}"),
    ]
    assert defined in [each.text for each in choose("What is a watch in the harbour?", passages).found]


def test_nights_are_a_span_of_time() -> None:
    text = "The guest pier lies behind the nine cranes. A boat may lie there for three nights."
    assert first("How many nights may a boat lie at the guest pier?", text) == "A boat may lie there for three nights."


def test_titles_are_lines_of_their_own() -> None:
    text = "3.1 Traces\nA trace is simply a program path, which may cross the calls of a function in any program."
    assert first("What is a trace?", text).startswith("A trace is")


def test_years_and_companies_in_names_of_files_count() -> None:
    passages = [
        Passage(1, "AMAZON_2019_10K.pdf", "We employed 798,000 people of all kinds at the end of the year."),
        Passage(2, "AMAZON_2017_10K.pdf", "We employed 566,000 people of all kinds at the end of the year."),
    ]
    assert choose("How many people did Amazon employ in 2017?", passages).found[0].marker == 2


def test_a_sentence_that_leans_on_the_one_before_comes_with_it() -> None:
    text = "The siren of Skerry stands by the stairs. It was tested in May 1902. The stairs are steep."
    assert first("When was the siren of Skerry tested?", text).startswith("The siren of Skerry")


def test_what_a_colon_announces_comes_with_it() -> None:
    text = "You can trim the wick with this command:\n\n```\nwick --trim now\n```\n\nThe wick is of cotton, and long."
    assert "wick --trim now" in first("How do I trim the wick?", text)


def test_short_forms_count_as_what_they_stand_for() -> None:
    text = (
        "We founded the Tower Light Authority (TLA) this spring. The Tower Light Authority is a good thing to have. "
        "The TLA will have members from Nordvik, Gamby and Sydholm."
    )
    assert "Nordvik" in first("Which villages are in the Tower Light Authority?", text)
    assert "Ada Lund" in first(
        "Who is the CEO?", "The CEO travels. Ada Lund has been chief executive officer since May."
    )


def test_a_term_that_nothing_defines_is_not_explained() -> None:
    text = "A stone that stays in the house counts for curling teams. In curling a stone may leave the house again."
    assert not choose("What is a house in curling?", [Passage(1, "curling", text)]).answers


def test_claims_follow_the_order_of_retrieval() -> None:
    passages = [
        Passage(
            1, "a", "Oil from the lamp of the tower harms seals in the bay, as a study of many winters found at last."
        ),
        Passage(2, "b", "Oil of the lamp harms seals and gulls in other bays than this."),
    ]
    assert choose("Oil of the lamp harms seals", passages).found[0].marker == 1


def test_near_duplicates_come_once() -> None:
    twice = [Passage(number, "", "The bath holds 140 kilograms of mercury.") for number in (1, 2, 3)]
    assert [each.marker for each in choose("How much mercury is in the bath?", twice).found] == [1]


def test_every_extract_is_literally_in_its_passage() -> None:
    chance = random.Random(11)
    bits = ["The lamp", "burns", "[1]", ".", ". ", "\n", "\n- ", ":\n", "!", "siren", "é", "\u2028", "x" * 700, "1,234"]
    for _ in range(50):
        passages = [
            Passage(number, chance.choice(bits), " ".join(chance.choices(bits, k=30))) for number in range(1, 5)
        ]
        for extract in cut(passages):
            text = passages[extract.marker - 1].text
            assert text[extract.start : extract.end] == extract.text
            assert 0 < len(extract.text) <= LONGEST_LIST
        assert len(choose(" ".join(chance.choices(bits, k=5)), passages).found) <= MOST


@pytest.mark.parametrize("question", ["Who is TLA?", "What does TLA stand for?", "How much?"])
@pytest.mark.parametrize(
    "text",
    ["A. " * 13_000, "(" * 40_000, "- a\n" * 10_000, "1," * 20_000, "TLA (" * 8_000, "Ab " * 13_000, "x" * 40_000],
)
def test_hostile_texts_take_seconds_at_most(question: str, text: str) -> None:
    started = time.process_time()
    choose(question, [Passage(1, "a", text)])
    assert time.process_time() - started < 8


@pytest.mark.parametrize(
    ("question", "text", "answers"),
    [
        ("Who may sign the boat out after dark?", "Only the head keeper may sign a boat out after dark.", True),
        ("Who may sign the boat out after dark?", "The boat was signed out in the rain after dark.", False),
        ("Wer darf das Boot ausleihen?", "Nur der erste Wärter darf das Boot ausleihen.", True),
        ("When must the cone be hoisted?", "Hoist the cone when the barometer falls by six hectopascals.", True),
        ("When is the cone hoisted?", "Hoist the cone when the barometer falls by six hectopascals.", True),
        ("From when to when are visitors welcome?", "Visitors are welcome from May to September.", True),
        ("When was the cone hoisted?", "Hoist the cone when the barometer falls by six hectopascals.", False),
    ],
)
def test_a_rule_is_answered_by_a_role_or_a_condition(question: str, text: str, answers: bool) -> None:
    assert choose(question, [Passage(1, "rules.md", text)]).answers is answers


WRAPPED = (
    "The keepers of the coast founded a union in 1871. LAMP stands for\nLights And Masts of the Pier, which is what "
    "the union calls itself in all\nof its letters to the harbour board. The storm of 5 March\n1872 took the roof of "
    "the tower, and the union paid for a new one."
)


def test_a_line_that_only_ends_a_sentence_is_no_heading() -> None:
    assert all(each.label == "" for each in cut([Passage(1, "union.pdf", WRAPPED)]))
    chosen = choose("What does LAMP stand for?", [Passage(1, "union.pdf", WRAPPED)])
    assert "Lights And Masts of the Pier" in chosen.found[0].text


RATES = (
    "Rates\n\nPort | Berth for a night (EUR) | Water (EUR)\nNorth Quay | 14 | 3\nSouth Quay | 19 | 4\n\n"
    "Boats leave the quay before noon."
)


def test_the_head_of_a_table_answers_nothing_and_stands_before_its_rows() -> None:
    found = cut([Passage(1, "rates.docx", RATES)])
    rows = [each for each in found if " | " in each.text]
    assert [each.text for each in rows] == ["North Quay | 14 | 3", "South Quay | 19 | 4"]
    assert {each.label for each in rows} == {"Port | Berth for a night (EUR) | Water (EUR)"}


def test_a_row_of_named_cells_is_quoted_without_the_others() -> None:
    text = "part,name,rack\n" + "\n".join(
        f"part: {n} | name: {each} | rack: R{n}" for n, each in enumerate(("wick", "lens"))
    )
    assert first("Where is the lens of the rack?", text) == "part: 1 | name: lens | rack: R1"


def test_a_row_of_figures_is_no_heading() -> None:
    text = "Pairs of boats by quay\nNorth 12 14 16\nSouth 22 24 26\n\nThe boats of the quay are counted each spring."
    assert all("24" not in each.label for each in cut([Passage(1, "boats.pdf", text)]))


def test_a_question_in_the_words_of_a_heading_is_answered_by_the_whole_list() -> None:
    text = "What is not repaid\n\n- Fines of the harbour\n- Lost flags\n- Guests on board\n\nClaims are repaid in June."
    chosen = choose("What is not repaid?", [Passage(1, "claims.docx", text)])
    assert chosen.answers
    assert any("Fines of the harbour" in each.text and "Guests on board" in each.text for each in chosen.found)


def test_what_only_announces_comes_with_what_it_announces() -> None:
    text = "The keepers of the tower found the following. The lamp of the tower was dark on nine nights of the year."
    assert "nine nights" in first("What did the keepers find in the tower?", text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("When does the store open?", "The store is open from 8:00 to 17:30 on working days."),
        ("Quand ouvre le phare ?", "Le phare ouvre à 10 h, sauf par mauvais temps."),
    ],
)
def test_a_time_of_the_day_says_when(question: str, text: str) -> None:
    assert choose(question, [Passage(1, "store.md", text)]).answers


def test_a_comparison_is_no_definition() -> None:
    text = "A fog horn was cheaper for the harbour than a bell.\nFog horn: a horn that warns boats in fog."
    assert first("What is a fog horn?", text).startswith("Fog horn:")
