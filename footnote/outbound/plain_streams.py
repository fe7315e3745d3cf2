"""Connections in the clear for httpcore's pool, on asyncio's own streams.

httpcore's own are those of anyio, which take more of the processor's time (docs/adr/0074).
"""

import asyncio
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2

BUFFERED_BYTES = 256 * 1024  # of an answer, before it is read


class PlainBackend(httpcore2.AsyncNetworkBackend):
    """Tries one address of a name after the other, each for its share of the time."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises ConnectTimeout or ConnectError."""
        source = None if local_address is None else (local_address, 0)
        with _told_as(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
                share = timeout and timeout / len(addresses)
                for address in addresses[:-1]:
                    with suppress(OSError, TimeoutError):  # there is another to try
                        async with asyncio.timeout(share):
                            return await _connected(address, port, source, socket_options)
                return await _connected(addresses[-1], port, source, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _connected(
    address: str, port: int, source: tuple[str, int] | None, options: Iterable[Any] | None
) -> "_PlainStream":
    reader, writer = await asyncio.open_connection(address, port, limit=BUFFERED_BYTES, local_addr=source)
    for option in options or ():
        writer.get_extra_info("socket").setsockopt(*option)
    return _PlainStream(reader, writer)


class _PlainStream(httpcore2.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._readable = select.poll()
        self._readable.register(writer.get_extra_info("socket"), select.POLLIN)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        with _told_as(httpcore2.ReadTimeout, httpcore2.ReadError):
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:  # h11's end of a request
            return
        with _told_as(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._writer.write(buffer)
            if self._writer.transport.get_write_buffer_size():
                async with asyncio.timeout(timeout):
                    await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()

    def get_extra_info(self, info: str) -> Any:
        """Whether an idle connection `is_readable`: then the server has closed it, perhaps while the loop rested."""
        if info != "is_readable":
            return None
        return self._writer.is_closing() or self._reader.at_eof() or bool(self._readable.poll(0))


@contextmanager
def _told_as(late: type[Exception], failed: type[Exception]) -> Iterator[None]:
    """asyncio's errors as httpcore's."""
    try:
        yield
    except TimeoutError as error:
        raise late from error
    except OSError as error:
        raise failed(str(error)) from error
