"""`GET /metrics` on a port of its own, in each program.

A thread waits in the kernel for the next request: that costs nothing in between, and needs no event loop.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread

from footnote.settings import Settings
from footnote.telemetry import log

PATIENCE_SECONDS = 2.0  # with a client that is slow to ask or to read
REQUEST_BYTES = 8192  # at most
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
        listener = _opened(host, port)
    except OSError as error:
        raise SystemExit(f"FOOTNOTE_METRICS_PORT {port} on {host} cannot be used: {error.strerror}.") from error
    os.register_at_fork(after_in_child=listener.close)
    Thread(target=_serve, args=(listener, render), name="metrics", daemon=True).start()


def _opened(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family)


def _serve(listener: socket.socket, render: Callable[[], str]) -> None:
    while True:
        client, _ = listener.accept()
        with client, suppress(OSError):  # it left, or is too slow
            client.settimeout(PATIENCE_SECONDS)
            client.sendall(_answer(_asked(client), render))


def _asked(client: socket.socket) -> bytes:
    """The head of the request, as far as it is needed."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < REQUEST_BYTES and (more := client.recv(REQUEST_BYTES)):
        head += more
    return head


def _answer(head: bytes, render: Callable[[], str]) -> bytes:
    path = head.partition(b" ")[2].partition(b" ")[0].partition(b"?")[0]
    if not head.startswith(b"GET ") or path != b"/metrics":
        return _response("404 Not Found", "Only GET /metrics is here.\n")
    try:
        with _rendering:
            return _response("200 OK", render())
    except Exception:
        log.exception("metrics fail")
        return _response("500 Internal Server Error", "The metrics cannot be read; the log says why.\n")


def _response(status: str, text: str) -> bytes:
    body = text.encode()
    fields = f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body
