"""Batches at once: they end in any order, and count in theirs."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from footnote import jobs
from footnote.ingest.in_flight import InFlight, to_its_end
from footnote.jobs.heartbeat import Heartbeat
from footnote.providers import Embeddings
from footnote.runtime import Runtime
from tests import driving
from tests.driving import chunks_of, paragraphs
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


class Batches:
    """Three batches of ten that work until they are let go."""

    def __init__(self, most: int) -> None:
        claim = jobs.Claim("job", "tenant", "document", "version", "embed", token=1, attempts=1, done=0, counts={})
        self.heartbeat = Heartbeat(cast(Any, None), claim)
        self.most, self.started, self.ended = most, list[int](), list[int]()
        self.go_on = [asyncio.Event() for _ in range(3)]
        self.errors: dict[int, Exception] = {}

    async def work(self, number: int) -> None:
        self.started.append(number)
        try:
            await self.go_on[number].wait()
            if number in self.errors:
                raise self.errors[number]
        finally:
            self.ended.append(number)

    async def run(self) -> None:
        async with InFlight(self.heartbeat, self.most) as in_flight:
            for number in range(3):
                await in_flight.start(self.work(number), 10)
            await in_flight.finish()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def test_a_batch_counts_when_those_before_it_are_done() -> None:
    batches = Batches(most=3)
    run = asyncio.create_task(batches.run())
    await until(lambda: batches.started == [0, 1, 2])
    batches.go_on[1].set()
    await until(lambda: batches.ended == [1])
    assert batches.heartbeat.done == 0, "the first one would be skipped if the step were resumed"
    batches.go_on[0].set()
    await until(lambda: batches.heartbeat.done == 20)
    batches.go_on[2].set()
    await run
    assert batches.heartbeat.done == 30


async def test_no_more_than_said_are_in_flight() -> None:
    batches = Batches(most=2)
    run = asyncio.create_task(batches.run())
    await until(lambda: batches.started == [0, 1])
    batches.go_on[1].set()
    await until(lambda: batches.ended == [1])
    assert batches.started == [0, 1]
    for event in batches.go_on:
        event.set()
    await run
    assert batches.heartbeat.done == 30


async def test_when_one_fails_the_others_end_and_do_not_count() -> None:
    batches = Batches(most=3)
    batches.errors[1] = ValueError("refused")
    run = asyncio.create_task(batches.run())
    await until(lambda: batches.started == [0, 1, 2])
    batches.go_on[0].set()
    batches.go_on[1].set()
    await until(lambda: batches.ended == [0, 1])
    assert not run.done(), "the call of the third one is paid for"
    batches.go_on[2].set()
    with pytest.raises(ValueError, match="refused"):
        await run
    assert batches.heartbeat.done == 10


async def test_cancelled_none_is_left_behind() -> None:
    batches = Batches(most=3)
    run = asyncio.create_task(batches.run())
    await until(lambda: batches.started == [0, 1, 2])
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(batches.ended) == [0, 1, 2]


async def test_what_is_done_to_its_end_is_not_interrupted() -> None:
    go_on, ended = asyncio.Event(), list[str]()

    async def store() -> None:
        await go_on.wait()
        ended.append("stored")

    work = asyncio.create_task(to_its_end(store()))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert ended == ["stored"]


# -- of a document -------------------------------------------------------------------------------------------


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


def asked_for(rt: Runtime) -> Counter[str]:
    """How often the provider has embedded each text."""
    assert isinstance(rt.embedder, FakeEmbedder)
    return Counter(each for batch in rt.embedder.seen for each in batch)


async def test_a_text_of_two_batches_is_embedded_once(rt: Runtime, tenant: str) -> None:
    parts = paragraphs(16).split("\n\n")
    document_id = await driving.ready(rt, tenant, "\n\n".join([*parts, *parts[8:], *parts[8:]]))
    texts = [chunk.text for chunk in await chunks_of(rt, document_id)]
    assert len(texts) == 32
    assert len(asked_for(rt)) == len(set(texts)) < 20
    assert set(asked_for(rt).values()) == {1}


async def test_two_batches_are_embedded_at_once(rt: Runtime, tenant: str) -> None:
    assert isinstance(rt.embedder, FakeEmbedder)
    both, seen, embed = asyncio.Barrier(2), rt.embedder.seen, rt.embedder.embed

    async def met(texts: Sequence[str]) -> Embeddings:
        if len(seen) >= 2:  # the first batch is alone: its answer decides on the space
            async with asyncio.timeout(60):
                await both.wait()
        return await embed(texts)

    rt.embedder.embed = met  # type: ignore[method-assign]
    await driving.ready(rt, tenant, paragraphs(24))
    assert set(asked_for(rt).values()) == {1}
