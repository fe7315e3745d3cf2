"""Stand-ins for other servers: a receiver of webhooks, and a provider of embeddings that can kill its caller."""

import asyncio
import base64
import hashlib
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.system.faults import processes

DIMENSIONS = 64
Headers = dict[str, str]
Ports = tuple[int, int]  # the caller's, ours
Answer = Callable[[Headers, Any, Ports], Any]  # headers, JSON body, ports -> JSON body


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """The address of an HTTP server that answers every request with 200 and what `answer` returns."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
                sent = json.dumps(await asyncio.to_thread(answer, headers, body, ports)).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
                writer.write(head.encode() + sent)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Receiver:
    """Remembers which webhook ids told of which event of which job."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], set[str]] = defaultdict(set)

    def answer(self, headers: Headers, body: Any, _ports: Ports) -> Any:
        self.ids[body["data"]["job_id"], body["type"]].add(headers["webhook-id"])
        return {}


class Endpoints:
    """Registered receivers, one for each path; each verifies what it gets by the library that its users have."""

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {}  # statuses by path, the last one stays; 0: sends nothing
        self.secrets: dict[str, list[str]] = {}
        self.got: dict[str, list[str]] = defaultdict(list)  # webhook ids by path, once for each attempt
        self.taken: dict[str, list[str]] = defaultdict(list)  # of those that were answered with 2xx
        self.forged = 0  # requests that any of the secrets did not verify
        self._tries: dict[tuple[str, str], int] = defaultdict(int)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            status = self._status(first.split()[1], headers, await reader.readexactly(int(headers["content-length"])))
            if status:
                writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
            else:
                await reader.read()
        writer.close()

    def _status(self, path: str, headers: Headers, body: bytes) -> int:
        for secret in self.secrets[path]:
            try:
                Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                self.forged += 1
        webhook_id = headers["webhook-id"]
        answers, tried = self.answers[path], self._tries[path, webhook_id]
        self._tries[path, webhook_id] += 1
        self.got[path].append(webhook_id)
        status = answers[min(tried, len(answers) - 1)]
        if 200 <= status < 300:
            self.taken[path].append(webhook_id)
        return status


class Provider:
    """Speaks OpenAI's embeddings API; a process that sends it `poison` is killed before there is an answer."""

    def __init__(self, poison: str) -> None:
        self.poison = poison
        self.killed: list[int] = []

    def answer(self, _headers: Headers, body: Any, ports: Ports) -> Any:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if any(self.poison in each for each in texts):
            (caller,) = processes.holders(*ports)
            assert caller != os.getpid()
            self.killed.append(caller)
            processes.send(signal.SIGKILL, [caller])
        return _embeddings(body["model"], texts, DIMENSIONS)


class Lengths:
    """Speaks OpenAI's embeddings API: its next answers have vectors of the `odd` lengths, all others of `length`."""

    def __init__(self) -> None:
        self.length = DIMENSIONS
        self.odd: list[int] = []

    def answer(self, _headers: Headers, body: Any, _ports: Ports) -> Any:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        return _embeddings(body["model"], texts, self.odd.pop(0) if self.odd else self.length)


class Models:
    """Speaks OpenAI's embeddings API, with a length of vectors for each model. It counts words, and texts by model."""

    def __init__(self, lengths: dict[str, int]) -> None:
        self.lengths = lengths
        self.asked: dict[str, list[str]] = defaultdict(list)
        self.seconds_a_text = 0.0

    def answer(self, _headers: Headers, body: Any, _ports: Ports) -> Any:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        time.sleep(self.seconds_a_text * len(texts))
        self.asked[body["model"]].extend(texts)
        answer = _embeddings(body["model"], texts, self.lengths[body["model"]])
        words = sum(len(each.split()) for each in texts)
        return answer | {"usage": {"prompt_tokens": words, "total_tokens": words}}


def _embeddings(model: str, texts: list[str], dimensions: int) -> Any:
    data = [{"object": "embedding", "index": n, "embedding": _vector(each, dimensions)} for n, each in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "model": model, "data": data, "usage": usage}


def _vector(text: str, dimensions: int) -> str:
    """A direction of the text's own, as base64 of 32-bit floats."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return base64.b64encode(np.random.default_rng(seed).standard_normal(dimensions).astype("<f4").tobytes()).decode()
