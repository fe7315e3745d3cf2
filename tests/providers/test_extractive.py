"""The generator without a model."""

import random

import pytest

from footnote.providers import GenerationRequest, Passage, Statement, Usage
from footnote.providers.extractive import LONGEST_SENTENCE, MOST_SENTENCES, ExtractiveGenerator, _readable, choose

pytestmark = pytest.mark.anyio

PASSAGES = [
    Passage(
        1, "handbook.pdf > Lamp", "The lamp burns from sunset. The bath holds 140 kilograms of mercury [12]. It is old."
    ),
    Passage(
        2, "handbook.pdf > Fog", "The siren stalls at 2.1 bar. It gives one blast of six seconds in ninety seconds."
    ),
    Passage(3, "boats.docx", "Only the principal keeper may sign a boat out after dark.\n- Oars are of ash wood."),
    Passage(4, "codes.md", "Error ERR_CONN_42 means that the relay is not connected. Replace the fuse first."),
]


async def claims(question: str, passages: list[Passage]) -> list[Statement]:
    events = [each async for each in ExtractiveGenerator().generate(GenerationRequest(question, passages))]
    assert events[-1] == Usage(0, 0)
    assert all(isinstance(each, Statement) for each in events[:-1])
    return [each for each in events if isinstance(each, Statement)]


@pytest.mark.parametrize(
    ("question", "marker", "quote"),
    [
        ("How much mercury does the bath hold?", 1, "The bath holds 140 kilograms of mercury [12]."),
        ("At what pressure does the siren stall?", 2, "The siren stalls at 2.1 bar."),
        ("Who may sign a boat out after dark?", 3, "Only the principal keeper may sign a boat out after dark."),
        ("What does ERR_CONN_42 mean?", 4, "Error ERR_CONN_42 means that the relay is not connected."),
        ("oars?", 3, "- Oars are of ash wood."),
    ],
)
async def test_the_right_sentence_comes_first(question: str, marker: int, quote: str) -> None:
    for passages in (PASSAGES, PASSAGES[::-1]):
        first = (await claims(question, passages))[0]
        assert (first.marker, first.quote) == (marker, quote)
        assert "\n" not in first.text
        assert not first.text.startswith("-")


async def test_every_quote_is_literally_in_its_passage() -> None:
    chance = random.Random(11)
    bits = [
        "The lamp",
        "burns",
        "mercury",
        "[1]",
        '[2: "x"]',
        ".",
        ". ",
        "\n",
        "\n- ",
        "!",
        "siren",
        "é",
        "\u2028",
        "x" * 700,
    ]
    for _ in range(200):
        passages = [
            Passage(number, chance.choice(bits), " ".join(chance.choices(bits, k=30))) for number in range(1, 5)
        ]
        found = await claims(" ".join(chance.choices(bits, k=5)), passages)
        assert len(found) <= MOST_SENTENCES
        for claim in found:
            text = next(passage.text for passage in passages if passage.marker == claim.marker)
            assert claim.quote in text
            assert len(claim.quote) <= LONGEST_SENTENCE


@pytest.mark.parametrize("question", ["", "?", "the of and", "日本", "[1]", "x" * 8000, "Who?" * 2000])
async def test_odd_questions_do_no_harm(question: str) -> None:
    for claim in await claims(question, PASSAGES):
        assert claim.quote in PASSAGES[claim.marker - 1].text


async def test_nothing_to_quote() -> None:
    assert await claims("Who?", []) == []
    assert await claims("Who?", [Passage(1, "", "")]) == []


async def test_the_same_sentence_is_not_said_twice() -> None:
    twice = [Passage(number, "", "The bath holds 140 kilograms of mercury.") for number in (1, 2, 3)]
    assert [claim.marker for claim in await claims("How much mercury is in the bath?", twice)] == [1]


def test_a_passage_that_says_it_in_other_words_is_quoted_where_it_was_found():
    passages = [
        Passage(1, "report", "The firm's head is Ms Brandt, who took over in March. Its offices are in two states."),
        Passage(2, "report", "Umbrellas are handed out at the gate when it rains. They are to be brought back."),
    ]
    assert choose("Who leads this enterprise nowadays?", passages)[0].marker == 1


def test_a_long_sentence_is_cut_between_words():
    long = "Lamps burn oil, " + "and more oil, " * 60
    [chosen] = choose("What do lamps burn?", [Passage(1, "", long)])
    assert len(chosen.text) <= LONGEST_SENTENCE
    assert long.startswith(chosen.text)
    assert chosen.text.endswith(("and", "more", "oil,"))


def test_options_keep_their_dashes_when_bullets_are_taken_off():
    assert _readable("- --force-with-lease alone protects all refs") == "--force-with-lease alone protects all refs."
    assert _readable("--force-with-lease alone\nprotects") == "--force-with-lease alone protects."
