"""Footnote as shipped, on a data directory that outlives the run: what is ingested already is not ingested again."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from benchmarks.evaluation.sets import Set, target
from benchmarks.running import environment as running_environment
from benchmarks.running import started
from footnote.local_stack.lock import holder

ROOT = Path(__file__).parents[2]
REQUEST_SECONDS = 120.0
LOOK_SECONDS = 5.0
PAGE = 100  # documents in a list
ASKED_AT_ONCE = 4
TOP_K = 100  # as much as the API gives
BUSY, TRIES = 503, 20
UNFINISHED = ("queued", "running", "waiting")
# An answer that was given before says nothing about the code that runs now.
MODELS = {
    "FOOTNOTE_EMBEDDER": "local",
    "FOOTNOTE_GENERATOR": "extractive",
    "FOOTNOTE_ANSWER_CACHE_SECONDS": "0",
}

Json = dict[str, Any]
Value = TypeVar("Value")


@dataclass
class Asked:
    """What came of a set's questions: the ranking of each, and times in milliseconds.

    `bare` are times of GET /healthz, one after each question: what a request costs that does nothing.
    """

    run: dict[str, list[str]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


class Product:
    """A running Footnote; each set is a collection of its own."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url, self.data_dir = url, data_dir
        key = (data_dir / "api_key").read_text().strip()
        self.client = httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=REQUEST_SECONDS, trust_env=False
        )

    # -- ingestion -------------------------------------------------------------------------------------------------

    async def ingest(self, one: Set) -> None:
        """Until every document of the set is ready. Those that are there cost nothing, those that cannot be read
        are named.
        """
        sent = await self._sync(one)
        while left := (await self._page(one, status=UNFINISHED))["data"]:
            count = f"{len(left)} documents" if len(left) < PAGE else f"{PAGE} documents or more"
            print(f"{one.name}: {count} to go", file=sys.stderr, flush=True)
            await asyncio.sleep(LOOK_SECONDS)
        for each in sent:
            if each["error"]:
                print(f"{one.name}: not accepted: {each['path']}: {each['error']['message']}", file=sys.stderr)
        for document in await self.documents(one, status="failed"):
            print(f"{one.name}: failed: {document['filename']}: {document['error']['message']}", file=sys.stderr)

    async def _sync(self, one: Set) -> list[Json]:
        """Sends what is new or changed; what became of each file that was sent."""
        command = ["-m", "footnote", "sync", str(one.documents), "--name", one.name, "--collection", one.name]
        sync = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, "--no-wait", "--json"), cwd=ROOT, env=environment(self.data_dir), stdout=PIPE
        )
        try:
            out, _ = await sync.communicate()
        except asyncio.CancelledError:
            sync.kill()
            raise
        if not out:
            raise SystemExit(f"`footnote sync` ended with status {sync.returncode}.")
        sent: list[Json] = json.loads(out)["data"]
        return sent

    async def documents(self, one: Set, **filters: Any) -> list[Json]:
        found: list[Json] = []
        while True:
            page = await self._page(one, **filters)
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            filters["cursor"] = page["next_cursor"]

    async def _page(self, one: Set, **filters: Any) -> Json:
        return await self._get("/v1/documents", collection=one.name, limit=PAGE, **filters)

    async def pages(self, one: Set) -> dict[str, str]:
        """The stored text of every page of the set, as the product reads them."""
        asked = [(each, number + 1) for each in await self.documents(one) for number in range(each["pages"] or 0)]

        async def text(document: Json, number: int) -> str:
            page: str = (await self._get(f"/v1/documents/{document['id']}/pages/{number}"))["text"]
            return page

        texts = await gently([text(*each) for each in asked])
        names = [target(Path(document["filename"]).stem, number) for document, number in asked]
        return dict(zip(names, texts, strict=True))

    # -- questions -------------------------------------------------------------------------------------------------

    async def knows(self, fields: Mapping[str, Any]) -> bool:
        """Whether a search request may have these fields."""
        described = await self._get("/openapi.json")
        known: Json = described["components"]["schemas"]["SearchIn"]["properties"]
        return fields.keys() <= known.keys()

    async def ask(self, one: Set, fields: Mapping[str, Any]) -> Asked:
        """Asks the set's questions, a few at a time."""
        asked = Asked()

        async def ask(question: str) -> None:
            body = {"query": one.questions[question], "collections": [one.name], "top_k": TOP_K} | dict(fields)
            started = time.perf_counter()
            found = await self._post("/v1/search", body)
            asked.times.append((time.perf_counter() - started) * 1000)
            asked.run[question] = ranking(found["data"], by_page=one.by_page)
            started = time.perf_counter()
            await self.client.get("/healthz")
            asked.bare.append((time.perf_counter() - started) * 1000)

        await gently([ask(question) for question in one.questions])
        return asked

    async def explained(self, one: Set, question: str) -> list[Json]:
        """What the gate of answers sees: the first hits, with what each leg says of them."""
        body = {"query": question, "collections": [one.name]}
        hits: list[Json] = (await self._post("/v1/search?explain=true", body))["data"]
        return hits

    async def search(self, question: str, collection: str) -> list[Json]:
        hits: list[Json] = (await self._post("/v1/search", {"query": question, "collections": [collection]}))["data"]
        return hits

    async def answer(self, question: str, collection: str, **fields: Any) -> Json:
        return await self._post("/v1/query", {"question": question, "collections": [collection], **fields})

    async def _post(self, path: str, body: Json) -> Json:
        return await self._sent("POST", path, json=body)

    async def _get(self, path: str, **params: Any) -> Json:
        return await self._sent("GET", path, params=params)

    async def _sent(self, method: str, path: str, **what: Any) -> Json:
        """A product that has too much to do on a busy machine is asked again, as it wants."""
        for _ in range(TRIES):
            response = await self.client.request(method, path, **what)
            if response.status_code != BUSY:
                break
            await asyncio.sleep(float(response.headers.get("Retry-After", LOOK_SECONDS)))
        if not response.is_success:
            raise SystemExit(f"{method} {path} {what}: {response.text}")
        body: Json = response.json()
        return body


def names_of(found: Sequence[Json], *, by_page: bool) -> list[str]:
    """What each hit or citation belongs to: its document or its page."""
    return [target(Path(each["filename"]).stem, each["page_start"] if by_page else None) for each in found]


def ranking(hits: Sequence[Json], *, by_page: bool) -> list[str]:
    """What the hits belong to, each at the place of its best chunk."""
    return list(dict.fromkeys(names_of(hits, by_page=by_page)))


async def gently(work: Sequence[Coroutine[Any, Any, Value]]) -> list[Value]:
    """What each gives, in their order; a few at a time."""
    turn = asyncio.Semaphore(ASKED_AT_ONCE)

    async def one(each: Coroutine[Any, Any, Value]) -> Value:
        async with turn:
            return await each

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(each)) for each in work]
    return [task.result() for task in tasks]


@asynccontextmanager
async def running(data_dir: Path, models: Mapping[str, str] = MODELS) -> AsyncIterator[Product]:
    """The Footnote that runs on the directory, or one that is started from this tree and stopped in the end.

    `models`: settings of the embedder and the generator, for one that is started.
    """
    if url := holder(data_dir).get("url"):
        print(f"Asking the Footnote that runs at {url} already.", file=sys.stderr)
        async with _opened(url, data_dir) as product:
            yield product
        return
    async with started(data_dir, models) as stack, _opened(stack.url, data_dir) as product:
        yield product


@asynccontextmanager
async def _opened(url: str, data_dir: Path) -> AsyncIterator[Product]:
    product = Product(url, data_dir)
    async with product.client:
        yield product


def environment(data_dir: Path) -> dict[str, str]:
    """As shipped, with the embedder that the baselines have."""
    return running_environment(data_dir, MODELS)
