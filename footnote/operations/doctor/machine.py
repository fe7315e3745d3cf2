"""What surrounds Postgres: Redis, the store, disks, clocks, the key file, model providers."""

import shutil
from collections.abc import Awaitable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from footnote.database.ids import new_id
from footnote.errors import FootnoteError
from footnote.operations.doctor.diagnosis import Diagnosis, broken, ok, size, warning
from footnote.providers import Embedder, GenerationRequest, Generator
from footnote.runtime import Runtime
from footnote.storage import writing

LEAST_REDIS = 6
LEAST_BYTES, LEAST_SHARE = 2_000_000_000, 0.05
MOST_SECONDS_APART = 5.0
_CONTENT = b"footnote doctor"


async def redis(rt: Runtime) -> Iterable[Diagnosis]:
    if rt.redis is None:
        return [broken("redis", "REDIS_URL is not set", "Set REDIS_URL, or start `footnote up`, which embeds Valkey.")]
    try:
        about: dict[str, Any] = await rt.redis.info("server")
        policy = (await rt.redis.config_get("maxmemory-policy")).get("maxmemory-policy", "noeviction")
    except RedisError as error:
        return [broken("redis", f"it does not answer: {error}", "Start Redis or Valkey, or correct REDIS_URL.")]
    return [_judged_redis(str(about["redis_version"]), str(policy))]


def _judged_redis(version: str, policy: str) -> Diagnosis:
    if int(version.split(".")[0]) < LEAST_REDIS:
        return broken("redis", version, f"Upgrade to Redis {LEAST_REDIS} or Valkey.")
    if policy != "noeviction":
        remedy = "Run `CONFIG SET maxmemory-policy noeviction`: a queue must not drop messages."
        return broken("redis", f"{version}, maxmemory-policy {policy}", remedy)
    return ok("redis", version)


async def store(rt: Runtime) -> Iterable[Diagnosis]:
    """Writes, reads and deletes one object."""
    key = f"doctor/{new_id('obj')}"
    where = rt.settings.storage_location
    try:
        async with writing(rt.store, key) as out:
            await out.write(_CONTENT)
        read = b"".join([piece async for piece in rt.store.read(key)])
        await rt.store.delete(key)
        gone = not await rt.store.exists(key)
    except (FootnoteError, OSError) as error:
        remedy = "Make the store writable, or correct STORAGE_URL (and the AWS_ variables)."
        return [broken("store", f"{where}: {error}", remedy)]
    if read != _CONTENT or not gone:
        return [broken("store", f"{where} does not return what was written, or does not delete", "Use another store.")]
    return [ok("store", where)]


async def disk(rt: Runtime) -> Iterable[Diagnosis]:
    data, backups = rt.settings.data_dir, rt.settings.backup_dir
    folders = {name: path for name, path in (("data directory", data), ("backups", backups)) if path and path.exists()}
    found = [judged_disk(name, path, *_usage(path)) for name, path in folders.items()]
    if len(folders) == 2 and len({path.stat().st_dev for path in folders.values()}) == 1:
        remedy = "Set FOOTNOTE_BACKUP_DIR to a folder on another disk or machine."
        found.append(warning("folder of the backups", f"{backups} is lost with the disk of the data", remedy))
    return found


def _usage(path: Path) -> tuple[int, int]:
    found = shutil.disk_usage(path)
    return found.free, found.total


def judged_disk(name: str, path: Path, free: int, total: int) -> Diagnosis:
    said = f"{size(free)} of {size(total)} free at {path}"
    if free < min(LEAST_BYTES, total * LEAST_SHARE):
        return broken(f"disk of the {name}", said, "Free or add space: Postgres stops when its disk is full.")
    return ok(f"disk of the {name}", said)


async def key_file(rt: Runtime) -> Iterable[Diagnosis]:
    path = rt.settings.data_dir / "api_key"
    if path.exists() and path.stat().st_mode & 0o077:
        return [broken("key file", f"others may read {path}", f"Run `chmod 600 {path}`.")]
    return [ok("key file", "private" if path.exists() else "none here")]


async def clock(rt: Runtime) -> Iterable[Diagnosis]:
    async with rt.autocommit() as connection:
        before = datetime.now(UTC)
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        ours = before + (datetime.now(UTC) - before) / 2
    return [judged_clock((theirs - ours).total_seconds())]


def judged_clock(seconds: float) -> Diagnosis:
    if abs(seconds) > MOST_SECONDS_APART:
        return broken("clock", f"Postgres is {seconds:+.0f} s off ours", "Start a time service (NTP) on both machines.")
    return ok("clock", "as Postgres'")


async def providers(rt: Runtime) -> Iterable[Diagnosis]:
    """Asks each configured model for something small."""
    embedding = _asked("embedder", rt.embedder, "OPENAI_API_KEY, OPENAI_BASE_URL and FOOTNOTE_EMBEDDER", _embed(rt))
    generating = _asked("generator", rt.generator, "the generator's key and base URL", _generate(rt))
    return [await embedding, await generating]


async def _asked(about: str, model: Embedder | Generator, settings: str, asking: Awaitable[None]) -> Diagnosis:
    name = f"{model.provider}/{model.model}"
    try:
        await asking
    except (FootnoteError, ImportError, OSError) as error:
        return broken(about, f"{name}: {error}", f"Correct {settings}, or wait until the provider is back.")
    return ok(about, f"{name} answers")


async def _embed(rt: Runtime) -> None:
    await rt.embedder.embed(["footnote doctor"])


async def _generate(rt: Runtime) -> None:
    if rt.generator.address is None:  # it needs passages, and nothing else
        return
    request = GenerationRequest("Say: ready.", (), system_prompt="Answer with one word.", max_tokens=5)
    async with aclosing(rt.generator.generate(request)) as events:
        async for _ in events:
            return
