"""Answers given again, and when they are not."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from footnote import answering, collections, documents
from footnote.answering import Citation, Delta, Done, Event, Question, answer_cache
from footnote.answering.same_question import equivalent
from footnote.collections import revisions
from footnote.database.clock import from_now
from footnote.database.redis_client import Shared
from footnote.database.tenant_scope import scoped
from footnote.documents import deletion
from footnote.filters import Among
from footnote.models import CachedAnswer, Collection, CollectionRevision, EmbeddingSpace
from footnote.operations import consistency
from footnote.providers import ChatMessage, Truncated
from footnote.retrieval import Query, question_vectors
from footnote.runtime import Runtime
from tests import driving
from tests.fakes import FakeEmbedder, FakeGenerator

pytestmark = pytest.mark.anyio
LAMP = "The lamp burns oil. Agnes Tolmie built the tower in 1874."
ASKED = "Who built the tower with the lamp?"
SAID = 'Agnes Tolmie did [1: "Agnes Tolmie built the tower in 1874."].'


@pytest.fixture
def keeping(rt: Runtime) -> Runtime:
    return replace(
        rt, settings=rt.settings.model_copy(update={"answer_cache_seconds": 60.0, "question_cache_seconds": 60.0})
    )


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, LAMP, "lamp.txt", external_id="lamp")
    return tenant_id


def fake(rt: Runtime) -> FakeGenerator:
    assert isinstance(rt.generator, FakeGenerator)
    return rt.generator


async def ask(rt: Runtime, tenant_id: str, words: str = ASKED, **given: Any) -> tuple[Sequence[Event], Done]:
    of_query = {name: given.pop(name) for name in list(given) if name in Query.__dataclass_fields__}
    fake(rt).pieces = [SAID]
    question = Question(Query(words, **of_query), **given)
    events = [event async for event in answering.answer(rt.for_tenant(tenant_id), question)]
    assert isinstance(events[-1], Done)
    return events, events[-1]


async def again(rt: Runtime, tenant_id: str, words: str = ASKED, **given: Any) -> bool:
    return (await ask(rt, tenant_id, words, **given))[1].cached


async def kept(rt: Runtime) -> int:
    async with rt.transaction() as session:
        return (await session.scalars(select(func.count()).select_from(CachedAnswer))).one()


async def test_the_same_question_gets_the_same_answer_and_costs_nothing(keeping: Runtime, tenant: str) -> None:
    rt = keeping
    _, first = await ask(rt, tenant)
    events, second = await ask(rt, tenant)
    assert (first.cached, second.cached) == (False, True)
    assert len(fake(rt).requests) == 1
    assert (second.answer, second.answer_status, second.citations, second.model) == (
        (first.answer, first.answer_status, first.citations, first.model)
    )
    assert second.usage.prompt_tokens == second.usage.completion_tokens == 0
    assert second.id != first.id
    assert "".join(event.text for event in events if isinstance(event, Delta)) == second.answer
    assert [event for event in events if isinstance(event, Citation)] == second.citations


async def test_other_words_for_it_and_other_things(keeping: Runtime, tenant: str) -> None:
    rt = replace(keeping, settings=keeping.settings.model_copy(update={"answer_cache_similarity": 0.5}))
    await ask(rt, tenant)
    assert await again(rt, tenant, "who built the tower with the lamp")
    assert not await again(rt, tenant, "Who built the tower without the lamp?")
    assert not await again(rt, tenant, "What was built by the lamp?")


async def test_whatever_an_answer_depends_on_is_told_apart(keeping: Runtime, tenant: str) -> None:
    rt = keeping
    await ask(rt, tenant)
    others: list[dict[str, Any]] = [
        {"top_k": 3},
        {"mode": "keyword"},
        {"filter": Among("$filename", ("lamp.txt",))},
        {"document_ids": [(await ask(rt, tenant))[1].citations[0].document_id]},
        {"model": "other"},
        {"system_prompt": "Be brief."},
        {"temperature": 0.5},
        {"max_tokens": 5},
    ]
    for given in others:
        assert not await again(rt, tenant, **given), given
        assert await again(rt, tenant, **given), given
    assert not await again(rt, tenant, history=[ChatMessage("user", "Hello"), ChatMessage("assistant", "Hello.")])
    assert not await again(replace(rt, generator=Other()), tenant)


class Other(FakeGenerator):
    model = "other-chat"


async def test_never_across_tenants(keeping: Runtime, tenant: str) -> None:
    other = await driving.new_tenant(keeping)
    await driving.ready(keeping, other, LAMP, "lamp.txt")
    await ask(keeping, tenant)
    assert not await again(keeping, other)
    assert await again(keeping, other)


async def edit(rt: Runtime, tenant_id: str) -> None:
    await driving.ready(rt, tenant_id, LAMP + " It is white.", "lamp.txt", external_id="lamp")


async def add(rt: Runtime, tenant_id: str) -> None:
    await driving.ready(rt, tenant_id, "The tower was built by her brother, too.", "more.txt")


async def of(rt: Runtime, tenant_id: str) -> str:
    async with rt.for_tenant(tenant_id).transaction() as session:
        return (await documents.list_documents(session, limit=1))[0].document.id


async def delete(rt: Runtime, tenant_id: str) -> None:
    await add(rt, tenant_id)
    assert not await again(rt, tenant_id)
    receipt = await deletion.remove(rt.for_tenant(tenant_id), await of(rt, tenant_id))
    assert receipt.counts["answers"] == 1
    assert await kept(rt) == 0


async def describe(rt: Runtime, tenant_id: str) -> None:
    document_id = await of(rt, tenant_id)
    async with rt.for_tenant(tenant_id).transaction() as session:
        await documents.patch_metadata(session, document_id, {"kind": "story"})


async def describe_by_upload(rt: Runtime, tenant_id: str) -> None:
    await driving.accept(rt, tenant_id, LAMP, "lamp.txt", external_id="lamp", metadata={"kind": "story"})


async def rename(rt: Runtime, tenant_id: str) -> None:
    async with rt.for_tenant(tenant_id).transaction() as session:
        await collections.change(session, rt, "default", {"name": "towers"})


@pytest.mark.parametrize("change", [edit, add, delete, describe, describe_by_upload, rename])
async def test_a_change_of_the_collection_ends_it_at_once(keeping: Runtime, tenant: str, change: Any) -> None:
    await ask(keeping, tenant)
    assert await again(keeping, tenant)
    await change(keeping, tenant)
    assert not await again(keeping, tenant)


async def remove_collection(rt: Runtime, tenant_id: str) -> None:
    await driving.remove_collection(rt, tenant_id, "default")


@pytest.mark.parametrize("change", [describe, remove_collection])
async def test_what_changes_while_it_is_made_ends_it_before_it_is_kept(
    keeping: Runtime, tenant: str, change: Any
) -> None:
    class Slow(FakeGenerator):
        async def generate(self, request: Any) -> Any:
            await change(keeping, tenant)
            async for event in super().generate(request):
                yield event

    _, done = await ask(replace(keeping, generator=Slow()), tenant)
    assert done.answer_status == "supported"
    assert await kept(keeping) == 0


async def test_a_change_waits_for_an_answer_that_is_being_kept_and_drops_it(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, LAMP, "lamp.txt")
    async with rt.for_tenant(tenant_id).transaction() as session:
        chosen = (await session.scalars(scoped(session, Collection))).one()
        at = {row.collection_id: row.revision for row in await session.scalars(scoped(session, CollectionRevision))}
    async with rt.for_tenant(tenant_id).transaction() as session:
        assert await revisions.hold(session, at)
        change = asyncio.create_task(describe(rt, tenant_id))
        row = {"tenant_id": tenant_id, "scope": b"", "collection_ids": [chosen.id], "question": "?", "answer": {}}
        session.add(CachedAnswer(id="can_1", **row))
        await session.flush()
        done, _ = await asyncio.wait({change}, timeout=0.2)
        assert not done
    await change
    assert await kept(rt) == 0
    async with rt.for_tenant(tenant_id).transaction() as session:
        assert not await revisions.hold(session, at)


async def test_what_is_not_whole_or_not_found_is_not_kept(keeping: Runtime, tenant: str) -> None:
    class Short(FakeGenerator):
        async def generate(self, request: Any) -> Any:
            async for event in super().generate(request):
                yield event
            yield Truncated()

    _, done = await ask(replace(keeping, generator=Short()), tenant)
    assert done.truncated
    assert not await again(keeping, tenant)  # which is kept
    await ask(keeping, tenant, "How do I boil an egg?")
    assert await kept(keeping) == 1


async def test_an_answer_that_cites_what_is_not_found_now_is_made_anew(keeping: Runtime, tenant: str) -> None:
    await ask(keeping, tenant)
    async with keeping.transaction() as session:
        answer = (await session.scalars(select(CachedAnswer.answer))).one()
        answer["citations"][0]["chunk_id"] = "chk_other"
        await session.execute(update(CachedAnswer).values(answer=answer))
    assert not await again(keeping, tenant)


async def test_what_an_answer_was_made_from_stays_the_same_however_it_is_found_again(
    keeping: Runtime, tenant: str
) -> None:
    _, made = await ask(keeping, tenant)
    assert made.document_ids == [made.citations[0].document_id]
    async with keeping.transaction() as session:
        answer = (await session.scalars(select(CachedAnswer.answer))).one()
        answer["document_ids"].append("doc_shown_then_and_not_now")
        await session.execute(update(CachedAnswer).values(answer=answer))
    _, given = await ask(keeping, tenant)
    assert given.document_ids == [*made.document_ids, "doc_shown_then_and_not_now"]
    assert [each.kind async for each in consistency.audit(keeping, fix=True)] == ["cached_answer_without_document"]
    assert await kept(keeping) == 0


async def test_old_answers_are_not_given_and_go(keeping: Runtime, tenant: str) -> None:
    await ask(keeping, tenant)
    async with keeping.transaction() as session:
        await session.execute(update(CachedAnswer).values(created_at=from_now(-61)))
    assert not await again(keeping, tenant)
    async with keeping.transaction() as session:
        await answer_cache.purge(session, 60)
    assert await kept(keeping) == 1


async def test_without_the_setting_nothing_is_kept(rt: Runtime, tenant: str) -> None:
    await ask(rt, tenant)
    assert (await again(rt, tenant), await kept(rt)) == (False, 0)


SAME = """
What was the revenue in 2018? | What was the revenue for 2018?
How do I reset my password? | How can I reset my password
What is 3M's capital expenditure? | What is the capital expenditure of 3M?
What is the warranty period? | How long is the warranty period?
Explain how the lamp is lit. | Describe how the lamp is lit.
What does ERR_CONN_42 mean? | What is the meaning of ERR_CONN_42?
"""
DIFFERENT = """
What was the revenue in 2018? | What was the revenue in 2019?
What was the highest revenue? | What was the lowest revenue?
Who is the CEO of Apple? | Who is the CEO of Google?
Is smoking allowed in the building? | Is smoking not allowed in the building?
When was the tower built? | Where was the tower built?
How do I enable the alarm? | How do I disable the alarm?
What changed in version 2.3.1? | What changed in version 2.4.1?
What happened before the merger? | What happened after the merger?
How many boats are there? | What boats are there?
What are the risks for men? | What are the risks for women?
Who may open the gate? | Who may close the gate?
Where does "full ahead" stand? | Where does "full astern" stand?
Which files are kept? | Which files are kept only in March?
"""


def pairs(lines: str) -> list[list[str]]:
    return [line.split(" | ") for line in lines.strip().splitlines()]


def test_rules_have_the_last_word_on_what_is_the_same() -> None:
    assert [pair for pair in pairs(SAME) if not equivalent(*pair)] == []
    assert [pair for pair in pairs(DIFFERENT) if equivalent(*pair) or equivalent(*pair[::-1])] == []


# -- vectors of questions ----------------------------------------------------------------------------------------


def asked_of(rt: Runtime, embedder: FakeEmbedder) -> tuple[Runtime, EmbeddingSpace]:
    """A runtime of which the embedder is the configured one, and the embedder's space."""
    space = EmbeddingSpace(provider=embedder.provider, model=embedder.model, dimensions=embedder.dimensions)
    return replace(rt, embedder=embedder), space


async def test_a_question_is_embedded_once(keeping: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_vectors, "PATIENCE_SECONDS", 10.0)
    embedder, other = FakeEmbedder(), FakeEmbedder("b")
    rt, space = asked_of(keeping, embedder)
    first = await question_vectors.vector(rt.for_tenant(tenant), space, ASKED, "a")
    await rt.shared.drain()
    second = await question_vectors.vector(rt.for_tenant(tenant), space, ASKED, "a")
    assert first.vector.tolist() == second.vector.tolist()
    assert second.vector.dtype == first.vector.dtype
    assert (first.tokens, second.tokens) == (embedder.count_tokens(ASKED), None)
    assert embedder.seen == [[ASKED]]
    for who, model, words in ((tenant, embedder, ASKED + "?"), ("ten_other", embedder, ASKED), (tenant, other, ASKED)):
        rt, space = asked_of(keeping, model)
        await question_vectors.vector(rt.for_tenant(who), space, words, "a")
    assert (len(embedder.seen), len(other.seen)) == (3, 1)


async def test_another_length_of_vectors_is_another_question(keeping: Runtime, tenant: str) -> None:
    embedder = FakeEmbedder()
    rt, space = asked_of(keeping, embedder)
    await question_vectors.vector(rt.for_tenant(tenant), space, ASKED, "a")
    embedder.dimensions = 32
    shorter, space = asked_of(keeping, embedder)
    assert len((await question_vectors.vector(shorter.for_tenant(tenant), space, ASKED, "a")).vector) == 32


async def test_without_redis_or_the_setting_the_model_is_asked(keeping: Runtime, rt: Runtime, tenant: str) -> None:
    for without in (replace(keeping, shared=Shared(None)), rt):
        embedder = FakeEmbedder()
        asking, space = asked_of(without, embedder)
        for _ in range(2):
            await question_vectors.vector(asking.for_tenant(tenant), space, ASKED, "a")
        assert len(embedder.seen) == 2
