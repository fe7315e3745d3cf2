"""Answers that no model writes: what they claim."""

from dataclasses import replace

import pytest

from footnote import answering
from footnote.answering import Done, Question, answer_cache
from footnote.providers.extractive import ExtractiveGenerator
from footnote.retrieval import Query
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once

pytestmark = pytest.mark.anyio
LAMP = "The lamp of Skerry tower burns oil. Agnes Tolmie built the tower in 1874. The lamp is seen from afar."


async def make_tenant(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, LAMP, "lamp.txt")
    return tenant_id


engine, stored = stored_once(make_tenant)


@pytest.fixture
def rt(rt: Runtime, stored: str) -> Runtime:
    settings = rt.settings.model_copy(update={"least_evidence": 0.0, "answer_cache_seconds": 60.0})
    return replace(rt.for_tenant(stored), generator=ExtractiveGenerator(), settings=settings)


async def ask(rt: Runtime, words: str) -> Done:
    return (await answering.collect(answering.answer(rt, Question(Query(words)))))[1]


async def test_an_extract_that_holds_what_is_asked_for_answers(rt: Runtime) -> None:
    done = await ask(rt, "Who built the tower?")
    assert (done.answer_status, done.answer_kind, done.not_mentioned) == ("supported", "extract", [])
    assert done.answer.startswith("Agnes Tolmie built the tower in 1874. [1]")


async def test_an_extract_without_it_is_only_related(rt: Runtime) -> None:
    done = await ask(rt, "How much does the oil of the lamp cost?")
    assert (done.answer_status, done.unsupported) == ("related", [])
    assert done.answer.startswith("These passages come closest: ")
    assert done.citations
    assert all(citation.verified for citation in done.citations)


async def test_what_nothing_mentions_is_named(rt: Runtime) -> None:
    done = await ask(rt, "Who built the tower in 1999 for Apple?")
    assert (done.answer_status, sorted(done.not_mentioned)) == ("related", ["1999", "Apple"])
    assert done.answer.startswith("These documents do not mention 1999 or Apple; these passages come closest: ")
    assert done.unsupported == []


async def test_a_refusal_names_it_too(rt: Runtime) -> None:
    strict = replace(rt, settings=rt.settings.model_copy(update={"least_evidence": 1.5}))
    done = await ask(strict, "Who built the tower for Apple?")
    assert (done.answer_status, done.answer_kind, done.not_mentioned) == ("not_found", "extract", ["Apple"])
    assert done.answer.endswith("They do not mention Apple.")


async def test_other_code_writes_answers_again(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [(await ask(rt, "Who built the tower?")).cached for _ in range(2)] == [False, True]
    monkeypatch.setattr(answer_cache, "_CODE", "of another version")
    assert not (await ask(rt, "Who built the tower?")).cached


async def test_what_is_only_related_is_not_given_again(rt: Runtime) -> None:
    assert [(await ask(rt, "Who built the tower for Apple?")).cached for _ in range(2)] == [False, False]
