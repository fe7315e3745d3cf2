"""Requests to addresses that others choose: never to loopback, private or metadata addresses.

Names are resolved once, every address is checked, and the connection goes to a checked one.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpcore2

from footnote.errors import DocumentRejected, Invalid, TimedOut, Unavailable
from footnote.outbound.retry_after import retry_after
from footnote.text import clean

_ALLOWED_BY = "FOOTNOTE_WEBHOOK_ALLOW_PRIVATE=true (webhooks) or FOOTNOTE_FETCH_ALLOW_PRIVATE=true (documents by URL)"
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SILENT_SECONDS = 30.0
FETCH_HEADERS = [("user-agent", "Footnote-Fetch/1"), ("accept", "*/*"), ("accept-encoding", "identity")]
EXCERPT_BYTES = 1000
EXCERPT_SECONDS = 2.0  # for the body, once the status is known
# Below 1024 only the web's ports; above, none of services that accept more than HTTP and ask for no password.
PORTS_ALLOWED = frozenset({80, 443})
PORTS_DENIED = frozenset({2375, 2376, 2379, 3306, 3389, 5432, 5672, 5900, 6379, 6380, 6667, 9200, 11211, 27017})

_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without the backslash, which some readers take for a slash
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(%.*)?")

# What `is_global` does not catch: multicast, relays, IPv6 addresses that carry an IPv4 one to a translator or tunnel.
NETWORKS_DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # where Azure answers its guests
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/4",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        # Global unicast is 2000::/3: everything below and above is an embedded IPv4 address or of local scope.
        "::/3",
        "4000::/2",
        "8000::/1",
    )
)


@dataclass(frozen=True)
class Reply:
    """How a request ended: a status with the beginning of the answer, or what went wrong."""

    status: int | None
    error: str | None = None
    excerpt: str | None = None
    retry_after: float | None = None  # seconds


async def post(url: str, headers: Mapping[str, str], body: bytes, *, seconds: float, allow_private: bool) -> Reply:
    """Sends it once; every failure is a Reply, too. Redirects are not followed."""
    limits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    fields = list(headers.items())
    try:
        check_url(url, allow_private=allow_private)
        async with (
            asyncio.timeout(seconds) as limit,
            httpcore2.AsyncConnectionPool(network_backend=GuardedBackend(allow_private=allow_private)) as pool,
            pool.stream("POST", url, headers=fields, content=body, extensions={"timeout": limits}) as answer,
        ):
            limit.reschedule(None)  # an answer is there
            received = dict(_text(answer.headers))
            return Reply(answer.status, None, await _excerpt(answer), retry_after(received))
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, TimeoutError) as error:
        return Reply(None, f"{type(error).__name__}: {error}"[:500])
    except (Invalid, OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA does not allow
        return Reply(None, str(error)[:500])


async def _excerpt(answer: httpcore2.Response) -> str:
    """How the body begins, as text that is safe to store; what comes too slowly is left out."""
    found = b""
    with suppress(TimeoutError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        async with asyncio.timeout(EXCERPT_SECONDS):
            async for piece in answer.aiter_stream():
                found += piece[:EXCERPT_BYTES]
                if len(found) >= EXCERPT_BYTES:
                    break
    return clean(found[:EXCERPT_BYTES].decode("utf-8", "replace"))


def _text(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in headers)


@dataclass(frozen=True)
class Download:
    """A file that an address sends: its name, and its bytes as they arrive."""

    filename: str | None
    pieces: AsyncIterator[bytes]


@asynccontextmanager
async def get(url: str, *, seconds: float, allow_private: bool) -> AsyncIterator[Download]:
    """The answer to a GET, after a few redirects, each checked as the first address was.

    Raises Invalid(url_not_allowed) or DocumentRejected(fetch_refused), which are permanent, or Unavailable or TimedOut,
    which are not.
    """
    pool = httpcore2.AsyncConnectionPool(network_backend=GuardedBackend(allow_private=allow_private))
    with _fetch_errors():
        async with asyncio.timeout(seconds), pool, AsyncExitStack() as open_answers:
            for _ in range(MOST_REDIRECTS + 1):
                check_url(url, allow_private=allow_private)
                timeouts = dict.fromkeys(("connect", "read", "write", "pool"), min(seconds, SILENT_SECONDS))
                answer = await open_answers.enter_async_context(
                    pool.stream("GET", url, headers=FETCH_HEADERS, extensions={"timeout": timeouts})
                )
                headers = dict(_text(answer.headers))
                if answer.status in REDIRECTS and "location" in headers:
                    url = urljoin(url, headers["location"])
                    continue
                _check_status(answer.status, headers)
                yield Download(_disposed_name(headers) or filename_of(url), answer.aiter_stream())
                return
            raise DocumentRejected("fetch_refused", f"The address redirects more than {MOST_REDIRECTS} times.")


def _check_status(status: int, headers: Mapping[str, str]) -> None:
    if status == 200:
        return
    if status in (408, 425, 429) or status >= 500:
        raise Unavailable("fetch_failed", f"The address answered {status}.", retry_after=retry_after(headers))
    raise DocumentRejected("fetch_refused", f"The address answered {status}.")


@contextmanager
def _fetch_errors() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpcore2.TimeoutException) as error:
        raise TimedOut("fetch_failed", "The address took too long to answer.") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
        raise Unavailable("fetch_failed", f"The address could not be reached: {error}"[:300]) from error
    except UnicodeError as error:  # a name that IDNA does not allow
        raise Invalid("url_not_allowed", str(error)[:300]) from error


def filename_of(url: str) -> str:
    """The last part of the path, or the host where there is none."""
    parts = urlsplit(url)
    return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or "document"


def _disposed_name(headers: Mapping[str, str]) -> str | None:
    """The file name that a Content-Disposition header gives."""
    message = Message()
    message["Content-Disposition"] = headers.get("content-disposition", "")
    return message.get_filename()


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises Invalid(url_not_allowed) for URLs that can be refused without resolving the name."""
    refused = Invalid("url_not_allowed", "The URL must begin with http:// or https://, have no user and name a host.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise refused from error
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not _PRINTABLE.fullmatch(url):
        raise refused
    if not _HOST.fullmatch(host) or port == 0:
        raise refused
    if allow_private:
        return
    if port is not None and (port in PORTS_DENIED or (port < 1024 and port not in PORTS_ALLOWED)):
        raise _private(f"Port {port} is not one that requests are sent to")
    if host == "localhost" or host.endswith((".localhost", ".internal", ".local")):
        raise _private(f"{host} is not a public host")
    literal = _literal(host)
    if literal is not None and not is_public(literal):
        raise _private(f"{host} is not a public address")


def _private(what: str) -> Invalid:
    return Invalid("url_not_allowed", f"{what}. The operator allows private hosts and any port by {_ALLOWED_BY}.")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host spells in any form that a resolver takes: 127.1, 0x7f000001, 2130706433."""
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    with suppress(OSError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_public(mapped)
    denied = any(address in network for network in NETWORKS_DENIED if network.version == address.version)
    return address.is_global and not denied


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a name once, checks every address it has, and connects to the first of them that answers.

    So a name cannot resolve to another address between the check and the connection (DNS rebinding).
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise _private(f"{host} resolves to an address that is not public")
        share = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):  # there is another to try
                return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
        return await self._inner.connect_tcp(str(addresses[-1]), port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
