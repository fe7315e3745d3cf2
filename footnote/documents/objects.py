"""The owners of objects in the store: a row names an object, or it is unowned and will be deleted.

An object is recorded as unowned before its first byte is written, and adopted in the transaction that names it. So
neither a writer that is killed nor a transaction that gives an object up leaves an object that is not recorded.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Executable, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.database.ids import first_id, new_id
from footnote.errors import FootnoteError, Unavailable
from footnote.models import Artifact, File, PagePicture, UnownedObject, Version
from footnote.runtime import Runtime
from footnote.telemetry import log

RESERVED_SECONDS = 60.0
RENEWED_SECONDS = RESERVED_SECONDS / 3
SWEPT_AT_ONCE = 100


_RESERVE = "INSERT INTO unowned_object (key, delete_at) SELECT key, now() + $2 FROM unnest($1::text[]) AS new(key)"
_RENEW = text(
    "UPDATE unowned_object SET delete_at = greatest(delete_at, now() + make_interval(secs => :seconds)) "
    "WHERE key = :key"
)
# What a file owns stays: the transaction that deletes the file gives it up, and until then no other does (ADR 61).
# What a recent backup may name stays for as long as the backup asked for (ADR 67).
_GIVE_UP = """
INSERT INTO unowned_object (key, delete_at)
SELECT DISTINCT key, greatest(now(), (SELECT max(objects_until) FROM backup)) FROM unnest($1::text[]) AS given(key)
WHERE NOT EXISTS (SELECT FROM file WHERE file.object_key = given.key)
ON CONFLICT (key) DO UPDATE SET delete_at = excluded.delete_at
"""
_ADOPT = "DELETE FROM unowned_object WHERE key = $1 AND NOT deleting RETURNING key"


# By the index of each tenant's keys, which sort by their time; "0" is the character after "/".
_KEYS_SINCE = """
SELECT found.key FROM tenant CROSS JOIN LATERAL (
    SELECT object_key FROM version
    WHERE object_key >= 'objects/' || tenant.id || '/' || $1 AND object_key < 'objects/' || tenant.id || '0'
    UNION
    SELECT object_key FROM file
    WHERE object_key >= 'objects/' || tenant.id || '/' || $1 AND object_key < 'objects/' || tenant.id || '0'
) AS found(key)
"""


_OF_VERSIONS = "SELECT object_key AS key, document_id AS owner, encode(sha256, 'hex') AS sha256 FROM version"
_OF_FILES = "SELECT object_key AS key, id AS owner, encode(sha256, 'hex') AS sha256 FROM file"
_UPLOADED = f"""
{_OF_VERSIONS} WHERE object_key = ANY($1::text[]) UNION ALL {_OF_FILES} WHERE object_key = ANY($1::text[])
"""
_UPLOADED_AFTER = f"""
({_OF_VERSIONS} WHERE object_key > $1 ORDER BY object_key LIMIT $2) UNION ALL
({_OF_FILES} WHERE object_key > $1 ORDER BY object_key LIMIT $2) ORDER BY key LIMIT $2
"""


@dataclass(frozen=True)
class Uploaded:
    """The document or file that has an object, and the SHA-256 of its bytes when they were uploaded."""

    owner: str
    sha256: str


def new_key(tenant_id: str) -> str:
    """The key of a new upload. Random, and no hash of the content: the store needs the name before the first byte."""
    return f"objects/{tenant_id}/{new_id('obj')}"


async def reserve(session: AsyncSession, *keys: str) -> None:
    """Records objects that are about to be written; one is deleted unless it is renewed or adopted in time."""
    seconds = timedelta(seconds=RESERVED_SECONDS)
    await (await driver(session)).execute(_RESERVE, keys, seconds)


async def extend(session: AsyncSession, key: str, seconds: float) -> None:
    """Holds a reserved object for at least `seconds` from now."""
    await session.execute(_renewal(key, seconds))


def _renewal(key: str, seconds: float = RESERVED_SECONDS) -> Executable:
    return _RENEW.bindparams(key=key, seconds=seconds)  # most are never executed, so it has to be cheap


async def adopt(session: AsyncSession, key: str) -> None:
    """Makes the caller's transaction the owner of the object. Raises Unavailable if that comes too late."""
    if await (await driver(session)).fetchval(_ADOPT, key) is None:
        raise too_late()


def too_late() -> Unavailable:
    return Unavailable("store_unavailable", "The object was not finished in time and has been removed.")


async def give_up(session: AsyncSession, keys: Iterable[str | None]) -> None:
    """Gives up objects that no row names any more, except those of files.

    They are deleted soon after the transaction, or once no recent backup may name them.
    """
    given = [key for key in keys if key]
    if given:
        await (await driver(session)).execute(_GIVE_UP, given)


async def withdraw(session: AsyncSession, key: str) -> None:
    """Gives up a reserved object; a transaction that is about to adopt it comes too late."""
    withdrawn = update(UnownedObject).where(UnownedObject.key == key)
    await session.execute(withdrawn.values(deleting=True, delete_at=func.now()))


async def give_up_versions(session: AsyncSession, *document_ids: str, but: str | None) -> list[str]:
    """Gives up the objects of documents' versions, and returns their keys. `but`: the version that queries see.

    The bytes and pictures of that version stay; its artifacts are given up, too. Versions of the same bytes share an
    object, which is given up with the last of them. What a file shares with them stays.
    """
    versions = (await session.scalars(select(Version).where(Version.document_id.in_(document_ids)))).all()
    keys = await give_up_artifacts(session, [version.id for version in versions])
    replaced = [version.id for version in versions if version.id != but]
    staying = {version.object_key for version in versions if version.id == but or version.shared}
    keys += {version.object_key for version in versions if version.object_key} - staying
    for version in versions:
        if version.id in replaced:
            version.object_key = None
    gone = delete(PagePicture).where(PagePicture.version_id.in_(replaced)).returning(PagePicture.key)
    keys += await session.scalars(gone)
    await give_up(session, keys)
    return keys


async def give_up_bytes(session: AsyncSession, version: Version) -> None:
    """Gives up the version's object unless another version of the document has it, too."""
    others = select(Version.id).where(Version.object_key == version.object_key, Version.id != version.id)
    if await session.scalar(others.limit(1)) is None:
        await give_up(session, [version.object_key])


async def give_up_artifacts(session: AsyncSession, version_ids: Sequence[str]) -> list[str]:
    """Gives up the artifacts that the chunk step made of the versions; returns their keys."""
    gone = delete(Artifact).where(Artifact.version_id.in_(version_ids)).returning(Artifact.key)
    keys = list(await session.scalars(gone))
    await give_up(session, keys)
    return keys


async def keys_since(session: AsyncSession, moment: datetime) -> list[str]:
    """Keys made since then, of objects that versions or files own. For a database that sorts by bytes."""
    rows = await (await driver(session)).fetch(_KEYS_SINCE, first_id("obj", moment))
    return [row["key"] for row in rows]


async def uploaded_as(session: AsyncSession, keys: Sequence[str]) -> dict[str, Uploaded]:
    """Size and hash of the objects, by the rows that refer to them."""
    rows = await (await driver(session)).fetch(_UPLOADED, keys)
    return {row["key"]: Uploaded(row["owner"], row["sha256"]) for row in rows}


async def uploaded_after(session: AsyncSession, key: str, most: int) -> dict[str, Uploaded]:
    """The next objects that rows name, by their keys, whether the store has them or not."""
    rows = await (await driver(session)).fetch(_UPLOADED_AFTER, key, most)
    return {row["key"]: Uploaded(row["owner"], row["sha256"]) for row in rows}


@asynccontextmanager
async def reserved(rt: Runtime, key: str) -> AsyncIterator[None]:
    """Holds an object while the block writes and adopts it; gives it up when the block raises."""
    async with rt.transaction() as session:
        await reserve(session, key)
    async with _written(rt, key):
        yield


@asynccontextmanager
async def new(rt: Runtime) -> AsyncIterator[str]:
    """The key of a new upload's object, which is held as by `reserved`."""
    key = await _next_key(rt)
    async with _written(rt, key):
        yield key


def _written(rt: Runtime, key: str) -> AbstractAsyncContextManager[None]:
    return leases.held(rt, _renewal(key), RENEWED_SECONDS, if_raised=partial(_let_go, rt, key))


async def _next_key(rt: Runtime) -> str:
    """A reserved key; one commit reserves several where uploads follow each other quickly.

    Those that a process leaves behind are swept, like all that are not renewed.
    """

    async def reserve_some(count: int) -> list[str]:
        keys = [new_key(rt.tenant) for _ in range(count)]
        async with rt.transaction() as session:
            await reserve(session, *keys)
        return keys

    return await rt.spare_keys[rt.tenant].take(reserve_some)


@asynccontextmanager
async def held(rt: Runtime, key: str) -> AsyncIterator[None]:
    """Holds a reserved object while the block runs, however long that takes."""
    async with leases.held(rt, _renewal(key), RENEWED_SECONDS):
        yield


async def _let_go(rt: Runtime, key: str) -> None:
    """Gives an object up, but not if it has been adopted by a commit whose answer was lost."""
    given_up = update(UnownedObject).where(UnownedObject.key == key).values(delete_at=func.now())
    async with rt.transaction() as session:
        # Waits for such a commit if it is still under way, so that the next statement sees its outcome.
        if (await session.scalars(given_up.returning(UnownedObject.key))).all():
            return
        if not await named(session, {key}):
            # The object was swept while its writer was frozen; the writer may have written it again since.
            await give_up(session, [key])


async def named(session: AsyncSession, keys: set[str]) -> set[str | None]:
    """Those of the keys that a row names."""
    # In one statement: between two of them an object could move from one owner to the other.
    columns = (Version.object_key, File.object_key, Artifact.key, PagePicture.key, UnownedObject.key)
    owners = [select(column.label("key")).where(column.in_(keys)) for column in columns]
    return set(await session.scalars(owners[0].union(*owners[1:])))


async def sweep(rt: Runtime) -> int:
    """Deletes unowned objects that are due; returns how many. A deletion that fails is tried again in a minute."""
    async with rt.transaction() as session:
        due = select(UnownedObject.key).where(UnownedObject.delete_at <= func.now())
        due = due.order_by(UnownedObject.delete_at).limit(SWEPT_AT_ONCE).with_for_update(skip_locked=True)
        taken = update(UnownedObject).where(UnownedObject.key.in_(due))
        taken = taken.values(deleting=True, delete_at=from_now(RESERVED_SECONDS))
        keys = (await session.scalars(taken.returning(UnownedObject.key))).all()
    deleted = [key for key in keys if await _delete(rt, key)]
    if deleted:
        async with rt.transaction() as session:
            await session.execute(delete(UnownedObject).where(UnownedObject.key.in_(deleted)))
    return len(deleted)


async def discard(rt: Runtime, key: str) -> None:
    """Deletes a reserved object at once; if that fails, the sweep will."""
    async with rt.transaction() as session:
        await withdraw(session, key)
    if await _delete(rt, key):
        await rt.execute(delete(UnownedObject).where(UnownedObject.key == key))


async def _delete(rt: Runtime, key: str) -> bool:
    try:
        await rt.store.delete(key)
    except (FootnoteError, OSError) as error:
        log.warning("object not deleted yet", key=key, error=str(error)[:300])
        return False
    return True
