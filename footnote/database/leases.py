"""Leases: the right to work on a row for some time, renewed while the work continues, free again when its holder dies.

A row of `models.Leased` is claimed by one conditional update that raises its fencing token. Only the newest token may
write, and only while the row is running, so a lost, doubled or late message and a worker that wakes up late do no
harm. All times are the database's.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Executable, Update, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.rows import affected
from footnote.errors import DatabaseUnavailable
from footnote.models import Dispatched, Leased

UNCLAIMED = ("queued", "waiting")
UNFINISHED = ("queued", "running", "waiting")
LONGEST_WAIT = 600.0  # seconds between two tries
AT_ONCE = 100  # rows taken back in one transaction
SILENT = "another attempt: the worker stopped responding"

Row = TypeVar("Row", bound=Leased)


class LeaseLost(Exception):
    """Another worker holds the row now, or its work was cancelled: what this holder writes must not count."""


class _Executes(Protocol):
    async def execute(self, statement: Executable) -> None: ...


@dataclass(frozen=True)
class Lease:
    """The right to work on a row, until the lease runs out or another has a newer token."""

    table: type[Leased]
    id: str
    token: int

    @property
    def fence(self) -> ColumnElement[bool]:
        table = self.table
        return and_(table.id == self.id, table.token == self.token, table.state == "running")

    def renewal(self, seconds: float) -> Update:
        return update(self.table).where(self.fence).values(lease_until=from_now(seconds))


def lease_of(row: Leased) -> Lease:
    return Lease(type(row), row.id, row.token)


def expired(until: Any) -> ColumnElement[bool]:
    """Whether a lease until then, if any, is over."""
    return or_(until.is_(None), until < func.now())


def backoff(doublings: int) -> float:
    """Seconds until another try: twice as long each time, with jitter."""
    return min(LONGEST_WAIT, 2.0 ** min(doublings, 16)) * random.uniform(0.5, 1.0)  # noqa: S311  spreading, not secrecy


# -- held by a worker ----------------------------------------------------------------------------------------


async def claim(
    session: AsyncSession,
    table: type[Row],
    row_id: str,
    seconds: float,
    holder: str | None,
    *conditions: ColumnElement[bool],
    **values: Any,
) -> Row | None:
    """Takes the row if it is due and the conditions hold; None for every late, doubled or early message."""
    due = (table.id == row_id, table.state.in_(UNCLAIMED), table.next_attempt_at <= func.now())
    taken = {"state": "running", "token": table.token + 1, "attempts": table.attempts + 1, "holder": holder}
    free = {"next_attempt_at": None, "waiting_for": None}
    claimed = await session.execute(
        update(table)
        .where(*due, *conditions)
        .values(**taken, **free, lease_until=from_now(seconds), **values)
        .returning(table)
    )
    return claimed.scalar_one_or_none()


async def write(session: AsyncSession, lease: Lease, **values: Any) -> None:
    """Writes to the row if the lease still holds. Raises LeaseLost."""
    if await affected(session, update(lease.table).where(lease.fence).values(**values)) != 1:
        raise LeaseLost(lease.id)


def ending(table: type[Leased], which: ColumnElement[bool], state: str) -> Update:
    """Ends those of the rows `which` that have not ended; a holder is fenced off."""
    over = {"lease_until": None, "next_attempt_at": None, "waiting_for": None, "finished_at": func.now()}
    unfinished = update(table).where(which, table.state.in_(UNFINISHED))
    return unfinished.values(state=state, token=table.token + 1, **over)


async def put_back(
    session: AsyncSession, lease: Lease, *, after: float = 0.0, waiting_for: str | None = None, **values: Any
) -> None:
    """Gives the row back, due `after` that many seconds; the claim is not counted as an attempt. Raises LeaseLost."""
    free = {"lease_until": None, "next_attempt_at": from_now(after), "waiting_for": waiting_for}
    uncounted = {"attempts": lease.table.attempts - 1} | _unsent(lease.table) | values
    await write(session, lease, state="waiting" if waiting_for else "queued", **free, **uncounted)


async def take_back(
    session: AsyncSession, table: type[Row], max_attempts: float
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Rows whose holder stopped responding: those that wait for another attempt, and those that had `max_attempts`.

    The former lease of either is fenced off; the latter are still running, for the caller to end.
    """
    running = select(table).where(table.state == "running", table.lease_until < func.now())
    oldest = running.order_by(table.lease_until).limit(AT_ONCE).with_for_update(skip_locked=True)
    silent = (await session.scalars(oldest)).all()
    for row in silent:
        row.token += 1
        if row.attempts < max_attempts:
            row.state, row.waiting_for, row.lease_until = "waiting", SILENT, None
            row.next_attempt_at = from_now(min(30.0, 0.5 * 2.0 ** min(row.attempts, 16)))
            for name in _unsent(table):
                setattr(row, name, None)
    await session.flush()
    return [row for row in silent if row.attempts < max_attempts], [
        row for row in silent if row.attempts >= max_attempts
    ]


def _unsent(table: type[Leased]) -> dict[str, None]:
    return {"dispatched_at": None} if issubclass(table, Dispatched) else {}


async def holder_died(session: AsyncSession, table: type[Dispatched], row_id: str, message: str) -> None:
    """Ends the lease of the worker that answered the message.

    If its step was over, the chain of steps died with it: the row is sent again.
    """
    held = and_(table.id == row_id, table.holder == message, table.state.in_(UNFINISHED))
    over = case((table.state == "running", func.now()))
    await session.execute(update(table).where(held).values(lease_until=over, dispatched_at=None))


async def forget_dispatched(session: AsyncSession, table: type[Dispatched]) -> None:
    """The broker lost its messages: every row that waits may be sent again at once."""
    sent = and_(table.state.in_(UNCLAIMED), table.dispatched_at.is_not(None))
    await session.execute(update(table).where(sent).values(dispatched_at=None))


# -- held while a block runs ---------------------------------------------------------------------------------

Release = Callable[[], Awaitable[None]]


@asynccontextmanager
async def held(
    rt: _Executes,
    renewal: Executable,
    seconds: float,
    *,
    release: Release | None = None,
    if_raised: Release | None = None,
) -> AsyncIterator[None]:
    """Renews a lease every `seconds` while the block runs, then releases it, or only if the block raised.

    If Postgres is unavailable at the end, the lease runs out by itself.
    """
    renewing = asyncio.create_task(_renew(rt, renewal, seconds))
    try:
        yield
    except BaseException:
        await _shielded(if_raised)
        raise
    finally:
        renewing.cancel()
        await asyncio.wait({renewing})  # which, unlike awaiting it, distinguishes its cancellation from ours
        await _shielded(release)


async def _shielded(release: Release | None) -> None:
    if release is not None:
        with suppress(DatabaseUnavailable):
            await asyncio.shield(release())


async def _renew(rt: _Executes, statement: Executable, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        with suppress(DatabaseUnavailable):
            await rt.execute(statement)
