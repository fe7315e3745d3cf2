"""Answers to judged questions from stored hits: what chooses sentences is tried in seconds, without a server.

`--record` stores what the searches find, once `make eval` has ingested the documents. Afterwards all of
`footnote.answering.answer` runs on that, but for the search itself. `--without MODULE:NAME=VALUE` changes a rule or
leaves it out: what it contributes is the difference.
"""

import argparse
import asyncio
import contextlib
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sqlalchemy import text

from benchmarks.evaluation import judged
from benchmarks.evaluation.judged import Answered, JudgedResult, JudgedSet
from benchmarks.evaluation.judged_report import of_judged
from benchmarks.evaluation.judging import Question, judge
from benchmarks.evaluation.product import Json, running
from footnote import answering
from footnote.answering import searching
from footnote.answering.cited_text import PageExcerpt, places
from footnote.extracts.parts import parts
from footnote.local_stack.lock import holder
from footnote.providers.extractive import open_generator
from footnote.retrieval import Hit, Query, SearchResult, search
from footnote.retrieval.coverage import Searched
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.tenancy.usage import UsageMeter

UNSTORED = ("embedding", "context")


# -- recording ---------------------------------------------------------------------------------------------------------


async def record(one: JudgedSet, data: Path) -> None:
    """What each question's searches find, and the pages around it, into `data`."""
    async with running(data / "footnote"), _tenant(data / "footnote") as rt:
        rows = [await _recorded(rt, one, question) for question in one.questions]
    stored(one, data).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def stored(one: JudgedSet, data: Path) -> Path:
    return data / f"hits-{one.name}.jsonl"


@asynccontextmanager
async def _tenant(data_dir: Path) -> AsyncIterator[Runtime]:
    """Acts for the tenant of the stack that runs on the directory."""
    settings = Settings(
        _env_file=None, database_url=holder(data_dir)["database_url"], redis_url=None, data_dir=data_dir
    )
    async with open_runtime(settings) as rt:
        async with rt.transaction() as session:
            tenant = (await session.execute(text("SELECT id FROM tenant LIMIT 1"))).scalar_one()
        yield rt.for_tenant(tenant)


async def _recorded(rt: Runtime, one: JudgedSet, question: Question) -> Json:
    collections = [one.collection(question.collection)]
    hits: dict[str, list[Json]] = {}
    pages: dict[str, Json] = {}
    searched = Searched()
    for asked in dict.fromkeys([question.text, *parts(question.text)]):
        found = await search(rt, Query(asked, collections=collections))
        searched = found.searched
        hits[asked] = [
            {name: value for name, value in asdict(hit).items() if name not in UNSTORED} for hit in found.hits
        ]
        async with rt.transaction() as session:
            pages |= {chunk: asdict(excerpt) for chunk, excerpt in (await places(session, found.hits)).items()}
    return {"id": question.id, "hits": hits, "pages": pages, "searched": asdict(searched)}


# -- replaying ---------------------------------------------------------------------------------------------------------


async def replay(one: JudgedSet, data: Path) -> JudgedResult:
    """Asks each question of what was stored for it; a search takes no time."""
    rows = {row["id"]: row for row in map(json.loads, stored(one, data).read_text(encoding="utf-8").splitlines())}
    return JudgedResult(one, [await _replayed(question, rows[question.id]) for question in one.questions])


async def _replayed(question: Question, row: Json) -> Answered:
    hits = {asked: [_hit(each) for each in found] for asked, found in row["hits"].items()}
    pages = {chunk: PageExcerpt(**excerpt) for chunk, excerpt in row["pages"].items()}
    searched = Searched(**row["searched"])

    async def known_search(_rt: object, query: Query, _beside: object = None) -> SearchResult:
        return SearchResult(list(hits.get(query.text, hits[question.text])), searched=searched)

    async def known_places(_session: object, found: Sequence[Hit]) -> dict[str, PageExcerpt]:
        return {hit.chunk_id: pages[hit.chunk_id] for hit in found}

    with mock.patch.object(searching, "search", known_search), mock.patch.object(answering, "places", known_places):
        _, done = await answering.whole(answering.answer(_runtime(), answering.Question(Query(question.text))))
    reply = {
        "answer": done.answer,
        "answer_status": done.answer_status,
        "citations": [asdict(each) for each in done.citations],
    }
    return Answered(question, judge(question, reply), reply, 0.0, done.timings["total"])


def _hit(row: Json) -> Hit:
    known = {each.name for each in fields(Hit)}
    return Hit(**{name: value for name, value in row.items() if name in known}, embedding=None)


def _runtime() -> Any:
    """What an answer needs of one, without a database: nothing is written or read."""
    settings = Settings(_env_file=None, answer_cache_seconds=0)

    @asynccontextmanager
    async def transaction() -> AsyncIterator[None]:
        yield None

    return SimpleNamespace(settings=settings, generator=open_generator(settings), transaction=transaction)


async def _unwritten(_meter: UsageMeter, _rt: object, _key_id: str) -> None: ...


@contextlib.contextmanager
def without(rules: Sequence[str]) -> Iterator[None]:
    """Within the block each `MODULE:NAME=VALUE` holds; the value is evaluated in its module."""
    with contextlib.ExitStack() as stack:
        for rule in rules:
            module, _, rest = rule.partition(":")
            name, _, value = rest.partition("=")
            changed = importlib.import_module(module)
            stack.enter_context(mock.patch.object(changed, name, eval(value, vars(changed))))  # noqa: S307  of the caller
        stack.enter_context(mock.patch.object(UsageMeter, "settle", _unwritten))
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
        with without(given.without):
            results[name] = asyncio.run(replay(one, data))
    print(*of_judged(results), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
