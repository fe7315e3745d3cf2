"""Clients that hold connections: silent, half a request, a body that stalls or lies, an answer that is not read."""

import asyncio
import select
import socket
import time
from contextlib import suppress
from pathlib import Path

from tests.system.faults.bench import Options, bench
from tests.system.faults.load import Load
from tests.system.faults.report import Report
from tests.system.faults.stack import until

OF_EACH = 120  # of five kinds
LOOKS = 100  # requests of a well-behaved client
LARGE = 8 * 1024 * 1024  # bytes, more than the kernel buffers
CLOSED_SECONDS = 60.0
LISTENING = "0A"  # of the states of a TCP connection
SETTINGS = {"FOOTNOTE_BODY_IDLE_SECONDS": "20", "FOOTNOTE_BODY_SECONDS": "40"}


def requests(key: str, document_id: str) -> dict[str, bytes]:
    """What each kind sends, and never anything after that."""
    head = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    of_json = f"POST /v1/search {head}Content-Type: application/json\r\nContent-Length: "
    kinds = {
        "sends nothing": "",
        "sends half a head": f"GET /v1/documents {head}",
        "stalls within its body": of_json + '1000\r\n\r\n{"query": ',
        "declares more than it sends": of_json + '500\r\n\r\n{"query": "lamp"}',
        "reads no answer": f"GET /v1/documents/{document_id}/content {head}\r\n",
    }
    return {kind: request.encode() for kind, request in kinds.items()}


class Held:
    """A connection that is never closed by its client."""

    def __init__(self, kind: str, request: bytes) -> None:
        self.kind, self.request = kind, request
        self.seconds: float | None = None  # until the server closed it

    async def hold(self, port: int) -> None:
        """Until the server closes it. Of a large answer nothing is read until the time is over."""
        loop, started = asyncio.get_running_loop(), time.monotonic()
        with socket.socket() as ours, suppress(ConnectionError):
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            await loop.sock_connect(ours, ("127.0.0.1", port))
            await loop.sock_sendall(ours, self.request)
            if self.kind == "reads no answer":
                await _reset(ours)
            else:
                while await loop.sock_recv(ours, 65536):
                    pass
        self.seconds = time.monotonic() - started


async def _reset(connection: socket.socket) -> None:
    """Waits until the other side has ended the connection, without reading from it."""
    broken = select.poll()
    broken.register(connection, 0)  # errors and the end are told without being asked for
    while not broken.poll(0):
        await asyncio.sleep(0.5)


def connections(port: int) -> int:
    """How many connections at the port belong to a process: those that are closed have no inode."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] != LISTENING and row[9] != "0" for row in rows)


async def pace(load: Load, kind: str) -> float:
    """How long a list of documents takes: 95 of 100, in seconds."""
    seconds = []
    for _ in range(LOOKS):
        request, _ = await load.send(kind, "GET", "/v1/documents")
        seconds.append(request.seconds)
        await asyncio.sleep(0.1)
    return sorted(seconds)[LOOKS * 95 // 100]


async def slow_clients(options: Options) -> Report:
    """They cost other clients little, and a stop does not wait for them."""
    report = Report(f"slow-clients: {5 * OF_EACH} connections that are held")
    async with bench(options, **SETTINGS) as on:
        made = await on.load.client.put("/v1/uploads/large.txt", content=b"\n" * LARGE)
        sent = requests(on.stack.key, made.json()["document"]["id"])
        await on.watch.until_ended()
        alone, before = await pace(on.load, "alone"), connections(on.stack.port)
        held = [Held(kind, request) for kind, request in sent.items() for _ in range(OF_EACH)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.hold(on.stack.port)) for each in held]
            await asyncio.sleep(2)
            among = await pace(on.load, "among")
            await asyncio.wait(tasks, timeout=CLOSED_SECONDS + 10)
            for task in tasks:
                task.cancel()

        async def given_back() -> bool:
            return connections(on.stack.port) <= before

        await until(given_back, 20, "the connections are given back")
    for kind in sent:
        times = [each.seconds for each in held if each.kind == kind]
        report.exactly(f"{kind}: still there after {CLOSED_SECONDS + 10:g} s", 0, times.count(None))
        report.at_most(f"{kind}: closed after, slowest", CLOSED_SECONDS, max((each or 0) for each in times))
    refused = [each for each in on.load.requests if not each.ok]
    report.exactly("failed requests of other clients", 0, len(refused))
    report.at_most("a request of another client, 95 of 100, compared with one alone", 3, among / alone, "x")
    return report
