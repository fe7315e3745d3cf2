"""`GET /metrics` on a port of its own, in each program.

A thread waits in the kernel for the next request: that costs nothing in between, and needs no event loop.
"""

import os
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Lock, Thread
from typing import Any

from footnote.settings import Settings
from footnote.telemetry import log

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# A process that is forked while the thread works inherits the locks that it holds, and waits for them without end.
_rendering = Lock()
os.register_at_fork(before=_rendering.acquire, after_in_parent=_rendering.release, after_in_child=_rendering.release)


def listen(settings: Settings, render: Callable[[], str]) -> None:
    """Serves what `render` returns on FOOTNOTE_METRICS_PORT, if set. Raises SystemExit if it cannot be had."""
    if settings.metrics_port is None:
        return
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server = _Server(host, port, render)
    except OSError as error:
        raise SystemExit(f"FOOTNOTE_METRICS_PORT {port} on {host} cannot be used: {error.strerror}.") from error
    os.register_at_fork(after_in_child=server.server_close)
    # Without an interval, at which it would look whether it should end.
    Thread(target=server.serve_forever, args=(None,), name="metrics", daemon=True).start()


class _Server(TCPServer):
    """Not HTTPServer, which asks for the host's full name by DNS."""

    allow_reuse_address = True

    def __init__(self, host: str, port: int, render: Callable[[], str]) -> None:
        self.render = render
        self.address_family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        super().__init__((str(address[0]), int(address[1])), _Request)

    def handle_error(self, *_: Any) -> None:
        """A client left, or is too slow."""


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = 2.0  # seconds, with a client that is slow to ask or to read
    server_version, sys_version = "Footnote", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            return self._answer(404, "Only GET /metrics is here.\n")
        try:
            with _rendering:
                text = self.server.render()
        except Exception:
            log.exception("metrics failed")
            return self._answer(500, "The metrics cannot be read; the log says why.\n")
        return self._answer(200, text)

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: requests for metrics are of no interest."""
