"""How much each statement reads: rows and index entries, and blocks of tables and indexes.

Postgres counts both for the transaction at work, by relation. A proxy of the driver's protocol, through which every
statement goes, reads the counters before and after each, so none is run twice and none can be forgotten.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

_COUNTERS = """
SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)), 0), coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)
FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'i', 't')
"""


@dataclass(frozen=True)
class Reading:
    """What one statement read, on behalf of `what`."""

    what: str
    sql: str
    rows: int
    blocks: int

    def __str__(self) -> str:
        return f"{self.what}: {self.rows} rows, {self.blocks} blocks: {self.sql}"


UNCOUNTED = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SET|LISTEN|UNLISTEN|SELECT pg_advisory|SELECT set_config|;)")


@dataclass
class Meter:
    """Notes what statements read while something is named (`of`)."""

    readings: list[Reading] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)  # statements outside of a transaction: they cannot be counted
    what: str = ""

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        self.what = what
        yield
        self.what = ""

    async def connect(self, *args: Any, **options: Any) -> "asyncpg.Connection[Any]":
        """As `asyncpg.connect`."""
        connection = await _connect(*args, **options)
        counters = await connection.prepare(_COUNTERS)
        await counters.fetch()  # until it is run once, the transaction that it was prepared in stays open
        proxied: Any = connection
        proxied._protocol = _Protocol(proxied._protocol, counters, self)
        return connection


_connect = asyncpg.connect


class _Protocol:
    """The driver's protocol, which runs statements, with the counters read around each of them."""

    def __init__(self, protocol: Any, counters: Any, meter: Meter) -> None:
        self._protocol, self._counters, self._meter = protocol, counters, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    async def bind_execute(self, state: Any, *args: Any, **named: Any) -> Any:
        return await self._metered(state.query, self._protocol.bind_execute, state, *args, **named)

    async def bind_execute_many(self, state: Any, *args: Any, **named: Any) -> Any:
        return await self._metered(state.query, self._protocol.bind_execute_many, state, *args, **named)

    async def execute(self, state: Any, *args: Any, **named: Any) -> Any:
        return await self._metered(state.query, self._protocol.execute, state, *args, **named)

    async def query(self, sql: str, *args: Any, **named: Any) -> Any:
        return await self._metered(sql, self._protocol.query, sql, *args, **named)

    async def copy_in(self, sql: str, *args: Any, **named: Any) -> Any:
        return await self._metered(sql, self._protocol.copy_in, sql, *args, **named)

    async def copy_out(self, sql: str, *args: Any, **named: Any) -> Any:
        return await self._metered(sql, self._protocol.copy_out, sql, *args, **named)

    async def _metered(self, sql: str, run: Any, *args: Any, **named: Any) -> Any:
        what = self._meter.what
        if not what or re.match(
            r"\s*(BEGIN|COMMIT|ROLLBACK|SET|LISTEN|UNLISTEN|SELECT pg_advisory|SELECT set_config|;)", sql
        ):
            return await run(*args, **named)
        if not self._protocol.is_in_transaction():
            self._meter.apart.append(sql)
            return await run(*args, **named)
        before = await self._read()
        result = await run(*args, **named)
        rows, blocks = (after - earlier for after, earlier in zip(await self._read(), before, strict=True))
        self._meter.readings.append(Reading(what, " ".join(sql.split()), rows, blocks))
        return result

    async def _read(self) -> tuple[int, int]:
        row = (await self._protocol.bind_execute(self._counters._state, (), "", 1, False, 60.0))[0]
        return int(row[0]), int(row[1])


@pytest.fixture(scope="module")
def meter() -> Iterator[Meter]:
    """Counts in every connection that is opened while the module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        found = Meter()
        patch.setattr(asyncpg, "connect", found.connect)
        yield found
