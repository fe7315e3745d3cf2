"""`footnote backup --wal`: backups when due, and between them the write-ahead log and new objects as they come.

The server holds the log back for our replication slot while this process is not running, up to `postgres.SLOT_KEEPS`.
Without the slot a new folder for the log is begun, with a backup.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from footnote.database.engine import connect
from footnote.documents.objects import keys_since
from footnote.errors import DatabaseUnavailable, FootnoteError, Invalid, Unavailable
from footnote.local_stack.postgres import Postgres
from footnote.operations.backups import archive, checksums, folders, objects, record, tools
from footnote.operations.backups.archive import LogState
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.telemetry import log

SLOT = "footnote_backup"
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 5.0  # before pg_receivewal is started again
QUIET_LOOKS = 5  # after which the state is written although nothing came
DUE_SECONDS = 60.0  # between two looks whether a backup is due
RECENT = timedelta(hours=1)  # in which the keys were made of most objects that are adopted now
OLD = timedelta(days=2)  # and of all
OLD_LOOKS = 300  # after which those of old keys are looked for, too
NEVER = datetime.fromtimestamp(0, UTC)

_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
_SLOT = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1"
_DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"
_MAKE_SLOT = "SELECT pg_create_physical_replication_slot($1, true)"
_POSITION = """
SELECT now() AS moment, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS written,
       (SELECT pg_wal_lsn_diff(max(write_lsn), '0/0')::bigint FROM pg_stat_replication
        WHERE application_name = 'pg_receivewal') AS received
"""


async def follow(settings: Settings, directory: Path) -> None:
    """Runs until SIGTERM or Ctrl-C.

    Raises Invalid where the server is not the embedded one, Conflict where another installation has its backups, and
    Unavailable when the log can no longer be followed.
    """
    server = tools.embedded(settings)
    if server is None:
        tool = "your server's own tool (pgBackRest, WAL-G, your provider's) recovers to a point in time"
        raise Invalid("not_embedded", f"--wal follows the embedded Postgres only; {tool}.")
    with folders.alone(directory, "following.lock", "Another `footnote backup --wal` stores the log in"):
        await _follow(settings, server, directory)


async def _follow(settings: Settings, server: Postgres, directory: Path) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with open_runtime(settings, pool_size=2) as rt:
        following = await _begun(rt, server, directory)
        parts = [asyncio.create_task(each) for each in (following.receive(), following.look(), following.back_up())]
        stopped = asyncio.create_task(stopping.wait())
        ended, left = await asyncio.wait([*parts, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await following.recorded(following.record(following.covered))
        for task in ended:
            task.result()


async def _begun(rt: Runtime, server: Postgres, directory: Path) -> "Following":
    """Goes on in the folder of before if the server held everything for it; else begins another one."""
    await record.ours(rt, directory)
    connection = await connect(rt.settings)
    try:
        system: str = await connection.fetchval(_SYSTEM)
        earlier = archive.folders_of(directory, system)
        if earlier and await connection.fetchval(_SLOT, SLOT) not in (None, "lost"):
            await asyncio.to_thread(checksums.mend, earlier[-1])
            return Following(rt, server, directory, earlier[-1], checksums.read(earlier[-1]), stored=_stored(directory))
        await connection.fetchval(_DROP_SLOT, SLOT)
        await connection.fetchval(_MAKE_SLOT, SLOT)
    finally:
        await connection.close()
    folder = archive.new_folder(directory, system)
    return Following(rt, server, directory, folder, {}, due_at_once=True)


@dataclass
class Following:
    """The log of one server on its way into one folder. `covered`: until when all that was committed is there."""

    rt: Runtime
    server: Postgres
    directory: Path
    folder: Path
    checksums: dict[str, str]
    due_at_once: bool = False
    covered: datetime = NEVER
    stored: set[str] = field(default_factory=set)  # keys of objects that are in a backup
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # the folder's list
    state: LogState | None = None

    async def receive(self) -> None:
        """Runs pg_receivewal, again when it ends: Postgres or the room on the disk may come back.

        Raises Unavailable when Postgres has removed what would follow.
        """
        command = [tools.tool("pg_receivewal"), "--directory", str(self.folder), "--slot", SLOT]
        command += ["--status-interval", "1", "--no-password", "--no-loop"]
        said = ""
        while True:
            await asyncio.to_thread(archive.make_room, self.folder)
            try:
                await tools.run(*command, database=self.server.url)
            except Unavailable as ended:
                if ended.message != said:
                    log.error("write-ahead log not stored", error=ended.message)
                said = ended.message
            with suppress(DatabaseUnavailable):
                async with self.rt.autocommit() as connection:
                    if await connection.fetchval(_SLOT, SLOT) in (None, "lost"):
                        raise Unavailable("tool_failed", f"The log has a gap, another folder begins: {said}")
            await asyncio.sleep(AGAIN_SECONDS)

    async def look(self) -> None:
        """Records each second what has come; without Postgres there is nothing to record."""
        written, moment, looks = -1, NEVER, 0
        while True:
            with suppress(DatabaseUnavailable):
                async with self.rt.autocommit() as connection:
                    now = await connection.fetchrow(_POSITION)
                if (now["received"] or -1) >= written >= 0:
                    self.covered = moment
                if now["written"] != written or looks % QUIET_LOOKS == 0:
                    await self.recorded(self._copied_and_recorded(OLD if looks % OLD_LOOKS == 0 else RECENT))
                written, moment = now["written"], now["moment"]
            looks += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def recorded(self, recording: Coroutine[Any, Any, None]) -> None:
        """A full disk or an unavailable store ends nothing: the next look records more."""
        try:
            await recording
        except DatabaseUnavailable:
            raise
        except (OSError, FootnoteError) as error:
            log.error("received write-ahead log not recorded", error=str(error))

    async def _copied_and_recorded(self, age: timedelta) -> None:
        await self._copy_objects(age)
        await self.record(self.covered)

    async def record(self, covered: datetime) -> None:
        async with self.changing:
            await asyncio.to_thread(archive.record_segments, self.folder, self.checksums)
            self.state = await asyncio.to_thread(archive.record_state, self.folder, covered, self.state)

    async def _copy_objects(self, age: timedelta) -> None:
        async with self.rt.transaction() as session:
            keys = await keys_since(session, datetime.now(UTC) - age)
        for key in keys:
            if key in self.stored or key in self.checksums:
                continue
            copied = await objects.copy(self.rt.store, key, self.folder)
            async with self.changing:
                checksums.append(self.folder, copied)
                self.checksums.update(copied)

    async def back_up(self) -> None:
        """Has a backup made when one is due, by a process of its own: it takes memory that this one does not need."""
        while True:
            try:
                if await self._is_due():
                    await tools.run(sys.executable, "-m", "footnote", "backup", str(self.directory))
                    self.due_at_once = False
                    await self.tidy()
            except (FootnoteError, OSError) as error:
                log.error("backup failed", error=str(error))
            await asyncio.sleep(DUE_SECONDS)

    async def _is_due(self) -> bool:
        last = (await record.ours(self.rt, self.directory))[-1:]
        every = timedelta(hours=self.rt.settings.backup_every_hours)
        return self.due_at_once or not last or last[0].manifest.started_at + every <= datetime.now(UTC)

    async def tidy(self) -> None:
        """Removes our backups that are too old, and what only they need of the log."""
        days = timedelta(days=self.rt.settings.backup_days)
        for each in (await record.ours(self.rt, self.directory))[:-1]:
            if each.manifest.finished_at < datetime.now(UTC) - days:
                await asyncio.to_thread(folders.remove, each)
        oldest = folders.backups(self.directory)[0].manifest
        async with self.changing:
            self.checksums = await asyncio.to_thread(archive.prune, self.folder, oldest)
        self.stored = _stored(self.directory)
        archive.remove_older(self.directory, self.folder, oldest)


def _stored(directory: Path) -> set[str]:
    """Keys of the objects in the newest backup, among other files."""
    last = folders.backups(directory)[-1:]
    return set(checksums.read(last[0].folder)) if last else set()
