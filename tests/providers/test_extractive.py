"""The generator without a model."""

import pytest

from footnote.extracts.choosing import choose
from footnote.providers import GenerationRequest, Nearest, Passage, Statement, Usage
from footnote.providers.extractive import ExtractiveGenerator

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


@pytest.mark.parametrize("question", ["", "?", "the of and", "日本", "[1]", "x" * 8000, "Who?" * 2000])
async def test_odd_questions_do_no_harm(question: str) -> None:
    for claim in await claims(question, PASSAGES):
        assert claim.quote in PASSAGES[claim.marker - 1].text


async def test_nothing_to_quote() -> None:
    assert await claims("Who?", []) == []
    assert await claims("Who?", [Passage(1, "", "")]) == []


def test_a_passage_that_says_it_in_other_words_is_quoted_where_it_was_found():
    passages = [
        Passage(1, "report", "The firm's head is Ms Brandt, who took over in March. Its offices are in two states."),
        Passage(2, "report", "Umbrellas are handed out at the gate when it rains. They are to be brought back."),
    ]
    assert choose("Who leads this enterprise nowadays?", passages).found[0].marker == 1


async def test_what_does_not_hold_what_is_asked_for_is_told_to_be_near():
    [near, *_] = [each async for each in ExtractiveGenerator().generate(GenerationRequest("Who built it?", PASSAGES))]
    assert near == Nearest()


async def test_what_names_something_else_is_told_to_be_near():
    request = GenerationRequest("How much mercury does the bath hold?", PASSAGES, not_mentioned=["Eddystone"])
    [near, first, *_] = [each async for each in ExtractiveGenerator().generate(request)]
    assert near == Nearest()
    assert isinstance(first, Statement)


async def test_options_keep_their_dashes_when_bullets_are_taken_off():
    [claim] = await claims("Which option protects refs?", [Passage(1, "a", "- --force-with-lease alone protects refs")])
    assert claim.text == "--force-with-lease alone protects refs."


async def test_a_lone_line_is_shown_under_its_heading():
    text = "## Serving\n\n- frontend web applications\n- backends of mobile phones"
    first = (await claims("What is right for a frontend web application?", [Passage(1, "which.md", text)]))[0]
    assert first.text == "Serving: frontend web applications."
    assert first.quote == "- frontend web applications"
