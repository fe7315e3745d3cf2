"""A chat model on loopback that answers what a test tells it to, with markers for the passages that it was given."""

import base64
import json
import re
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SOURCE = re.compile(r"^Source (\d+):\n((?:> .*\n?)+)", re.MULTILINE)
_QUOTED = re.compile(r"\{(.+?)\}")
UNKNOWN = "The sources do not say."


@dataclass
class Model:
    """`says`: the answer by a part of the question; `{words}` stands for a marker with these words as its quote."""

    says: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0  # seconds between two words
    left: threading.Event = field(default_factory=threading.Event)  # set when a caller leaves before the end
    refuses: bool = False  # the key of those who want vectors
    port: int = 0

    def reset(self) -> None:
        """Knows nothing, is quick, and takes each key."""
        self.says.clear()
        self.left.clear()
        self.pause, self.refuses = 0.0, False

    def answer(self, prompt: str) -> str:
        question = prompt.rpartition("Question: ")[2]
        told = next((answer for part, answer in self.says.items() if part in question), UNKNOWN)
        sources = {number: _plain(lines.replace("\n> ", "\n")) for number, lines in _SOURCE.findall(prompt)}

        def marker(match: re.Match[str]) -> str:
            quote = match[1]
            number = next((number for number, text in sources.items() if _plain(quote) in text), "1")
            return f'[{number}: "{quote}"]'

        return _QUOTED.sub(marker, told)


def _plain(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def answering() -> Iterator[Model]:
    """A server that speaks as much of OpenAI's API as the product asks for."""
    model = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """A page of another origin on this host, which sets a cookie like one of another installation's."""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            cookie = f"__Host-footnote-{12 * '0'}=of-the-other; Path=/; Secure; HttpOnly; SameSite=Strict"
            self.send_header("Set-Cookie", cookie)
            self.end_headers()

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/embeddings"):
                return self._vectors(asked["input"])
            words = re.findall(r"\S+\s*", model.answer(asked["messages"][-1]["content"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for word in words:
                    self._send({"content": word})
                    time.sleep(model.pause)
                self._send({}, "stop")
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                model.left.set()

        def _vectors(self, texts: list[str]) -> None:
            row = {"embedding": base64.b64encode(struct.pack("<4f", 1, 2, 3, 4)).decode()}
            found = {"data": [row | {"index": index} for index in range(len(texts))]}
            refusal = {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}
            content = json.dumps(refusal if model.refuses else found).encode()
            self.send_response(401 if model.refuses else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _send(self, delta: dict[str, str], reason: str | None = None) -> None:
            choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "scribe", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    model.port = server.server_address[1]
    try:
        yield model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
