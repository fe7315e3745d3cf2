"""Our programs as separate processes, and a provider of embeddings on the loopback for them to call."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from footnote.settings import Settings
from tests import ROOT


def settings_from(environment: dict[str, str]) -> Settings:
    """The settings of a program that is started with these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return Settings(_env_file=None)


@dataclass
class Program:
    """One of our programs as a separate process, with the processes that it starts."""

    module: str
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def children(self) -> list[int]:
        assert self.process is not None
        return children_of(self.process.pid)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def children_of(pid: int) -> list[int]:
    """The processes that the main thread of `pid` started; none if it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def vectors(texts: list[str]) -> Reply:
    """An embedding of 16 numbers for every text."""
    made = [[byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:16]] for text in texts]
    data = [{"object": "embedding", "index": number, "embedding": vector} for number, vector in enumerate(made)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return Reply(json.dumps({"object": "list", "data": data, "model": "m", "usage": usage}).encode())


@contextmanager
def serving(answer: Callable[[list[str], int], Reply]) -> Iterator[int]:
    """The port of an OpenAI-compatible server; `answer` gets the texts and the caller's port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            reply = answer(texts, self.client_address[1])
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                pass  # the caller was killed

        def log_message(self, *_: object) -> None: ...

    class Listening(ThreadingHTTPServer):
        request_queue_size = 128  # with 5, as by default, callers on a busy machine cannot connect

    server = Listening(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
