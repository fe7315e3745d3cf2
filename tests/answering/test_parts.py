"""Questions of several parts: a search for each, in one answer."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import date

import pytest

from footnote import answering, retrieval
from footnote.answering import Done, Question, Sources, rewriting, searching
from footnote.errors import NotFound
from footnote.providers import GenerationRequest, GeneratorEvent, Token, Usage
from footnote.providers.extractive import ExtractiveGenerator
from footnote.retrieval import Query
from footnote.runtime import Runtime
from footnote.tenancy import usage
from tests import driving
from tests.conftest import stored_once
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
TOWER = "Agnes Tolmie built the tower of Fairhaven in 1874. It stands on the north cliff above the harbour."
SIREN = "The siren of Fairhaven stalls at 2.1 bar. It needs twenty minutes to recover its pressure."
FILLER = [f"Report {number}: the harbour of Fairhaven was dredged in spring by crew {number}." for number in range(9)]
BOTH = "Who built the tower of Fairhaven, and when does the siren stall?"
PARTS = ["Who built the tower of Fairhaven?", "When does the siren stall?"]


async def make(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    for number, page in enumerate([TOWER, SIREN, *FILLER]):
        await driving.ready(rt, tenant_id, page, f"{number}.txt")
    return tenant_id


engine, stored = stored_once(make)


@pytest.fixture
def rt(rt: Runtime, stored: str) -> Runtime:
    return rt.for_tenant(stored)


async def asked(rt: Runtime, text: str, **options: object) -> tuple[Sources, Done]:
    return await answering.collect(answering.answer(rt, Question(Query(text, mode="keyword", **options))))  # type: ignore[arg-type]


class Splitting(FakeGenerator):
    """Says `split` when it is asked for parts, and the answer otherwise."""

    split = "1. Who erected the tower of Fairhaven?\n2. At which pressure does the siren stall?"

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        yield Token(self.split if request.system_prompt == rewriting.SPLITTING else "Agnes Tolmie [1].")
        yield Usage(10, 5)


async def test_each_part_is_searched_and_answered(rt: Runtime) -> None:
    sources, done = await asked(replace(rt, generator=ExtractiveGenerator()), BOTH)
    assert sources.parts == PARTS
    assert {hit.text for hit in sources.hits[:2]} == {TOWER, SIREN}
    assert {"Agnes Tolmie", "2.1 bar"} <= {
        said for said in ("Agnes Tolmie", "2.1 bar") if any(said in each.quote for each in done.citations)
    }
    assert len({hit.chunk_id for hit in sources.hits}) == len(sources.hits)


async def test_a_single_question_is_searched_once(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[str] = []
    search = retrieval.search

    async def counting(rt: Runtime, query: Query, beside: object) -> object:
        searches.append(query.text)
        return await search(rt, query, beside)  # type: ignore[arg-type]

    monkeypatch.setattr(searching, "search", counting)
    splitting = Splitting()
    sources, _ = await asked(replace(rt, generator=splitting), PARTS[0])
    assert (searches, sources.parts, len(splitting.requests)) == ([PARTS[0]], (), 1)
    await asked(replace(rt, generator=ExtractiveGenerator()), BOTH)
    assert searches[1:] == PARTS


async def test_the_model_names_the_parts_or_rules_do(rt: Runtime) -> None:
    splitting = Splitting()
    sources, done = await asked(replace(rt, generator=splitting), BOTH)
    assert sources.parts == ["Who erected the tower of Fairhaven?", "At which pressure does the siren stall?"]
    assert done.usage == Usage(20, 10)
    assert splitting.requests[1].question == BOTH
    for split in ("I cannot.", "a\nb\nc\nd\ne", "What is a dog?\nWhat is a cat?", "tower " * 300):
        splitting.split = split
        assert (await asked(replace(rt, generator=splitting), BOTH))[0].parts == PARTS


async def test_each_part_counts_as_a_query(rt: Runtime) -> None:
    async def queries() -> int:
        async with rt.transaction() as session:
            return sum(
                row["queries"] for row in await usage.report(session, date(2020, 1, 1), date(2100, 1, 1), ["day"])
            )

    before = await queries()
    await asked(replace(rt, generator=ExtractiveGenerator()), BOTH)
    assert await queries() == before + 2


async def test_the_answer_is_given_again_for_the_same_words_alone(rt: Runtime) -> None:
    rt = replace(rt, settings=rt.settings.model_copy(update={"answer_cache_seconds": 60.0}))
    told = "Who built the tower of Fairhaven? When does the siren stall?"
    cached = [(await asked(rt, each))[1].cached for each in (told, told, PARTS[0])]
    fake = rt.generator
    assert isinstance(fake, FakeGenerator)
    fake.pieces = ['Agnes Tolmie [1: "Agnes Tolmie built the tower of Fairhaven in 1874."].']
    cached = [(await asked(rt, each))[1].cached for each in (told, told, PARTS[0])]
    assert cached == [False, True, False]


async def test_what_a_search_raises_is_raised(rt: Runtime) -> None:
    with pytest.raises(NotFound):
        await asked(rt, BOTH, collections=["none"])
