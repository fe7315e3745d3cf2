"""Filters: what they mean, checked against the same rules in Python; what is refused; that they starve no search."""

import json
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections, documents, filters
from footnote.errors import Invalid
from footnote.models import Collection
from footnote.providers import Embeddings, normalised
from footnote.retrieval import Query, search
from footnote.retrieval.scope import Scope, scope_of
from footnote.runtime import Runtime
from tests import driving, seeding
from tests.fakes import DIMENSIONS, FakeEmbedder
from tests.seeding import Seed

pytestmark = pytest.mark.anyio

STRINGS = [
    *("", "a", "A", "b", "é", "zz", "10", "9", "true", "null", "%", "_", "\\", '"', "'", ":filter_0", "{}", "$1", "%s"),
    *("'); DROP TABLE document; --", '"] || true', "2024", "2024-01", "now", "infinity", "tomorrow", "epoch"),
    *("2024-01-01", "2024-02-29", "2024-02-30", "2023-02-29", "2024-13-01", "0000-01-01", "0001-01-01", "9999-12-31"),
    *("2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2024-01-01 00:00:00", "2023-12-31T19:00:00-05:00"),
    *("2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00", "2024-01-01T00:00:00.5Z", "2024-1-1"),
    *("2024-01-01\n", " 2024-01-01", "2024-01-01T00:00:00+15:00", "2024-01-01T00:00:00.000001Z", "2024-01-01T10"),
]
NUMBERS = [0, 1, -1, 1.0, 0.1, 0.30000000000000004, 10, 9, 1e300, -1e300, 5e-324, 10**23, 1e23, 2**53 + 1, -0.0, 2024]
KEYS = ["k", "n", "tags", "d", "a.b", "o'k", 'q"k', "K", "", "$own", "%(k)s", ":k", "é"]
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda stored, bound: stored > bound,
    "gte": lambda stored, bound: stored >= bound,
    "lt": lambda stored, bound: stored < bound,
    "lte": lambda stored, bound: stored <= bound,
}


def comparable(value: Any) -> tuple[str, Any]:
    """With its type, for Python takes True for 1; numbers as they are written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", Decimal(json.dumps(value))
    return type(value).__name__, value


def moment(value: Any) -> datetime | None:
    """The time that a string is, told by the shape it has when each digit is a zero."""
    shapes = {"0000-00-00"}
    for clock in ("00:00", "00:00:00", "00:00:00.0", "00:00:00.000000"):
        shapes |= {f"0000-00-00{by}{clock}{zone}" for by in "T " for zone in ("", "Z", "+00:00", "-00:00")}
    if not isinstance(value, str) or re.sub("[0-9]", "0", value) not in shapes:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (
        None
        if abs(parsed.utcoffset() or timedelta()) >= timedelta(hours=15)
        else parsed.replace(tzinfo=parsed.tzinfo or UTC)
    )


def stored(seed: Seed, collection: str, key: str) -> Any:
    own = {
        "$document_id": seed.id,
        "$external_id": seed.external_id,
        "$filename": seed.filename,
        "$media_type": seed.media_type,
        "$collection": collection,
        "$created_at": seed.created_at,
        "$updated_at": seed.created_at,
    }
    return own[key] if key in own else seed.metadata.get(key[1:] if key.startswith("$$") else key)


def matches(given: dict[str, Any], seed: Seed, collection: str) -> bool:
    """What docs/retrieval.md says, in Python."""
    kind = given["type"]
    match kind:
        case "and":
            return all(matches(each, seed, collection) for each in given["filters"])
        case "or":
            return any(matches(each, seed, collection) for each in given["filters"])
        case "not":
            return not matches(given["filter"], seed, collection)
        case "ne" | "nin":
            return not matches({**given, "type": "eq" if kind == "ne" else "in"}, seed, collection)
        case "eq":
            return matches({**given, "type": "in", "value": [given["value"]]}, seed, collection)
    return holds(kind, stored(seed, collection, given["key"]), given["value"], given["key"])


def holds(kind: str, found: Any, wanted: Any, key: str) -> bool:
    if kind == "exists":
        return bool(wanted) == (found is not None)
    if isinstance(found, datetime):
        wanted = [moment(each) for each in wanted] if isinstance(wanted, list) else moment(wanted)
    if kind == "in":
        held = found if isinstance(found, list) else [found]
        return any(comparable(one) == comparable(other) for one in held for other in wanted)
    if moment(wanted) and (not key.startswith("$") or key.startswith("$$")):
        found, wanted = moment(found), moment(wanted)
    (one, left), (other, right) = comparable(found), comparable(wanted)
    return one == other and one in ("number", "str", "datetime") and COMPARISONS[kind](left, right)


def some_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(STRINGS)
    if kind < 0.7:
        return chance.choice(NUMBERS)
    if kind < 0.8:
        return chance.choice([True, False, None])
    if kind < 0.95 and depth < 2:
        return [some_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    return {"k": chance.choice(STRINGS)}


def some_scalar(chance: random.Random) -> Any:
    return chance.choice([*STRINGS, *NUMBERS, *NUMBERS, True, False])


def some_filter(chance: random.Random, seeds: list[Seed], depth: int = 1) -> dict[str, Any]:
    kind = chance.random()
    if kind < 0.35 and depth < 5:
        parts = [some_filter(chance, seeds, depth + 1) for _ in range(chance.randint(1, 3))]
        return {"type": chance.choice(["and", "or"]), "filters": parts}
    if kind < 0.45 and depth < 5:
        return {"type": "not", "filter": some_filter(chance, seeds, depth + 1)}
    if kind < 0.65:
        return some_own(chance, chance.choice(seeds))
    kinds = ["eq", "ne", "in", "nin", "exists", *COMPARISONS]
    return some_comparison(chance, chance.choice(kinds), chance.choice(["k", "n", "tags", "d", *KEYS[4:8], "$$own"]))


def some_comparison(chance: random.Random, kind: str, key: str) -> dict[str, Any]:
    value: Any
    if kind == "exists":
        value = chance.random() < 0.5
    elif kind in COMPARISONS:
        value = chance.choice([*STRINGS, *NUMBERS])
    elif kind in ("in", "nin"):
        value = [some_scalar(chance) for _ in range(chance.choice([0, 1, 3, 16, 17, 60]))]
    else:
        value = some_scalar(chance)
    return {"type": kind, "key": key, "value": value}


def some_own(chance: random.Random, seed: Seed) -> dict[str, Any]:
    key = chance.choice(sorted({*filters.TEXTS, *filters.TIMES, filters.COLLECTION}))
    plain = [
        kind
        for kind in ("eq", "ne", "in", "nin", "exists", *COMPARISONS)
        if key != "$collection" or kind not in COMPARISONS
    ]
    kind = chance.choice(plain)
    own = stored(seed, chance.choice(["one", "two"]), key)
    value: Any = own.isoformat() if isinstance(own, datetime) else own or "x"
    if kind == "exists":
        value = chance.random() < 0.5
    elif kind in ("in", "nin"):
        value = [value]
    return {"type": kind, "key": key, "value": value}


def some_seeds(chance: random.Random) -> list[Seed]:
    vector = [1.0] + [0.0] * (DIMENSIONS - 1)
    return [
        Seed(
            {key: some_value(chance) for key in chance.sample(KEYS, chance.randint(0, 9))},
            [vector],
            filename=chance.choice(["a.txt", "b.pdf", "é.md"]),
            media_type=chance.choice(["text/plain", "application/pdf"]),
            external_id=chance.choice([None, f"e{number}"]),
            created_at=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number % 7),
        )
        for number in range(40)
    ]


async def test_random_filters_mean_what_the_same_rules_say_in_python(rt: Runtime) -> None:
    chance = random.Random(11)
    tenant_id, stranger = await driving.new_tenant(rt), await driving.new_tenant(rt)
    sown = {name: some_seeds(chance) for name in ("one", "two")}
    for name, seeds in sown.items():
        await seeding.sow(rt, tenant_id, seeds, name)
    await seeding.sow(rt, stranger, some_seeds(chance), "one")
    async with rt.transaction() as session:
        ids = (await session.scalars(select(Collection.id).where(Collection.tenant_id == tenant_id))).all()
    told_apart = 0
    for _ in range(150):
        given = some_filter(chance, [*sown["one"], *sown["two"]])
        expected = {seed.id for name, seeds in sown.items() for seed in seeds if matches(given, seed, name)}
        parsed = filters.parse(given)
        async with rt.for_tenant(tenant_id).transaction() as session:
            listed = await documents.list_documents(session, limit=1000, filter=parsed)
            scope = scope_of(tenant_id, ids, None, parsed)
            found = await scope.run(session, f"SELECT c.document_id FROM chunk c WHERE {scope.condition}")
        assert {each.document.id for each in listed} == expected, given
        assert {row[0] for row in found} == expected, given
        told_apart += 0 < len(expected) < 80
    assert told_apart > 75, "most filters must tell some documents from others"


async def test_the_name_of_a_collection_that_is_being_deleted_is_no_name_any_more(rt: Runtime) -> None:
    tenant_id = await driving.new_tenant(rt)
    for _ in range(2):
        [seed] = seeds = [Seed({}, [np.ones(DIMENSIONS)])]
        await seeding.sow(rt, tenant_id, seeds, "papers")
        async with rt.for_tenant(tenant_id).transaction() as session:
            ids = (await session.scalars(select(Collection.id).where(Collection.tenant_id == tenant_id))).all()
            scope = scope_of(
                tenant_id, ids, None, filters.parse({"type": "eq", "key": "$collection", "value": "papers"})
            )
            found = await scope.run(session, f"SELECT c.document_id FROM chunk c WHERE {scope.condition}")
            assert [row[0] for row in found] == [seed.id]
            await collections.hide(session, "papers")


EQ = {"type": "eq", "key": "k", "value": 1}


def nested(depth: int) -> dict[str, Any]:
    return EQ if depth == 1 else {"type": "not", "filter": nested(depth - 1)}


REFUSED: list[tuple[Any, str]] = [
    (None, "f"),
    ([], "f"),
    ({}, "f.type"),
    ({"type": ["eq"]}, "f.type"),
    ({"type": "like", "key": "k", "value": "x"}, "f.type"),
    ({"type": "eq", "key": "k"}, "f.value"),
    ({"type": "eq", "value": 1}, "f.key"),
    ({**EQ, "filters": []}, "f"),
    ({**EQ, "key": ""}, "f.key"),
    ({**EQ, "key": "k" * 65}, "f.key"),
    ({**EQ, "key": 7}, "f.key"),
    ({**EQ, "key": "$tenant_id"}, "f.key"),
    ({**EQ, "value": None}, "f.value"),
    ({**EQ, "value": {"a": 1}}, "f.value"),
    ({**EQ, "value": ["a"]}, "f.value"),
    ({**EQ, "value": "x" * 1025}, "f.value"),
    ({**EQ, "value": float("nan")}, "f.value"),
    ({**EQ, "value": float("-inf")}, "f.value"),
    ({**EQ, "value": 10**400}, "f.value"),
    ({**EQ, "type": "gt", "value": True}, "f.value"),
    ({**EQ, "type": "in", "value": "x"}, "f.value"),
    ({**EQ, "type": "in", "value": ["x", None]}, "f.value.1"),
    ({**EQ, "type": "nin", "value": [1] * 1001}, "f.value"),
    ({**EQ, "type": "exists", "value": "true"}, "f.value"),
    ({"type": "gt", "key": "$collection", "value": "a"}, "f.type"),
    ({"type": "eq", "key": "$filename", "value": 1}, "f.value"),
    ({"type": "eq", "key": "$created_at", "value": "yesterday"}, "f.value"),
    ({"type": "in", "key": "$updated_at", "value": ["2024-01-01", 2024]}, "f.value.1"),
    ({"type": "and", "filters": []}, "f.filters"),
    ({"type": "or", "filters": EQ}, "f.filters"),
    (
        {"type": "or", "filters": [EQ, {"type": "and", "filters": [EQ, {**EQ, "value": None}]}]},
        "f.filters.1.filters.1.value",
    ),
    ({"type": "not", "filter": [EQ]}, "f.filter"),
    (nested(9), "f" + ".filter" * 8),
    ({"type": "or", "filters": [EQ] * 101}, "f.filters.100"),
]


@pytest.mark.parametrize(("given", "field"), REFUSED, ids=[f"{field}-{n}" for n, (_, field) in enumerate(REFUSED)])
async def test_what_is_refused_is_named(given: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        filters.parse(given, "f")
    assert refused.value.code == "invalid_filter"
    assert [each["field"] for each in refused.value.fields] == [field]


async def test_the_limits_themselves_are_allowed(rt: Runtime) -> None:
    tenant_id = await driving.new_tenant(rt)
    values = [*range(500), *map(str, range(500))]
    for given in (
        nested(8),
        {"type": "or", "filters": [{**EQ, "type": "in", "value": values}] * 100},
        {"type": "eq", "key": "k" * 64, "value": "x" * 1024},
        {"type": "eq", "key": "\x00$\ud800", "value": "\x00\ud800"},
    ):
        async with rt.for_tenant(tenant_id).transaction() as session:
            assert await documents.list_documents(session, limit=1, filter=filters.parse(given)) == []


CLUSTERS, DOCUMENTS, PER_DOCUMENT = 40, 1200, 2


class PointedEmbedder(FakeEmbedder):
    """Embeds whatever it is asked for as `point`."""

    point: Any

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        return Embeddings(normalised([self.point] * len(texts), len(texts)), 1)


@dataclass
class Cloud:
    """Vectors in clusters, two of each document; what a filter has to do with where they lie differs by key."""

    rt: Runtime
    tenant_id: str
    seeds: list[Seed]
    questions: Any  # (number, DIMENSIONS)

    async def recall(self, given: dict[str, Any] | None, top_k: int = 10) -> float:
        """The share of the nearest chunks in scope that a search finds, over all questions."""
        assert isinstance(self.rt.embedder, PointedEmbedder)
        chosen = [seed for seed in self.seeds if given is None or matches(given, seed, "default")]
        keys = [(seed.id, position) for seed in chosen for position in range(PER_DOCUMENT)]
        vectors = np.concatenate([seed.vectors for seed in chosen])
        shares = []
        for question in self.questions:
            nearest = {keys[place] for place in np.argsort(-vectors @ question)[:top_k]}
            self.rt.embedder.point = question
            parsed = filters.parse(given) if given else None
            hits = (
                await search(self.rt.for_tenant(self.tenant_id), Query("?", filter=parsed, mode="vector", top_k=top_k))
            ).hits
            assert len(hits) == top_k
            shares.append(len(nearest & {(hit.document_id, hit.position) for hit in hits}) / top_k)
        return sum(shares) / len(shares)


@pytest.fixture
async def cloud(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    chance = np.random.default_rng(3)
    centres = chance.normal(size=(CLUSTERS, DIMENSIONS))

    def near(cluster: int, count: int) -> Any:
        vectors = centres[cluster] + 0.8 * chance.normal(size=(count, DIMENSIONS))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)

    seeds = [
        Seed(
            {"number": number, "cluster": number % CLUSTERS, "tenth": int(chance.integers(10))},
            near(number % CLUSTERS, 2),
        )
        for number in range(DOCUMENTS)
    ]
    questions = np.concatenate([near(cluster, 1) for cluster in range(20, 32)])
    asked_anew = rt.settings.model_copy(update={"question_cache_seconds": 0})  # the same question is at many points
    rt = replace(rt, embedder=PointedEmbedder("pointed-64"), settings=asked_anew)
    tenant_id = await driving.new_tenant(rt)
    await seeding.sow(rt, tenant_id, seeds)
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 10)
    monkeypatch.setattr("footnote.retrieval.vector_leg.OF_SOME", 1)
    async with rt.transaction() as session:
        await session.execute(text("ANALYZE document, version, chunk"))
    return Cloud(rt, tenant_id, seeds, questions)


@asynccontextmanager
async def by_index(rt: Runtime, **settings: str) -> AsyncIterator[None]:
    """Postgres would rather sort so few rows. Asserts that the vector index was used."""
    switches = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", **settings}
    scans = text(
        "SELECT sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_stat_user_indexes "
        "WHERE indexrelname LIKE 'ix_chunk_embedding_space_%'"
    )
    async with rt.transaction() as session:
        for name, value in switches.items():
            await session.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
        before = await session.scalar(scans)
    yield
    async with rt.transaction() as session:
        assert await session.scalar(scans) > before
        for name in switches:
            await session.execute(text(f"SET LOCAL {name} TO DEFAULT"))


TENTH = {"type": "eq", "key": "tenth", "value": 3}
HUNDREDTH = {"type": "lt", "key": "number", "value": DOCUMENTS // 100}
FAR = {"type": "lt", "key": "cluster", "value": 4}  # a tenth, all of it far from every question


async def test_a_filter_starves_no_search_by_index(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, depth in ((None, 100), (TENTH, 100), (FAR, 100), (HUNDREDTH, 15)):
        monkeypatch.setattr("footnote.retrieval.DEPTH", depth)
        async with by_index(cloud.rt):
            assert await cloud.recall(given, top_k=min(10, depth // 3)) >= 0.98, given


async def test_what_the_index_gives_up_on_is_read_whole(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    async with by_index(cloud.rt, **{"hnsw.max_scan_tuples": "50"}):
        assert await cloud.recall(FAR) == 1
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", DOCUMENTS)
    monkeypatch.setattr("footnote.retrieval.vector_leg._BY_INDEX", "no SQL at all: this scope is small")
    for given in (TENTH, HUNDREDTH, FAR):
        assert await cloud.recall(given) == 1


async def test_a_filter_that_matches_too_many_documents_to_name_them_still_applies(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footnote.retrieval.scope.MOST_MATCHING", DOCUMENTS // 100 - 1)
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", DOCUMENTS)
    monkeypatch.setattr("footnote.retrieval.vector_leg._EXACT", "no SQL at all: too many documents match")
    for given in (TENTH, HUNDREDTH, FAR):
        assert await cloud.recall(given) >= 0.98, given


async def test_a_search_starts_no_parallel_workers(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres starts them before it knows that the branch for too few hits by the index reads nothing."""
    plans, run = [], Scope.run

    async def explained(scope: Scope, session: AsyncSession, statement: str, **parameters: Any) -> list[Any]:
        plans.append("\n".join(row[0] for row in await run(scope, session, f"EXPLAIN {statement}", **parameters)))
        return await run(scope, session, statement, **parameters)

    monkeypatch.setattr(Scope, "run", explained)
    cheap = (
        "parallel_setup_cost",
        "parallel_tuple_cost",
        "min_parallel_table_scan_size",
        "min_parallel_index_scan_size",
    )
    async with by_index(cloud.rt, **dict.fromkeys(cheap, "0")):
        for given in (None, TENTH):
            assert await cloud.recall(given) >= 0.98
    assert any("ix_chunk_embedding_space_" in plan for plan in plans)
    assert not [plan for plan in plans if "Gather" in plan]
