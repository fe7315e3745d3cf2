"""Answers to judged questions from stored searches: what chooses sentences is tried in seconds, without a server.

`--record` asks the questions once and stores what their searches find, after `make eval` has ingested the documents.
Afterwards all of `footnote.answering.answer` runs on that, but for the search itself. `--without MODULE:NAME=VALUE`
changes a rule or leaves it out: what it contributes is the difference. Record again when searches or their classes
change.
"""

import argparse
import asyncio
import contextlib
import importlib
import pickle
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.evaluation import judged
from benchmarks.evaluation.judged import Answered, JudgedResult, JudgedSet
from benchmarks.evaluation.judged_report import of_judged
from benchmarks.evaluation.judging import Question, judge
from benchmarks.evaluation.product import running
from footnote import answering, retrieval
from footnote.answering import cited_text, searching
from footnote.answering.cited_text import PageExcerpt
from footnote.local_stack.lock import holder
from footnote.providers.extractive import open_generator
from footnote.retrieval import Hit, Query, SearchResult
from footnote.retrieval.resolving import NOTHING, ResolvedScope
from footnote.retrieval.spaces import QueryVector
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy.usage import UsageMeter


@dataclass
class Found:
    """What the searches of one question found, by their texts, all candidates of each, and pages by chunk."""

    searches: dict[str, SearchResult] = field(default_factory=dict)
    candidates: dict[str, list[Hit]] = field(default_factory=dict)
    pages: dict[str, PageExcerpt] = field(default_factory=dict)

    async def again(self, _rt: object, query: Query, beside: retrieval.Beside | None = None) -> SearchResult:
        """A text that was not searched for finds what the question itself did."""
        text = query.text if query.text in self.searches else next(iter(self.searches))
        if beside is not None:
            session: Any = None
            await beside(session, NOTHING, self.candidates[text], ())
        return replace(self.searches[text], hits=list(self.searches[text].hits))

    async def pages_again(self, _session: object, hits: Sequence[Hit]) -> dict[str, PageExcerpt]:
        return {hit.chunk_id: self.pages[hit.chunk_id] for hit in hits if hit.chunk_id in self.pages}


def stored(one: JudgedSet, data: Path) -> Path:
    return data / f"searches-{one.name}.pickle"


# -- recording ---------------------------------------------------------------------------------------------------------


async def record(one: JudgedSet, data: Path) -> None:
    """Asks each question of the stack that runs on the directory, or is started on it."""
    async with running(data / "footnote"), _tenant(data / "footnote") as rt:
        found = {question.id: await _recorded(rt, one, question) for question in one.questions}
    stored(one, data).write_bytes(pickle.dumps(found))


@asynccontextmanager
async def _tenant(data_dir: Path) -> AsyncIterator[Runtime]:
    """Acts for the tenant of the stack that runs on the directory."""
    url = holder(data_dir)["database_url"]
    settings = Settings(_env_file=None, database_url=url, redis_url=None, data_dir=data_dir, answer_cache_seconds=0)
    async with open_runtime(settings) as rt:
        async with rt.transaction() as session:
            tenant = (await session.execute(text("SELECT id FROM tenant LIMIT 1"))).scalar_one()
        yield rt.for_tenant(tenant)


async def _recorded(rt: Runtime, one: JudgedSet, question: Question) -> Found:
    found = Found()

    async def search(rt: Runtime, query: Query, beside: retrieval.Beside | None = None) -> SearchResult:
        async def both(
            session: AsyncSession, scope: ResolvedScope, hits: Sequence[Hit], vectors: Sequence[QueryVector]
        ) -> None:
            found.candidates[query.text] = list(hits)
            if beside is not None:
                await beside(session, scope, hits, vectors)

        result = await retrieval.search(rt, query, both)
        found.searches[query.text] = replace(result, query_vectors=())
        return result

    async def places(session: Any, hits: Sequence[Hit]) -> dict[str, PageExcerpt]:
        read = await cited_text.page_excerpts(session, hits)
        found.pages |= read
        return read

    await _answer(rt, Query(question.text, collections=[one.collection(question.collection)]), search, places)
    return found


async def _answer(rt: Runtime, query: Query, search: object, places: object) -> answering.Done:
    with (
        mock.patch.object(searching, "search", search),
        mock.patch.object(answering, "page_excerpts", places),
        mock.patch.object(UsageMeter, "settle", _unwritten),
    ):
        _, done = await answering.collect(answering.answer(rt, answering.Question(query)))
    return done


async def _unwritten(_meter: UsageMeter, _rt: object, _key_id: str) -> None: ...


# -- replaying ---------------------------------------------------------------------------------------------------------


async def replay(one: JudgedSet, data: Path) -> JudgedResult:
    """Asks each question of what was stored for it; a search takes no time."""
    found: dict[str, Found] = pickle.loads(stored(one, data).read_bytes())  # noqa: S301  written by `record`
    return JudgedResult(one, [await replayed(question, found[question.id]) for question in one.questions])


async def replayed(question: Question, found: Found) -> Answered:
    with mock.patch.object(Runtime, "transaction", _no_transaction):
        done = await _answer(_runtime(), Query(question.text), found.again, found.pages_again)
    citations = [asdict(each) for each in done.citations]
    reply = {"answer": done.answer, "answer_status": done.answer_status, "citations": citations}
    return Answered(question, judge(question, reply), reply, 0.0, done.timings["total"])


def _runtime() -> Runtime:
    """What an answer needs of one: settings and the generator."""
    settings = Settings(_env_file=None, answer_cache_seconds=0)
    none: Any = None
    return Runtime(settings, none, none, none, none, none, open_generator(settings), tenant_id="replay")


@asynccontextmanager
async def _no_transaction(_rt: Runtime) -> AsyncIterator[None]:
    yield None


@contextlib.contextmanager
def changed(rules: Sequence[str]) -> Iterator[None]:
    """Within the block each `MODULE:NAME=VALUE` holds; the value is evaluated in its module."""
    with contextlib.ExitStack() as stack:
        for rule in rules:
            module, _, rest = rule.partition(":")
            name, _, value = rest.partition("=")
            found = importlib.import_module(module)
            stack.enter_context(mock.patch.object(found, name, eval(value, vars(found))))  # noqa: S307  the caller's own
        yield


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation.replay", description=__doc__)
    parser.add_argument("--set", nargs="+", choices=judged.NAMES, default=list(judged.NAMES))
    parser.add_argument("--record", action="store_true", help="search, and store what was found")
    parser.add_argument("--without", nargs="+", default=[], metavar="MODULE:NAME=VALUE", help="rules to change")
    parser.add_argument(
        "--corpora", type=Path, default=Path("../shared/corpora"), help="folder of the sets (%(default)s)"
    )
    parser.add_argument("--data", type=Path, default=Path(".footnote-eval"), help="what a run leaves (%(default)s)")
    given = parser.parse_args()
    data = given.data.resolve()
    results: dict[str, JudgedResult] = {}
    for name in given.set:
        one = judged.load(name, given.corpora, data)
        if one is None:
            sys.exit(f"There are no documents of {name!r} in {given.corpora}.")
        if given.record:
            asyncio.run(record(one, data))
        with changed(given.without):
            results[name] = asyncio.run(replay(one, data))
    print(*of_judged(results), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
