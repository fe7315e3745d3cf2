"""The API is told to stop while many requests are open, and its processes are replaced under load."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tests.system.faults import corpus, processes
from tests.system.faults.bench import Bench, Options, bench
from tests.system.faults.report import Report
from tests.system.faults.stack import until

DRAIN_SECONDS = 6
END_SECONDS = 5.0  # after the drain
OF_EACH = 10
SETTINGS = {
    "FOOTNOTE_DRAIN_SECONDS": str(DRAIN_SECONDS),
    "FOOTNOTE_GENERATOR": "openai",
    "OPENAI_API_KEY": "none",
    "FOOTNOTE_FIRST_TOKEN_SECONDS": "100",
    "FOOTNOTE_ANSWER_CACHE_SECONDS": "0",
    "FOOTNOTE_LEAST_EVIDENCE": "0",
}


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chat model that begins its answer, and never goes on."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await reader.read()
    writer.close()


@asynccontextmanager
async def silent_model() -> AsyncIterator[str]:
    """Its address."""
    async with await asyncio.start_server(_silent, "127.0.0.1", 0, backlog=1024) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@dataclass
class Held:
    """A request that is under way: it is sent, and read to its end when there is one."""

    kind: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> bytes:
        with suppress(ConnectionError):
            return await self.reader.read()
        return b""


def _head(on: Bench, method: str, path: str, more: str = "") -> bytes:
    key = on.load.client.headers["authorization"]
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n{more}\r\n".encode()


def _asked(on: Bench, path: str, **body: object) -> bytes:
    sent = json.dumps(body).encode()
    return _head(on, "POST", path, f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n") + sent


async def _hold(on: Bench, document_id: str) -> list[Held]:
    """Requests of every kind that lasts, under way."""
    conversation = (await on.load.client.post("/v1/conversations", json={})).json()["id"]
    talk, question = f"/v1/conversations/{conversation}/messages", "What has a book?"
    kinds = {
        "question": [_asked(on, "/v1/query", question=question)] * OF_EACH,
        "stream": [_asked(on, "/v1/query", question=question, stream=True)] * OF_EACH,
        "conversation stream": [_asked(on, talk, question=question, stream=True)],
        "events stream": [_head(on, "GET", f"/v1/documents/{document_id}/events")] * OF_EACH,
        "upload": [_head(on, "PUT", "/v1/uploads/half.txt", "Content-Length: 100000\r\n") + b"half"] * OF_EACH,
        "idle": [b""] * OF_EACH,
    }
    held = []
    for kind, requests in kinds.items():
        for request in requests:
            connection = Held(kind, *await asyncio.open_connection("127.0.0.1", on.stack.port))
            connection.writer.write(request or _head(on, "GET", "/healthz"))
            if not request:
                await connection.reader.readuntil(b'"}')
            elif kind.endswith("stream"):
                await connection.reader.readuntil(b"event: ")
            held.append(connection)
    return held


def _trouble(kind: str, answer: bytes) -> str:
    """What is wrong with how a request was cut off."""
    if kind.endswith("stream"):
        events = re.findall(rb"event: error\r?\ndata: (.*?)\r?\n\r?\n", answer)
        told = json.loads(events[-1]) if events else {}
        return "" if told.get("retry_after") and answer.endswith(b"0\r\n\r\n") else answer.decode()[-500:]
    wanted = [b"HTTP/1.1 503 ", b"connection: close"]
    wanted += [b'"draining"'] if kind == "idle" else [b"retry-after: ", b"application/problem+json"]
    return "" if all(each in answer for each in wanted) else answer.decode()[:500]


async def draining(options: Options) -> Report:
    """Asked to stop, it lets answers end, tells the others to ask again, and is gone in time."""
    report = Report(f"draining: the API stopped with questions, streams and uploads under way, {DRAIN_SECONDS} s")
    async with silent_model() as url, bench(options, OPENAI_BASE_URL=url, **SETTINGS) as on:
        sources = corpus.sources(options.seed, 2)
        await on.load.upload(sources[0])
        await on.watch.until_ended()
        command = [sys.executable, "-m", "footnote", "pause"]
        await asyncio.to_thread(subprocess.run, command, env=on.stack.env, check=True, capture_output=True)
        await on.load.upload(sources[1])
        held = await _hold(on, on.load.accepted[sources[1].number])
        serving = await until(_serving(on), 30, "the API serves")
        asked = time.monotonic()
        processes.send(signal.SIGTERM, serving[:1])
        await until(_refuses(on, serving[0]), 5, "new connections are refused")
        for each in held:
            if each.kind == "idle":
                each.writer.write(_head(on, "GET", "/readyz"))
        answers = await asyncio.gather(*(each.answer() for each in held))
        await until(_gone(serving), DRAIN_SECONDS + 30, "the processes are gone")
        report.at_most("gone after", DRAIN_SECONDS + END_SECONDS, time.monotonic() - asked)
        for kind in dict.fromkeys(each.kind for each in held):
            told = [_trouble(kind, answer) for each, answer in zip(held, answers, strict=True) if each.kind == kind]
            report.exactly(f"{kind}: of {len(told)} requests, not told in order", 0, sum(map(bool, told)))
            print(*{each for each in told if each}, sep="\n")
        await on.stack.ready()
        command[-1] = "resume"
        await asyncio.to_thread(subprocess.run, command, env=on.stack.env, check=True, capture_output=True)
        log = (on.stack.data_dir / "logs" / "api.log").read_text()
        report.exactly("tracebacks in the log", 0, log.count("Traceback"))
        await on.finish(report, sources)
    return report


def _serving(on: Bench) -> Callable[[], Awaitable[tuple[int, ...] | None]]:
    async def serving() -> tuple[int, ...] | None:
        return on.stack.api()

    return serving


def _refuses(on: Bench, pid: int) -> Callable[[], Awaitable[bool]]:
    async def refuses() -> bool:
        return pid not in processes.holders(on.stack.port)

    return refuses


def _gone(pids: Sequence[int]) -> Callable[[], Awaitable[bool]]:
    async def gone() -> bool:
        return not any(map(processes.lives, pids))

    return gone


async def restarting(options: Options) -> Report:
    """SIGHUP under load: each process is replaced, and no client notices."""
    report = Report("restarting: all processes of the API replaced, twice, under load")
    sources = corpus.sources(options.seed, 10)
    refused = attempts = 0
    async with bench(options, FOOTNOTE_DRAIN_SECONDS="30") as on:

        async def knock() -> None:
            nonlocal refused, attempts
            while True:
                attempts += 1
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", on.stack.port)
                    writer.close()
                except OSError:
                    refused += 1
                await asyncio.sleep(0.05)

        knocking = asyncio.create_task(knock())
        async with on.load.asking(1, stream=True), asyncio.TaskGroup() as group:
            group.create_task(on.load.upload_all(sources, 1))
            for _ in range(2):
                parent, *before = await until(_serving(on), 30, "the API serves")
                processes.send(signal.SIGHUP, [parent])
                await until(_gone(before), 400, "all processes are replaced")
        knocking.cancel()
        sent = on.load.answered("upload", "query", "status")
        bad = [each for each in sent if not each.ok and not (each.status == 503 and each.retry_after)]
        for each in bad[:5]:
            print(f"{each.kind} failed after {each.seconds:.1f} s: {each.status} {each.problem}")
        report.exactly(f"of {len(sent)} requests, failed but for 503 with Retry-After", 0, len(bad))
        report.exactly(f"of {attempts} connections, refused", 0, refused)
        await on.finish(report, sources)
    return report
