"""The port of a service that starts at the first connection; until then we listen there ourselves.

The first client waits until the service listens, and then gets an answer to ask again: a browser does that by itself.
"""

import socket
from contextlib import suppress

HEAD_SECONDS = 0.2  # in which the head of the request comes, or the client is sent to the first page
MOST_HEAD_BYTES = 8192
CONNECT_SECONDS = 0.2


class FirstConnection:
    """Raises OSError if the port cannot be had."""

    def __init__(self, host: str, port: int) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._address = str(address[0]), port
        self._listener = socket.create_server((host, port), family=family)
        self._listener.setblocking(False)
        self._client: socket.socket | None = None

    def came(self) -> bool:
        """Whether the first client has come. Then the port is free for the service."""
        if self._client is not None:
            return False
        try:
            self._client, _ = self._listener.accept()
        except BlockingIOError:
            return False
        self._listener.close()
        return True

    def answer(self) -> bool:
        """Answers the client if the service listens by now; whether there is nothing left to do."""
        if self._client is None:
            return True
        try:
            socket.create_connection(self._address, timeout=CONNECT_SECONDS).close()
        except OSError:
            return False
        with self._client as client, suppress(OSError):
            client.settimeout(HEAD_SECONDS)
            _, _, rest = client.recv(MOST_HEAD_BYTES).partition(b" ")
            path = b"/" + rest.split(maxsplit=1)[0].lstrip(b"/") if rest.startswith(b"/") else b"/"  # of this host
            head = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            client.sendall(head % path)
        self._client = None
        return True

    def close(self) -> None:
        self._listener.close()
        if self._client is not None:
            self._client.close()
