"""Answers from generators that behave, and from ones that do not."""

import random
import re
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from footnote import answering, documents, retrieval
from footnote.answering import Citation, Delta, Done, Event, Question, Sources, searching
from footnote.citations import SHORTEST_QUOTE, CodeIndex, MarkerParser
from footnote.errors import TimedOut, Unavailable
from footnote.providers import GenerationRequest, GeneratorEvent, ModelRef, Statement, Token, Usage
from footnote.providers.fallback import Fallback
from footnote.retrieval import Query, SearchResult
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
LAMP = "The lamp burns oil. Agnes Tolmie built the tower in 1874. The lamp burns oil. It holds [12] mercury."
SET = "The keeper's “well-\nknown” of\ufb01ce   holds 1,500 lamps, 12.5 % more. 灯塔燃烧石\n蜡油的。 It shut in 1974."
FOG = "The siren stalls at 2.1 bar. It needs twenty minutes to recover."


async def make_question(rt: Runtime) -> tuple[str, Question]:
    """A tenant with two documents, and a question about both."""
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, LAMP, "lamp.txt")
    await driving.ready(rt, tenant_id, FOG, "fog.txt")
    return tenant_id, Question(Query("Who built the tower with the lamp that burns oil, or the siren that stalls?"))


engine, stored = stored_once(make_question)


@pytest.fixture
def rt(rt: Runtime, stored: tuple[str, Question]) -> Runtime:
    """With a model that is known to cite, so that its words are shown at once."""
    return replace(rt.for_tenant(stored[0]), citing={ModelRef("fake", "fake-chat"): True})


@pytest.fixture
def question(stored: tuple[str, Question]) -> Question:
    return stored[1]


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
    assert [type(event) for event in events[1:-1]] == [Delta, Delta, Delta, Delta, Citation, Delta]
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
            yield Statement("It holds [12] mercury [1].", 1, "It holds [12] mercury.")
            yield Statement("Odd [[1]1] text", 9, "anything")

    events = [event async for event in answering.answer(replace(rt, generator=Quoting()), question)]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.answer.startswith("It holds mercury. [1]")
    assert [footnote.quote for footnote in done.citations] == ["It holds [12] mercury."]
    assert re.findall(r"\[\d+\]", done.answer) == ["[1]"]


async def test_nothing_relevant_is_refused_before_a_model_is_paid(rt: Runtime, question: Question) -> None:
    unrelated = Query("zebra quagga okapi")
    for query in (unrelated, Query("the of and", mode="keyword"), Query("?!", mode="keyword")):
        other = Question(query)
        events, done = await ask(rt, other, "must not be said")
        assert (done.answer_status, done.answer) == ("not_found", answering.NOT_FOUND)
        assert [type(event) for event in events] == [Sources, Delta, Done]
        assert done.usage == Usage(0, 0, 0.0)
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


async def test_a_quote_is_looked_for_on_the_whole_page(rt: Runtime) -> None:
    """Chunks are cut anywhere; the footnote's place is the page's, not the chunk's."""
    page = driving.paragraphs(5)
    await driving.ready(rt, rt.tenant, page, "lamp.txt")
    asked = Question(Query("Paragraph 2 of the lamp", mode="keyword", top_k=1))
    [hit] = (await retrieval.search(rt, asked.query)).hits
    assert hit.char_end + 100 < len(page)
    over_the_end = page[page.rindex(" ", 0, hit.char_end - 25) : page.index(" ", hit.char_end + 25)].strip()
    far = page[page.rindex(" ", 0, -40) :].strip()
    _, done = await ask(rt, asked, f'A [1: "{" ".join(over_the_end.split())}"]. B [1: "{far}"].')
    assert [footnote.verified for footnote in done.citations] == [True, True]
    for footnote, literal in zip(done.citations, (over_the_end, far), strict=True):
        assert page[footnote.char_start : footnote.char_end] == footnote.quote == literal


async def test_a_quote_is_what_the_page_says(rt: Runtime) -> None:
    page = "The keeper's “well-\nknown” of\ufb01ce   holds 1,500 lamps. It closed in 1974."
    await driving.ready(rt, rt.tenant, page, "lamp.txt")
    asked = Question(Query("How many lamps does the keeper's office hold?"))
    pieces = 'A [1: "“well-known” office holds 1,500 lamps"], [1: "holds 1,501 lamps"], [1: "1,500 lamps. It closed"].'
    _, done = await ask(rt, asked, pieces)
    assert [footnote.verified for footnote in done.citations] == [True, False, True]
    first = done.citations[0]
    assert page[first.char_start : first.char_end] == first.quote == "“well-\nknown” of\ufb01ce   holds 1,500 lamps"


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


# -- what nothing stands behind ------------------------------------------------------------------------------

OIL = '[1: "The lamp burns oil."]'


SAID: list[tuple[str, list[str], str]] = [
    (f"It burns oil {OIL}. It is green.", ["It is green."], "partial"),
    (f"It burns oil. {OIL} It is green. {OIL}", [], "supported"),
    (
        f"Here is what is said:\n\n## The lamp\n**Oil**\n- It burns oil {OIL}\n- It is green\n\nAnything else?",
        ["- It is green"],
        "partial",
    ),
    (f'It burns oil {OIL}. It is green [1: "The lamp is green."].', ["It is green [2]."], "partial"),
    (f"1. It burns oil {OIL}\n2. It is green, e.g. at night.", ["2. It is green, e.g. at night."], "partial"),
    (f"灯烧油{OIL}。灯是绿色的。", ["灯是绿色的。"], "partial"),
    (f"<tool_call>{OIL}</tool_call>Done.", ["Done."], "not_found"),
    ("The documents do not say when it was lit.", ["The documents do not say when it was lit."], "not_found"),
    ('It is green [1: "The lamp is green."].', ["It is green [1]."], "not_found"),
    (f"```\noil = 1 {OIL}\ngreen = 2\n```", [], "supported"),
]


async def test_every_sentence_without_support_is_listed(rt: Runtime, question: Question) -> None:
    for said, unsupported, status in SAID:
        _, done = await ask(rt, question, said)
        assert [each.text for each in done.unsupported] == unsupported
        assert [done.answer[each.char_start : each.char_end] for each in done.unsupported] == unsupported
        assert done.answer_status == status, said


async def test_a_claim_has_its_support_however_its_sentences_are_cut(rt: Runtime, question: Question) -> None:
    class Quoting(FakeGenerator):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            yield Statement("The lamp burns oil.[12] It holds mercury.", 1, "The lamp burns oil.")
            yield Statement("It is green.", 1, "The lamp is green.")

    done = [event async for event in answering.answer(replace(rt, generator=Quoting()), question)][-1]
    assert isinstance(done, Done)
    assert done.answer == "The lamp burns oil. It holds mercury. [1] It is green. [2]"
    assert [each.text for each in done.unsupported] == ["It is green."]


# -- five hundred answers that try to deceive ----------------------------------------------------------------

NUMBERS = ["0", "1", "2", "3", "7", "12", "999", "1, 2", "2,9", "0, 0", "1-3", "٢", "¹", "１，２"]


def _invented(chance: random.Random, pages: Sequence[str]) -> list[str]:
    """A stream of true quotes, altered quotes, invented markers, brackets and code, cut anywhere."""
    text = chance.choice(pages)
    start = chance.randrange(len(text))
    true = text[start : start + chance.randint(1, 60)]
    altered = true[: len(true) // 2] + chance.choice(["x", " ", "not ", "É", "1", " ... "]) + true[len(true) // 2 :]
    relaid = " ".join(true.replace("“", '"').replace("\ufb01", "fi").split())
    bits: list[str] = []
    for _ in range(chance.randint(1, 12)):
        number, other = chance.choice(NUMBERS), chance.choice(NUMBERS)
        bits.append(
            chance.choice(
                [
                    "The lamp burns ",
                    *(f"[{number}]", f"【{number}】", f"［{number}］", f"[^{number}]", f"[Source {number}]"),
                    *(f'[{number}: "{true}"]', f"[{number}: «{true}»]", f"[{number}: {true}]"),
                    *(f'[{number}: "{altered}"]', f"【{number}：“{relaid}”】", f'[{number}: "{relaid}"]'),
                    *(f"[[{number}]{other}]", f"[{number}[{other}]{number}]", f'[ [{number}]1: "{true}"]'),
                    *(f'[{number}: "[{number}: "{true}"]', f'[{number}: "{true}" [{other}]]', f'[{number}: "{true}'),
                    *(f"[<b>{number}]", f"[{number}](http://x.y/{other})", f"[\u200b{number}]", f"`a[{number}]`"),
                    *("[", "]", '"', "“", "a[0]", "\n\n", ".", "1]", "[1", ", 2]", "```\n", "<", "】", "[10:20]"),
                ]
            )
        )
    whole = "".join(bits)
    cuts = sorted(chance.choices(range(len(whole) + 1), k=6))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def _without_indexes(answer: str) -> str:
    """The answer without brackets in code that are joined to names, though some of them may be footnotes."""
    for part in MarkerParser().feed(answer):
        if isinstance(part, CodeIndex):
            answer = answer.replace(part.text, "…", 1)
    return answer


def _shown(answer: str) -> list[int]:
    """The numbers that a reader takes for footnotes, in brackets and digits of any script."""
    lists = re.findall(r"[\[［【〔]\s*\^?((?:\d|[¹²³])+(?:\s*[,，-]\s*\d+)*)\s*[\]］】〕]", answer)
    return [int(unicodedata.normalize("NFKC", number)) for each in lists for number in re.split("[,，-]", each)]


async def test_five_hundred_answers_that_try_to_deceive(
    rt: Runtime, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driving.ready(rt, rt.tenant, SET, "set.txt")
    hits = (
        await retrieval.search(rt, replace(question.query, text="The lamp, the siren and the well-known office"))
    ).hits
    assert len(hits) == 3

    async def found(*_args: Any) -> SearchResult:
        return SearchResult(hits)

    monkeypatch.setattr(searching, "search", found)
    async with rt.transaction() as session:
        pages = {hit.chunk_id: (await documents.page_text(session, hit.document_id, 1))[0] for hit in hits}
    chance = random.Random(42)
    verified = unverified = unlike = 0
    for _ in range(500):
        pieces = _invented(chance, list(pages.values()))
        events, done = await ask(rt, question, *pieces)
        assert "".join(event.text for event in events if isinstance(event, Delta)) == done.answer
        assert [event for event in events if isinstance(event, Citation)] == list(done.citations)
        assert [footnote.marker for footnote in done.citations] == list(range(1, len(done.citations) + 1))
        cited = {footnote.marker for footnote in done.citations}
        assert set(_shown(_without_indexes(done.answer))) <= cited <= set(_shown(done.answer)), (pieces, done.answer)
        assert {footnote.chunk_id for footnote in done.citations} <= pages.keys()
        for footnote in done.citations:
            if footnote.verified:
                page = pages[footnote.chunk_id]
                assert page[footnote.char_start : footnote.char_end] == footnote.quote
                assert len(footnote.quote) >= SHORTEST_QUOTE
                unlike += footnote.quote not in "".join(pieces)
            elif sum(map(str.isalnum, footnote.quote)) >= SHORTEST_QUOTE:
                assert f" {footnote.quote.strip()} " not in f" {pages[footnote.chunk_id]} "
            verified, unverified = verified + footnote.verified, unverified + (not footnote.verified)
        checked = [footnote.verified for footnote in done.citations]
        expected = "supported" if all(checked) and not done.unsupported else "partial"
        assert done.answer_status == (expected if any(checked) else "not_found")
        assert all(done.answer[each.char_start : each.char_end] == each.text for each in done.unsupported)
    assert min(verified, unverified, unlike) > 100, (verified, unverified, unlike)
