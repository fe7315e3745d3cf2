"""A collection's model is swapped while it is asked and added to; processes are killed at each step."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import httpx2

from tests.system.faults import checks, corpus, edges
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.inflict import Faults
from tests.system.faults.load import REQUEST_SECONDS
from tests.system.faults.report import Report
from tests.system.faults.stack import until

FORMER, NEXT = "text-embedding-3-small", "text-embedding-3-large"
PATH = "/v1/collections/default/model"
QUESTIONS = ("the book of the lamp", "marks of the harbour", "Station1x00003")
REVISION = "SELECT sum(revision) FROM collection_revision"
ANSWERS = "SELECT count(*) FROM cached_answer"
LEFT = """
    SELECT (SELECT count(*) FROM chunk_vector)
         + (SELECT count(*) FROM chunk c JOIN embedding_space s ON s.id = c.space_id WHERE s.model = $1)
         + (SELECT count(*) FROM embedding e JOIN embedding_space s ON s.id = e.space_id WHERE s.model = $1)
"""
Hits = list[list[tuple[str, float]]]


async def model_swap(options: Options) -> Report:
    """No question fails or mixes models, nothing is paid twice or lost, and the way back takes less than a second."""
    documents, chunks = (60, 10) if options.short else (250, 20)
    sources = corpus.sources(options.seed, documents + 20, (chunks, chunks))
    report = Report(f"model-swap: {documents * chunks} chunks get another model while processes are killed")
    provider = edges.Models({FORMER: 64, NEXT: 48})
    async with edges.serving(provider.answer) as url:
        settings = {"FOOTNOTE_EMBEDDER": "openai", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        async with bench(options, **settings) as on:
            await on.load.upload_all(sources[:documents], 20)
            await on.watch.until_ended()
            headers = {"Authorization": f"Bearer {on.stack.key}"}
            client = httpx2.AsyncClient(base_url=on.stack.url, headers=headers, timeout=REQUEST_SECONDS)
            swapping = _Swapping(report, on, provider, Faults(on.stack, on.watch, options.seed), client)
            async with client, on.load.asking(2), swapping.watched():
                await swapping.backfill(sources[documents:])
                await swapping.there_and_back()
                await swapping.drop()
            asked = [each for each in on.load.answered("query", "search") if not on.watch.excused(each)]
            bad = [each for each in asked if not each.ok]
            report.exactly(f"of {len(asked)} questions, failed while the API ran", 0, len(bad))
            print(*(each.problem for each in bad[:5]), sep="\n", end="")
            await on.finish(report, sources)
    return report


class _Swapping:
    """What the steps share: the hits that each model gives, and those that were seen meanwhile."""

    def __init__(
        self, report: Report, on: Bench, provider: edges.Models, faults: Faults, client: httpx2.AsyncClient
    ) -> None:
        self.report, self.on, self.provider, self.faults, self.client = report, on, provider, faults, client
        self.seen: Hits = []

    async def backfill(self, more: list[corpus.Source]) -> None:
        """Begun with an estimate; the dispatcher and the worker are killed while it goes on, and documents come."""
        self.provider.seconds_a_text = 0.003
        body = {"provider": "openai", "model": NEXT}
        expected = await self._call("POST", "/estimate", body)
        asked = len(self.provider.asked[NEXT])
        await self._call("PUT", "", body)
        uploads = asyncio.create_task(self.on.load.upload_all(more, 2))
        for share in (0.1, 0.4, 0.7):
            await until(partial(self._done, share), 300, f"{share:.0%} are embedded")
            await self.faults.end("worker" if share == 0.4 else "dispatcher", signal.SIGKILL)
        await uploads
        await self.on.watch.until_ended()
        swap = await self._in_state("ready")
        spent, texts = swap["tokens_spent"], self.provider.asked[NEXT][asked:]
        off = 100 * abs(spent - expected["tokens"]) / expected["tokens"]
        self.report.at_most(f"estimated {expected['tokens']} tokens, spent {spent}: off by", 5, off, "%")
        again = len(texts) - len(set(texts))
        self.report.at_most("texts paid for twice, of three calls that were cut off", 3 * 64, again, "texts")

    async def there_and_back(self) -> None:
        """The hits of before are there after the way back, and the answer cache is dropped once each way."""
        await self.on.watch.until_ended()
        before, revision = await self._hits(), await checks.count(self.on.watch, REVISION)
        await self._call("POST", "/switch")
        raised = await checks.count(self.on.watch, REVISION) - revision
        self.report.exactly("revisions of the collection raised by the switch", 1, raised)
        after = await self._hits()
        self.report.exactly("questions with the hits of before, after the switch", 0, _same(before, after))
        await self.faults.end("api", signal.SIGKILL)
        self.report.exactly(
            "questions with the hits of the switch, after a kill of the API", 3, _same(after, await self._hits())
        )
        started = time.monotonic()
        await self._call("POST", "/rollback")
        self.report.at_most("rolled back", 1, time.monotonic() - started)
        self.report.exactly(
            "questions with the hits of before, after the way back", 3, _same(before, await self._hits())
        )
        await self._call("POST", "/switch")
        self.report.exactly("questions with the hits of the switch, in the end", 3, _same(after, await self._hits()))
        self.seen = after

    async def drop(self) -> None:
        await self._call("DELETE", "")
        for _ in range(2):
            await self.faults.end("dispatcher", signal.SIGKILL)
        await self._in_state("dropped")
        self.report.exactly(
            "questions with the hits of the switch, after the drop", 3, _same(self.seen, await self._hits())
        )
        left = await checks.count(self.on.watch, LEFT, FORMER)
        self.report.exactly("second vectors, and vectors of the former model, left", 0, left)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Searches by meaning alone go on meanwhile: all hits of one are of one model, as their lengths tell."""

        async def look_on() -> None:
            while True:
                await self.on.load.send("search", "POST", "/v1/search", json={"query": QUESTIONS[0], "mode": "vector"})
                await asyncio.sleep(0.2)

        looking = asyncio.create_task(look_on())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _hits(self) -> Hits:
        found: Hits = []
        for question in QUESTIONS:
            query = {"query": question, "mode": "vector", "top_k": 10}
            answer = (await self.client.post("/v1/search?explain=true", json=query)).raise_for_status().json()
            found.append([(hit["chunk_id"], round(hit["score"], 4)) for hit in answer["data"]])
        return found

    async def _done(self, share: float) -> bool:
        swap = await self._swap()
        return bool(swap["status"] != "backfilling" or swap["progress"]["done"] >= share * swap["progress"]["total"])

    async def _in_state(self, state: str) -> Any:
        async def reached() -> bool:
            await asyncio.sleep(0.2)
            return bool((await self._swap())["status"] == state)

        await until(reached, 300, f"the swap is {state}")
        return await self._swap()

    async def _swap(self) -> Any:
        return (await self.client.get(PATH)).raise_for_status().json()["swap"]

    async def _call(self, method: str, behind: str, body: Any = None) -> Any:
        answer = await self.client.request(method, PATH + behind, json=body)
        assert answer.is_success, answer.text
        return json.loads(answer.text)


def _same(before: Hits, after: Hits) -> int:
    return sum(one == other for one, other in zip(before, after, strict=True))
