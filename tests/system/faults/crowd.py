"""A crowd: hundreds of answers that stream while documents come in, before a model at its own pace."""

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.provider import Provider
from tests.system.faults import corpus
from tests.system.faults.bench import Options, bench
from tests.system.faults.load import Load
from tests.system.faults.report import Report

WORDS = 40  # of an answer, beside its quote
SETTINGS = {"FOOTNOTE_GENERATOR": "openai", "OPENAI_API_KEY": "none", "FOOTNOTE_ANSWER_CACHE_SECONDS": "0"}
KNOWN = 20  # documents that are asked about
STREAMS, UPLOADS = 200, 50
SLOWEST_SECONDS = 60.0


def _answer(asked: bytes) -> list[str]:
    """Cites the first passage with a sentence that stands in it."""
    quote = re.findall(rb"The \w+ has its own book\.", asked)[0].decode()
    return ["The ", "book ", f'[1: "{quote}"]', ". ", *["word "] * WORDS]


MODEL = Provider(_answer, first_seconds=0.3, token_seconds=0.05)


@dataclass(frozen=True)
class Streamed:
    """An answer as a reader of the stream saw it. Seconds until its first words, and until its end."""

    first: float
    whole: float
    trouble: str  # empty: none


async def ask(load: Load, port: int, question: str) -> Streamed:
    """Reads as plainly as can be: a client that took its time would be measured with the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"question": question, "stream": True}).encode()
    head = f"POST /v1/query HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {load.client.headers['authorization']}\r\n"
    head += f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    started, first, received = time.monotonic(), 0.0, b""
    writer.write(head.encode() + body)
    try:
        while piece := await reader.read(1 << 16):
            received += piece
            if not first and b"event: delta" in received:
                first = time.monotonic() - started
    except ConnectionError as error:
        return Streamed(first, time.monotonic() - started, f"{error}")
    finally:
        writer.close()
    return Streamed(first, time.monotonic() - started, _trouble(received))


def _trouble(received: bytes) -> str:
    """What is wrong with an answer that must have been given, to its end, with a quote that was found."""
    if not received.startswith(b"HTTP/1.1 200 "):
        return received.decode()[:1000]
    done = re.search(rb"event: done\r?\ndata: (.*?)\r?\n\r?\n", received)
    if done is None:
        return f"no end: {received.decode()[-500:]}"
    citations: list[dict[str, Any]] = json.loads(done[1])["citations"]
    return "" if [each["verified"] for each in citations] == [True] else f"cites {citations}"


def questions(known: Sequence[corpus.Source], count: int) -> list[str]:
    return [
        f"What does the {known[number % len(known)].name} say of the {corpus.NOUNS[number // len(known)]}?"
        for number in range(count)
    ]


def told(report: Report, answers: Sequence[Streamed], alone: Streamed, uploads: Sequence[float]) -> None:
    """The goal is that nothing fails; how long it takes depends on the machine, and is told."""
    bad = [each.trouble for each in answers if each.trouble]
    report.exactly(f"of {len(answers)} streamed answers at once, without an end and a verified quote", 0, len(bad))
    for each in set(bad[:3]):
        print(each)
    first, whole = (sorted(times) for times in zip(*((each.first, each.whole) for each in answers), strict=True))
    report.tell("first token, one stream alone", alone.first)
    report.tell("first token, median", median(first))
    report.tell("first token, 95 of 100", first[len(first) * 95 // 100])
    report.tell("whole answer, one stream alone", alone.whole)
    report.tell("whole answer, median", median(whole))
    report.at_most("whole answer, slowest", SLOWEST_SECONDS, whole[-1])
    report.tell("upload accepted, median", median(uploads))
    report.tell("upload accepted, slowest", max(uploads))


async def _in_time(load: Load) -> tuple[float, float]:
    """Of the looks at the event loops of all API processes: how many came in time, by 50 ms, and how many there were.

    Late is what waits for the processor, too.
    """
    text = (await load.client.get("/metrics")).text
    name = "footnote_event_loop_lag_seconds_bucket"
    found = dict(re.findall(rf'{name}\{{le="([^"]+)"\}} (\S+)', text))
    return float(found["0.05"]), float(found["+Inf"])


async def crowd(options: Options) -> Report:
    """Many who read answers as they grow, and many who upload, all at once: no request is refused or cut off."""
    rng = random.Random(options.seed)
    sources = corpus.sources(options.seed, 2 * KNOWN + UPLOADS)
    plain = [each for each in sources if each.filename.endswith(".txt")]  # where no line breaks the quote
    known, others = plain[:KNOWN], [each for each in sources if each not in plain[:KNOWN]][:UPLOADS]
    report = Report(f"crowd: {STREAMS} streamed answers and {UPLOADS} uploads at the same moment")
    async with MODEL.serving() as url, bench(options, OPENAI_BASE_URL=url, **SETTINGS) as on:
        await on.load.upload_all(known, 20)
        await on.watch.until_ended()
        asked = questions(known, STREAMS + 1)
        await ask(on.load, on.stack.port, asked[-1])  # the first question waits until the local model is loaded
        alone = await ask(on.load, on.stack.port, asked[-1])
        in_time, looks = await _in_time(on.load)
        work = [*(ask(on.load, on.stack.port, question) for question in asked[:-1]), *map(on.load.upload, others)]
        rng.shuffle(work)
        answers = [each for each in await asyncio.gather(*work) if each is not None]
        in_time, looks = (
            after - before for after, before in zip(await _in_time(on.load), (in_time, looks), strict=True)
        )
        uploads = on.load.answered("upload")[KNOWN:]
        report.exactly(f"of {len(uploads)} uploads at once, refused", 0, sum(not each.ok for each in uploads))
        told(report, answers, alone, [each.seconds for each in uploads])
        report.tell("checks that found an event loop more than 50 ms late", 100 * (1 - in_time / looks), "%")
        await on.finish(report, [*known, *others])
    return report
