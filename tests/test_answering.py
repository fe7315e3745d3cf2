"""Answers from generators that behave, and from ones that do not."""

import random
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from footnote import answering, retrieval
from footnote.answering import Citation, Delta, Done, Event, Question, Sources
from footnote.citations import SHORTEST_QUOTE
from footnote.errors import TimedOut, Unavailable
from footnote.providers import Claim, GenerationRequest, GeneratorEvent, Token, Usage
from footnote.providers.fallback import Fallback
from footnote.retrieval import Found, Hit, Query
from footnote.runtime import Runtime
from tests import driving
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
LAMP = "The lamp burns oil. Agnes Tolmie built the tower in 1874. The lamp burns oil. It holds [12] mercury."
FOG = "The siren stalls at 2.1 bar. It needs twenty minutes to recover."


@pytest.fixture
async def question(rt: Runtime) -> Question:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, LAMP, "lamp.txt")
    await driving.ready(rt, tenant_id, FOG, "fog.txt")
    return Question(Query(tenant_id, "Who built the tower with the lamp, and when does the siren stall?"))


def fake(rt: Runtime) -> FakeGenerator:
    assert isinstance(rt.generator, FakeGenerator)
    return rt.generator


async def ask(rt: Runtime, question: Question, *pieces: str) -> tuple[list[Event], Done]:
    fake(rt).pieces = list(pieces)
    events = [event async for event in answering.answer(rt, question)]
    done = events[-1]
    assert isinstance(done, Done)
    return events, done


async def test_the_order_of_events(rt: Runtime, question: Question) -> None:
    events, done = await ask(
        rt, question, "Agnes Tolmie ", "built it [", '1: "Agnes Tolmie built the tower in 1874."', "]."
    )
    assert isinstance(events[0], Sources)
    assert [type(event) for event in events[1:-1]] == [Delta, Delta, Delta, Citation, Delta]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == done.answer
    assert done.answer == "Agnes Tolmie built it [1]."
    assert (done.answer_status, done.usage, done.model) == ("supported", Usage(11, 7), "fake-chat")
    assert done.timings["total"] >= done.timings["first_token"] >= done.timings["retrieve"] >= 0
    [footnote] = done.citations
    assert footnote.verified
    assert LAMP[footnote.char_start : footnote.char_end] == footnote.quote == "Agnes Tolmie built the tower in 1874."
    assert footnote.filename == "lamp.txt"


async def test_footnotes_are_numbered_as_they_appear(rt: Runtime, question: Question) -> None:
    quote = '"It needs twenty minutes to recover."'
    _, done = await ask(rt, question, f'A [2: {quote}]. B [1: "The lamp burns oil."]. C [2: {quote}] [2].')
    assert re.findall(r"\[(\d)\]", done.answer)[:3] == ["1", "2", "1"]
    assert [footnote.marker for footnote in done.citations] == list(range(1, len(done.citations) + 1))


async def test_what_was_not_retrieved_cannot_be_cited(rt: Runtime, question: Question) -> None:
    _, done = await ask(rt, question, 'Made up [0] [3], [99: "The lamp burns oil."] and [1, 3].')
    assert {int(number) for number in re.findall(r"\[(\d+)\]", done.answer)} == {1}
    assert len(done.citations) == 1


async def test_an_altered_quote_is_shown_as_not_verified(rt: Runtime, question: Question) -> None:
    _, done = await ask(rt, question, 'A [1: "The lamp burns gas."]. B [1: "The lamp burns oil."].')
    assert [footnote.verified for footnote in done.citations] == [False, True]
    assert done.citations[0].quote == "The lamp burns gas."
    assert done.answer_status == "partial"


async def test_a_marker_without_a_quote_gets_the_sentence_that_supports_it(rt: Runtime, question: Question) -> None:
    for empty in ("[2, 1]", "[2][1]", '[2: ""] [1: " "]', "[2], [1]"):
        _, done = await ask(rt, question, f"Tolmie built the tower in 1874 {empty}.")
        by_file = {footnote.filename: footnote.quote for footnote in done.citations}
        assert by_file["lamp.txt"] == "Agnes Tolmie built the tower in 1874.", empty
        assert done.answer_status == "supported"


async def test_an_answer_without_footnotes_is_not_supported(rt: Runtime, question: Question) -> None:
    for pieces in (("I do not know.",), (), ("", " ")):
        _, done = await ask(rt, question, *pieces)
        assert done.answer_status == "not_found"
        assert done.citations == []


async def test_a_sources_own_references_are_not_footnotes(rt: Runtime, question: Question) -> None:
    class Quoting(FakeGenerator):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            yield Claim("It holds [12] mercury [1].", 1, "It holds [12] mercury.")
            yield Claim("Odd [[1]1] text", 9, "anything")

    events = [event async for event in answering.answer(replace(rt, generator=Quoting()), question)]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.answer.startswith("It holds mercury. [1]")
    assert [footnote.quote for footnote in done.citations] == ["It holds [12] mercury."]
    assert re.findall(r"\[\d+\]", done.answer) == ["[1]"]


async def test_nothing_relevant_is_refused_before_a_model_is_paid(rt: Runtime, question: Question) -> None:
    tenant_id = question.query.tenant_id
    unrelated = Query(tenant_id, "zebra quagga okapi")
    for query in (unrelated, Query(tenant_id, "the of and", mode="keyword"), Query(tenant_id, "?!", mode="keyword")):
        other = Question(query)
        events, done = await ask(rt, other, "must not be said")
        assert (done.answer_status, done.answer) == ("not_found", answering.NOT_FOUND)
        assert [type(event) for event in events] == [Sources, Delta, Done]
        assert done.usage == Usage(0, 0)
    assert fake(rt).requests == []


async def test_a_generator_that_fails_is_raised(rt: Runtime, question: Question) -> None:
    class Failing(FakeGenerator):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            yield Token("Half an ")
            raise Unavailable("provider_unavailable")

    seen: list[Event] = []

    async def read() -> None:
        async for event in answering.answer(replace(rt, generator=Failing()), question):
            seen.append(event)

    with pytest.raises(Unavailable):
        await read()
    assert [type(event) for event in seen] == [Sources, Delta]


async def test_closing_an_answer_closes_the_generator(rt: Runtime, question: Question) -> None:
    closed = []

    class Watched(FakeGenerator):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            try:
                yield Token("a")
                yield Token("b")
            finally:
                closed.append(True)

    events = answering.answer(replace(rt, generator=Watched()), question)
    assert isinstance(await anext(events), Sources)
    assert isinstance(await anext(events), Delta)
    await events.aclose()
    assert closed == [True]


# -- three hundred answers that try to deceive ---------------------------------------------------------------


def _invented(chance: random.Random, hits: Sequence[Hit]) -> list[str]:
    """A stream of true quotes, altered quotes, invented markers and brackets, cut anywhere."""
    text = chance.choice(hits).text
    start = chance.randrange(len(text))
    true = text[start : start + chance.randint(1, 60)]
    altered = true[: len(true) // 2] + chance.choice(["x", " ", "not ", "É"]) + true[len(true) // 2 :]
    numbers = ["0", "1", "2", "3", "7", "12", "999", "1, 2", "2,9", "0, 0"]
    bits: list[str] = []
    for _ in range(chance.randint(1, 12)):
        number = chance.choice(numbers)
        bits.append(
            chance.choice(
                [
                    "The lamp burns ",
                    f"[{number}]",
                    f'[{number}: "{true}"]',
                    f'[{number}: "{altered}"]',
                    f"[[{number}]{chance.choice(numbers)}]",
                    f"[{number}[{chance.choice(numbers)}]{number}]",
                    f'[{number}: "[{number}: "{true}"]',
                    f'[ [{number}]1: "{true}"]',
                    *("[", "]", '"', "“", "a[0]", "\n\n", ".", "1]", "[1", ", 2]"),
                ]
            )
        )
    whole = "".join(bits)
    cuts = sorted(chance.choices(range(len(whole) + 1), k=6))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def _shown(answer: str) -> set[int]:
    """The numbers that a reader takes for footnotes."""
    lists = re.findall(r"\[\s*(\d{1,3}(?:\s*,\s*\d{1,3})*)\s*\]", answer)
    return {int(number) for each in lists for number in each.split(",")}


async def test_three_hundred_answers_that_try_to_deceive(
    rt: Runtime, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = (await retrieval.search(rt, question.query)).hits
    assert len(hits) == 2

    async def found(*_args: Any) -> Found:
        return Found(hits)

    monkeypatch.setattr(answering, "search", found)
    pages = {hit.chunk_id: {"lamp.txt": LAMP, "fog.txt": FOG}[hit.filename] for hit in hits}
    chance = random.Random(42)
    verified = unverified = 0
    for _ in range(300):
        pieces = _invented(chance, hits)
        events, done = await ask(rt, question, *pieces)
        assert "".join(event.text for event in events if isinstance(event, Delta)).strip() == done.answer
        assert [event for event in events if isinstance(event, Citation)] == list(done.citations)
        assert [footnote.marker for footnote in done.citations] == list(range(1, len(done.citations) + 1))
        assert _shown(done.answer) == {footnote.marker for footnote in done.citations}, (pieces, done.answer)
        for footnote in done.citations:
            page = pages[footnote.chunk_id]
            literal = page[footnote.char_start : footnote.char_end]
            quote = footnote.quote.strip()
            missing = quote not in page or len(quote) < SHORTEST_QUOTE
            assert (literal == footnote.quote) if footnote.verified else missing
            verified, unverified = verified + footnote.verified, unverified + (not footnote.verified)
        expected = "supported" if all(footnote.verified for footnote in done.citations) else "partial"
        assert done.answer_status == (expected if done.citations else "not_found")
    assert verified > 100
    assert unverified > 100


async def test_whoever_wrote_the_answer_is_named(rt: Runtime, question: Question) -> None:
    class Late(FakeGenerator):
        model = "late"

        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            if request.model == "late-2":
                raise TimedOut("provider_timeout")
            yield Token("Not said.")

    asked = replace(question, model="late-2")
    events = [
        each async for each in answering.answer(replace(rt, generator=Fallback([Late(), FakeGenerator()])), asked)
    ]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.model == "fake-chat"
