"""What changes of a tenant's documents, sent at once to all who follow it in a process.

Triggers notify of each change (`footnote_changes`), but only for tenants that are followed: a row says so, which is
renewed while someone does. One connection listens for all of them. What a notification names is read, once for all, as
the tenant (row-level security), a few times a second at most. A look every few seconds finds what was not notified.
Behind a pooler nothing is: looks follow sooner, and find unfinished documents one by one and others by `Reset`.

Events are numbered and the newest are held, so that one who comes back hears what it missed. If something may have
been missed by all, there is an event for that, too: `Reset`.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.engine import connect
from footnote.database.tenant_scope import tenant_of
from footnote.documents.reading import DocumentDetails, details_query
from footnote.errors import DatabaseUnavailable
from footnote.jobs import UNFINISHED
from footnote.models import Document
from footnote.models.documents import VISIBLE
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy import tallies

if TYPE_CHECKING:
    from footnote.database.opening import OpeningConnection

CHANNEL = "footnote_changes"  # Postgres NOTIFY channel: the tenant, and after a space the document
GAP_SECONDS = 0.2  # between two looks at the same tenant
LOOK_SECONDS = 5.0  # between two polls without a notification
POLL_SECONDS = 1.0  # the same if there are never notifications
COUNT_SHARE = 20  # the time between two counts, as a multiple of what counting takes
FOLLOWED_SECONDS = 60.0  # for which triggers notify, unless it is renewed
LINGER_SECONDS = 30.0  # for which a tenant is followed after the last stream ended: it may come back
ANSWER_SECONDS = 5.0  # in which Postgres answers the connection that listens, or counts as unavailable
AGAIN_SECONDS = 1.0  # until the next attempt to listen
AT_ONCE = 200  # documents read by one statement
HELD = 2_000  # events that are kept for a client that reconnects


@dataclass(frozen=True)
class Counts:
    """How many documents there are, by status; `ready` are all others."""

    documents: int
    ready: int
    queued: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(frozen=True)
class Paused:
    """Since when all work is paused; None: it is not."""

    since: datetime | None


@dataclass(frozen=True)
class Removed:
    """A document that is no longer there, or is being deleted with its collection."""

    document_id: str


@dataclass(frozen=True)
class Reset:
    """Something may have been missed: what is shown should be read again."""


Event = DocumentDetails | Removed | Counts | Paused | Reset
Render = Callable[[Event], tuple[str, str]]


@dataclass(frozen=True)
class StreamEvent:
    """An event as all streams send it. `id` is unique among processes and times."""

    id: str
    name: str
    data: str


@dataclass
class Feed:
    """The newest events of a tenant. `more` is set, and replaced, when one is added or `access` is raised."""

    tenant_id: str
    render: Render
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    number: int = 0  # of the newest event
    held: deque[StreamEvent] = field(default_factory=lambda: deque(maxlen=HELD))
    more: asyncio.Event = field(default_factory=asyncio.Event)
    access: int = 0  # raised when a key or session of the tenant ended
    streams: int = 0
    left_at: float = 0.0
    # What is to be looked at, and what was seen.
    named: set[str] = field(default_factory=set)
    look_at: float = 0.0
    count_at: float = 0.0
    unfinished: dict[str, str] = field(default_factory=dict)
    sent_hashes: dict[str, int] = field(default_factory=dict)  # of what was sent, by document
    counts: Counts | None = None
    paused: Paused | None = None
    is_polled: bool = False  # there are no notifications
    revision: int | None = None  # of all collections together, where it is polled

    def add(self, event: Event) -> None:
        self._send(*self.render(event))

    def add_document(self, document_id: str, event: Event) -> None:
        """Adds the document's new state, unless that was sent: several notifications may mean one change."""
        name, data = self.render(event)
        if self.sent_hashes.get(document_id) != hash(data):
            self.sent_hashes[document_id] = hash(data)
            self._send(name, data)
        if len(self.sent_hashes) > HELD:
            del self.sent_hashes[next(iter(self.sent_hashes))]

    def _send(self, name: str, data: str) -> None:
        self.number += 1
        self.held.append(StreamEvent(f"{self.name}-{self.number}", name, data))
        self.wake()

    def wake(self) -> None:
        more, self.more = self.more, asyncio.Event()
        more.set()

    def after(self, number: int) -> list[StreamEvent] | None:
        """The events after that number; None if some of them are not held any more."""
        missing = self.number - number
        return None if missing > len(self.held) else list(self.held)[len(self.held) - missing :]

    def number_of(self, event_id: str) -> int | None:
        """The number of an event of this feed, or None."""
        name, _, number = event_id.rpartition("-")
        is_ours = name == self.name and number.isascii() and number.isdigit() and len(number) < 16
        return int(number) if is_ours and int(number) <= self.number else None

    def present(self) -> list[StreamEvent]:
        """What one who comes new should know at first."""
        now = [event for event in (self.paused, self.counts) if event is not None]
        return [StreamEvent(f"{self.name}-{self.number}", *self.render(event)) for event in now]


class Changes:
    """The feeds of a process, and the task that fills them while there are some."""

    def __init__(self, rt: Runtime, render: Render) -> None:
        self.rt = rt
        self._render = render
        self._feeds: dict[str, Feed] = {}
        self._filling: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()
        self._followed_at = -FOLLOWED_SECONDS

    @asynccontextmanager
    async def following(self, tenant_id: str) -> AsyncIterator[Feed]:
        """The tenant's feed. It has counts as soon as it is complete from there on."""
        feed = self._feeds.get(tenant_id)
        if feed is None:
            feed = self._feeds[tenant_id] = Feed(tenant_id, self._render)
            self._followed_at = -FOLLOWED_SECONDS
        feed.streams += 1
        self._stirred.set()
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill())
        try:
            yield feed
        finally:
            feed.streams -= 1
            feed.left_at = monotonic()

    async def close(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait({self._filling})

    async def _fill(self) -> None:
        """Listens while there are feeds. After a connection was lost, or a look failed, all who follow get `reset`."""
        while self._feeds:
            try:
                connection = await connect(self.rt.settings, shared=True, statement_seconds=ANSWER_SECONDS)
                try:
                    await self._listen(connection)
                finally:
                    with suppress(Exception):
                        await connection.close(timeout=ANSWER_SECONDS)
            except Exception as error:  # of any kind: open streams would hear no more
                log.warning("following changes is interrupted", error=f"{type(error).__name__}: {error}"[:200])
                await asyncio.sleep(AGAIN_SECONDS)
                for feed in self._feeds.values():
                    if feed.counts is not None:
                        feed.add(Reset())

    async def _listen(self, connection: "OpeningConnection") -> None:
        connection.add_termination_listener(lambda _: self._stirred.set())
        if connection.alone:
            await connection.add_listener(CHANNEL, self._notified)
        self._followed_at = -FOLLOWED_SECONDS
        while self._feeds:
            if monotonic() - self._followed_at > FOLLOWED_SECONDS / 3:
                await connection.execute(_FOLLOW, list(self._feeds), FOLLOWED_SECONDS)
                self._followed_at = monotonic()
            elif connection.is_closed():
                raise DatabaseUnavailable
            for feed in list(self._feeds.values()):
                feed.is_polled = not connection.alone
                await self._attend(feed)
            await self._rest()

    async def _rest(self) -> None:
        """Until something is notified or due; never shorter than the gap, in which notifications gather."""
        await asyncio.sleep(GAP_SECONDS)
        due = min((feed.look_at for feed in self._feeds.values()), default=0.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - monotonic())):
                await self._stirred.wait()
        self._stirred.clear()

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        tenant_id, _, document_id = str(payload).partition(" ")
        feeds = [self._feeds.get(tenant_id)] if tenant_id else list(self._feeds.values())
        for feed in filter(None, feeds):
            if document_id:
                feed.named.add(document_id)
            elif tenant_id:
                feed.access += 1
                feed.wake()
            else:  # a pause began or ended, for which each unfinished document waits
                feed.look_at = 0.0
                feed.named |= feed.unfinished.keys()
        self._stirred.set()

    async def _attend(self, feed: Feed) -> None:
        now = monotonic()
        if not feed.streams and now - feed.left_at > LINGER_SECONDS:
            del self._feeds[feed.tenant_id]
        elif feed.named or now >= feed.look_at:
            async with self.rt.for_tenant(feed.tenant_id).transaction() as session:
                await _look(session, feed)


# -- a look -----------------------------------------------------------------------------------------------------

_FOLLOW = """
INSERT INTO followed_tenant (tenant_id, until)
SELECT id, now() + make_interval(secs => $2) FROM tenant WHERE id = ANY($1)
ON CONFLICT (tenant_id) DO UPDATE SET until = excluded.until
"""
_UNFINISHED = """
SELECT document_id, concat_ws(' ', id, state, step, progress_done, waiting_for, dispatched_at)
FROM job WHERE tenant_id = $1 AND state = ANY($2) ORDER BY id DESC LIMIT $3
"""
# Of the newest job of each document. What succeeded is not counted: it is the rest, and nearly all.
_COUNTS = """
SELECT job.state, count(*) FROM job JOIN document ON document.job_id = job.id
WHERE job.tenant_id = $1 AND job.state = ANY($2)
  AND NOT EXISTS (SELECT FROM collection WHERE collection.id = document.collection_id AND deleted_at IS NOT NULL)
GROUP BY job.state
"""
_REVISION = "SELECT coalesce(sum(revision), 0) FROM collection_revision WHERE tenant_id = $1"
_COUNTED = (*UNFINISHED, "failed", "cancelled")


async def _look(session: AsyncSession, feed: Feed) -> None:
    """Reads the notified changes and, if a poll is due, the others."""
    if monotonic() >= feed.look_at:
        await _look_around(session, feed)
    some = [feed.named.pop() for _ in range(min(AT_ONCE, len(feed.named)))]
    if some:
        await _read(session, feed, some)
    if monotonic() >= feed.count_at:
        await _count(session, feed)
    elif some:
        feed.look_at = min(feed.look_at, feed.count_at)


async def _look_around(session: AsyncSession, feed: Feed) -> None:
    connection = await driver(session)
    rows = await connection.fetch(_UNFINISHED, feed.tenant_id, list(UNFINISHED), AT_ONCE)
    now = dict(rows)
    if feed.counts is not None:
        feed.named |= {each for each, how in now.items() if feed.unfinished.get(each) != how}
        feed.named |= feed.unfinished.keys() - now.keys()
    feed.unfinished = now
    paused = Paused(await connection.fetchval("SELECT min(since) FROM pause"))
    if paused != feed.paused:
        feed.paused = paused
        feed.add(paused)
    if feed.is_polled:
        await _look_at_finished(session, feed)
    feed.look_at = monotonic() + (POLL_SECONDS if feed.is_polled else LOOK_SECONDS)
    feed.count_at = min(feed.count_at, monotonic())


async def _look_at_finished(session: AsyncSession, feed: Feed) -> None:
    """Whether some have changed; which ones, only a notification would say."""
    known, connection = feed.revision, await driver(session)
    feed.revision = int(await connection.fetchval(_REVISION, feed.tenant_id))
    if known not in (None, feed.revision):
        feed.add(Reset())


async def _read(session: AsyncSession, feed: Feed, document_ids: Sequence[str]) -> None:
    chosen = details_query(session).where(Document.id.in_(document_ids), VISIBLE)
    found = {row[0].id: DocumentDetails(*row) for row in (await session.execute(chosen)).all()}
    for each in document_ids:
        feed.add_document(each, found.get(each) or Removed(each))


async def _count(session: AsyncSession, feed: Feed) -> None:
    """Seldom enough that counting takes a small share of the time, however many there are."""
    began = monotonic()
    connection = await driver(session)
    states: dict[str, int] = dict(await connection.fetch(_COUNTS, feed.tenant_id, list(_COUNTED)))
    documents = (await tallies.of_tenant(session, tenant_of(session))).documents
    counts = Counts(documents, max(0, documents - sum(states.values())), **states)
    if counts != feed.counts:
        feed.counts = counts
        feed.add(counts)
    feed.count_at = monotonic() + max(1.0, COUNT_SHARE * (monotonic() - began))
