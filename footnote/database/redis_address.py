"""REDIS_URL: a server, or sentinels who know which of several servers is the primary."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis import Redis as BlockingRedis
from redis import sentinel as blocking
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from footnote.errors import Invalid

SCHEMES = ("redis", "rediss", "unix")
SENTINEL_PORT = 26379
_WRONG = (
    "REDIS_URL must start with redis://, rediss://, unix:// or sentinel://, not {scheme}://. Only Redis and Valkey "
    "can be the queue, and not as a cluster (docs/scaling.md)."
)
_WRONG_SENTINELS = "REDIS_URL of sentinels must be sentinel://[user:password@]host[:port],.../primary[?db=0]."


@dataclass(frozen=True)
class Sentinels:
    """`primary` is the name that the sentinels watch it by; `login` is for the servers, not for the sentinels."""

    hosts: tuple[tuple[str, int], ...]
    primary: str
    login: dict[str, str]
    db: int


def sentinels_of(url: str) -> Sentinels | None:
    """None if it is a server's address. Raises Invalid."""
    parts = urlsplit(url)
    if parts.scheme in SCHEMES:
        return None
    if parts.scheme != "sentinel":
        raise Invalid("bad_setting", _WRONG.format(scheme=parts.scheme))
    user, _, hosts = parts.netloc.rpartition("@")
    try:
        found = [urlsplit(f"//{each}") for each in hosts.split(",")]
        addresses = tuple((each.hostname or "", each.port or SENTINEL_PORT) for each in found)
        db = int(parse_qs(parts.query).get("db", ["0"])[0])
    except ValueError as error:
        raise Invalid("bad_setting", _WRONG_SENTINELS) from error
    primary = parts.path.strip("/")
    if not primary or not all(host for host, _ in addresses):
        raise Invalid("bad_setting", _WRONG_SENTINELS)
    name, _, password = user.partition(":")
    login = {"username": unquote(name), "password": unquote(password)}
    return Sentinels(addresses, primary, {key: value for key, value in login.items() if value}, db)


class _Watched(Redis):
    """The primary, whichever it is; closed with the connections to the sentinels."""

    asked: Sentinel

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        for each in self.asked.sentinels:
            await each.aclose()


def connected(url: str, *, seconds: float, **options: Any) -> Redis:
    """Connects at first use. `seconds`: longest wait for a connection, or for an answer. Raises Invalid."""
    found = sentinels_of(url)
    if found is None:
        client: Redis = Redis.from_url(url, **_limits(seconds), **options)
        return client
    asked = Sentinel(found.hosts, **_options(found, seconds), **options)  # type: ignore[no-untyped-call]
    watched: _Watched = asked.master_for(found.primary, redis_class=_Watched)
    watched.asked = asked
    return watched


def connected_blocking(url: str, *, seconds: float) -> BlockingRedis:
    """The same, for a process without an event loop."""
    found = sentinels_of(url)
    if found is None:
        return BlockingRedis.from_url(url, **_limits(seconds))
    asked = blocking.Sentinel(found.hosts, **_options(found, seconds))  # type: ignore[no-untyped-call]
    client: BlockingRedis = asked.master_for(found.primary)  # type: ignore[no-untyped-call]
    return client


def _limits(seconds: float) -> dict[str, Any]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def _options(found: Sentinels, seconds: float) -> dict[str, Any]:
    """Sentinels are asked one after the other: all of them, and then the server, have to answer in time."""
    each = _limits(seconds / (len(found.hosts) + 1))
    return {"sentinel_kwargs": each, "db": found.db, **found.login, **_limits(seconds)}
