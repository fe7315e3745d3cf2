"""Calls of several documents joined into one: each gets its own answer, share of the tokens, and error."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import func

from footnote import ingest
from footnote.errors import ProviderRejected, Unavailable
from footnote.ingest.joined_calls import JoinedCalls
from footnote.models import UsageOfDay
from footnote.providers import Embeddings
from footnote.runtime import Runtime
from tests import driving
from tests.driving import chunks_of, job_of, paragraphs
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


class Remote(FakeEmbedder):
    """Answers when it is let go; counts three tokens for each of ours."""

    address = "http://fake"  # type: ignore[assignment]
    max_texts = 64

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.calls = 0

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        self.calls += 1
        await self.go_on.wait()
        answer = await super().embed(texts)
        return replace(answer, tokens=3 * answer.tokens, split=frozenset([len(texts) - 1]))


@pytest.fixture
def remote() -> Remote:
    return Remote()


async def alone(texts: Sequence[str]) -> Embeddings:
    return await FakeEmbedder().embed(texts)


async def asking(calls: JoinedCalls, remote: Remote, *texts: Sequence[str]) -> list["asyncio.Task[Embeddings]"]:
    """One call is under way when the others come."""
    remote.go_on.clear()
    tasks = [asyncio.create_task(calls.of(remote).embed(texts[0]))]
    while not remote.calls:
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(calls.of(remote).embed(each)) for each in texts[1:]]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_call_is_in_the_next_one_and_each_gets_its_own(remote: Remote) -> None:
    wanted = [["first"], ["a", "bb bb"], ["ccc ccc ccc"], ["dd"]]
    async with JoinedCalls() as calls:
        tasks = await asking(calls, remote, *wanted)
        remote.go_on.set()
        answers = [await each for each in tasks]
    assert [len(each) for each in remote.seen] == [1, 4]
    for texts, answer in zip(wanted, answers, strict=True):
        assert np.array_equal(answer.vectors, (await alone(texts)).vectors)
    assert [sorted(each.split) for each in answers] == [[0], [], [], [0]]
    counted = [sum(map(remote.count_tokens, texts)) for texts in wanted]
    assert [each.tokens for each in answers] == [3 * each for each in counted]


async def test_the_tokens_of_a_call_are_shared_out_to_the_last_one(remote: Remote) -> None:
    remote.count_tokens = lambda text: 7 if text == "long" else 1  # type: ignore[method-assign]
    wanted = [["first"], ["x"], ["long"], ["y"]]
    async with JoinedCalls() as calls:
        tasks = await asking(calls, remote, *wanted)
        remote.go_on.set()
        assert sum([(await each).tokens for each in tasks[1:]]) == 3 * 9


async def test_a_call_has_no_more_texts_than_the_provider_takes(remote: Remote) -> None:
    remote.max_texts = 3
    async with JoinedCalls() as calls:
        tasks = await asking(calls, remote, ["first"], ["a", "b"], ["c"], ["d", "e", "f", "g"], ["h"])
        remote.go_on.set()
        await asyncio.gather(*tasks)
    assert [len(each) for each in remote.seen] == [1, 3, 4, 1], "a document's own texts were divided before"


async def test_of_joined_texts_only_those_of_the_document_that_is_refused_are_refused(remote: Remote) -> None:
    def refuse(texts: list[str]) -> None:
        if "bad" in texts:
            raise ProviderRejected("provider_rejected", "400: bad input")

    remote.before = refuse
    async with JoinedCalls() as calls:
        tasks = await asking(calls, remote, ["first"], ["good"], ["fine", "bad"], ["well"])
        remote.go_on.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, ProviderRejected) for each in ended] == [False, False, True, False]


async def test_a_provider_that_is_away_is_not_asked_once_for_each(remote: Remote) -> None:
    def refuse(_texts: list[str]) -> None:
        raise Unavailable("provider_unavailable")

    remote.before = refuse
    async with JoinedCalls() as calls:
        tasks = await asking(calls, remote, ["first"], ["a"], ["b"])
        remote.go_on.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert remote.calls == 2
    assert all(isinstance(each, Unavailable) for each in ended)


async def test_a_document_that_is_given_up_takes_no_other_along(remote: Remote) -> None:
    async with JoinedCalls() as calls:
        first, second, third = await asking(calls, remote, ["first"], ["a"], ["b"])
        first.cancel()
        second.cancel()
        remote.go_on.set()
        assert (await third).vectors.shape[0] == 1
    assert remote.seen == [["first"], ["b"]]


async def test_a_call_does_not_outlive_its_message(remote: Remote) -> None:
    others = asyncio.all_tasks()
    async with JoinedCalls() as calls:
        (task,) = await asking(calls, remote, ["first"])
        task.cancel()
    await asyncio.wait({task})
    assert remote.seen == []
    assert asyncio.all_tasks() <= others


async def test_documents_of_a_message_share_calls_and_one_that_fails_fails_alone(committing_rt: Runtime) -> None:
    rt = replace(committing_rt, embedder=Remote())
    assert isinstance(rt.embedder, Remote)
    tenant = await driving.new_tenant(rt)
    first = await driving.ready(rt, tenant, paragraphs(2, "first"))
    remote, before = rt.embedder, rt.embedder.calls
    topics = ["a", "b", "wrong", "c", "d"]
    ids = [(await driving.accept(rt, tenant, paragraphs(3, topic))).details.job.id for topic in topics]

    def refuse(texts: list[str]) -> None:
        if any("wrong" in each for each in texts):
            raise ProviderRejected("provider_rejected", "400: bad input")

    remote.before = refuse
    await ingest.run_jobs(rt, ids, "m")
    found = [await job_of(rt, job_id) for job_id in ids]
    assert [each.state for each in found] == ["failed" if topic == "wrong" else "succeeded" for topic in topics]
    assert {each.holder for each in found} == {"m"}
    assert remote.calls - before < 2 * len(topics)
    for job in found:
        assert len(await chunks_of(rt, job.document_id)) == (3 if job.state == "succeeded" else 0)
    async with rt.sessions() as session:
        counted = await session.scalar(func.sum(UsageOfDay.prompt_tokens).select())
    good = [text for batch in remote.seen for text in batch if text != "length"]
    probes = [text for batch in remote.seen for text in batch if text == "length"]
    assert counted == 3 * sum(map(remote.count_tokens, good + probes))
    assert first
