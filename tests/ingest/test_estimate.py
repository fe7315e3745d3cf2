"""Dry runs: what they say is what ingestion then counts, and they leave nothing."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from footnote.ingest.estimate import estimate
from footnote.models import Collection, Document, EmbeddingSpace, Job, JobStep, UnownedObject, UsageOfDay
from footnote.providers import Embedder
from footnote.providers.local import LocalEmbedder
from footnote.providers.openai import OpenAIEmbedder
from footnote.runtime import Runtime
from footnote.settings import Price, Settings
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.driving import paragraphs
from tests.fakes import FakeServer

pytestmark = pytest.mark.anyio


async def dry_run(person: Person, content: bytes | str, name: str = "a.txt", **fields: str) -> Any:
    return await person.client.post("/v1/documents?dry_run=true", files={"file": (name, content)}, data=fields)


async def rows(rt: Runtime) -> list[int]:
    tables = (Collection, Document, EmbeddingSpace, Job, UnownedObject, UsageOfDay)
    async with rt.sessions() as session:
        return [(await session.scalars(select(func.count()).select_from(table))).one() for table in tables]


async def embedded(rt: Runtime, job_id: str) -> dict[str, int]:
    async with rt.sessions() as session:
        counts = select(JobStep.counts).where(JobStep.job_id == job_id, JobStep.name == "embed")
        found: dict[str, int] = (await session.scalars(counts)).one()
        return found


async def test_what_is_said_is_what_comes_and_nothing_is_left(rt: Runtime, alice: Person, tmp_path: Path) -> None:
    text = f"{paragraphs(6)}\n\n{paragraphs(2)}"
    before = await rows(rt)
    answer = await dry_run(alice, text)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert await rows(rt) == before
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []
    accepted = await driving.accept(rt, alice.tenant_id, text, "a.txt")
    assert (await driving.run(rt, accepted.details.job.id)).state == "succeeded"
    counts = await embedded(rt, accepted.details.job.id)
    assert (said["pages"], said["chunks"], said["new_tokens"]) == (1, counts["chunks"], counts["tokens"])
    assert said["tokens"] > said["new_tokens"], "two paragraphs are there twice"
    again = (await dry_run(alice, text)).json()
    assert again == {**said, "new_tokens": 0}
    other = (await dry_run(alice, text.replace("Paragraph 5", "Paragraph V"))).json()
    assert 0 < other["new_tokens"] < said["new_tokens"] / 2


async def test_refusals_are_those_of_ingestion(alice: Person, bob: Person) -> None:
    problem(await dry_run(alice, b"%PDF-1.7 broken", "a.pdf"), 422, "corrupt_file")
    problem(await dry_run(alice, b" \n ", "a.txt"), 422, "no_text")
    problem(await dry_run(alice, "a", collection="?"), 422, "bad_collection_name")
    problem(await dry_run(alice, "a", collection="col_unknown"), 404, "collection_not_found")
    problem(await dry_run(bob, "a"), 403, "missing_scope")


async def test_files_within_are_counted(rt: Runtime, alice: Person) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", paragraphs(2))
        archive.writestr("b.txt", paragraphs(3, "siren"))
        archive.writestr("c.exe", b"MZ\x00\x00")
    said = (await dry_run(alice, packed.getvalue(), "a.zip")).json()
    assert (said["documents"], said["pages"], said["chunks"]) == (3, 2, 5)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """Counts a token for every four characters begun, as no tokenizer of ours does."""

    async def respond(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        data = [{"index": at, "embedding": [1.0, at + 1.0]} for at in range(len(body["input"]))]
        tokens = sum(-(-len(text) // 4) for text in body["input"])
        fake.json({"data": data, "model": "m", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
        assert fake.respond is not None
        await fake.respond(body, writer)
        fake.respond = respond

    fake = FakeServer(respond=respond)
    async with fake.listening():
        yield fake


@pytest.mark.parametrize("provider", ["local", "openai"])
async def test_within_two_percent_of_what_the_provider_counts(
    rt: Runtime, alice: Person, server: FakeServer, provider: str
) -> None:
    prices = {"text-embedding-3-small": Price.model_validate({"input": 20})}
    chosen = Settings(_env_file=None, openai_api_key="sk", openai_base_url=f"http://127.0.0.1:{server.port}/v1")
    embedder: Embedder = LocalEmbedder() if provider == "local" else OpenAIEmbedder(chosen)
    # Chunks of this size are longer than the local model reads.
    changed = {"prices": prices, "chunk_size": 3000}
    rt = replace(rt, embedder=embedder, settings=rt.settings.model_copy(update=changed))
    content = paragraphs(24).encode()
    upload = await driving.put(rt, alice.tenant_id, content, "a.txt")
    said = await estimate(rt.for_tenant(alice.tenant_id), upload, "default")
    accepted = await driving.accept(rt, alice.tenant_id, content, "a.txt")
    assert (await driving.run(rt, accepted.details.job.id)).state == "succeeded"
    counts = await embedded(rt, accepted.details.job.id)
    assert said.new_tokens == pytest.approx(counts["tokens"], rel=0.02)
    assert float(said.cost or 0) == pytest.approx(said.new_tokens * 20 / 1_000_000 if provider == "openai" else 0)
    await embedder.close()
