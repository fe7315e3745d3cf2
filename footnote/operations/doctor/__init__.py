"""`footnote doctor`: finds problems of an installation, each with its remedy."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import asyncpg

from footnote.errors import FootnoteError
from footnote.operations.doctor import machine, server, work
from footnote.operations.doctor.diagnosis import Diagnosis, broken
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings

__all__ = ["Diagnosis", "examine"]

CHECK_SECONDS = 15.0
Check = Callable[[Runtime], Awaitable[Iterable[Diagnosis]]]

ALWAYS: Sequence[Check] = (machine.redis, machine.store, machine.disk, machine.key_file)
# They read tables or Postgres' own views.
IN_DATABASE: Sequence[Check] = (
    *(server.versions, server.role, server.session, server.connections, server.indexes, server.tables),
    *(server.transactions, work.tenants, work.jobs, work.webhooks, work.backups, machine.clock),
)


async def examine(settings: Settings, *, providers: bool = False) -> list[Diagnosis]:
    """Everything that was looked at. `providers`: also asks the model providers, which may cost a fraction of a cent.

    Without Postgres, or without its tables, what depends on them is left out. It changes nothing but one object in the
    store, which it writes, reads and deletes.
    """
    async with open_runtime(settings, pool_size=2, patience=CHECK_SECONDS) as rt:
        found = [await _done(server.answers, rt)]
        if not found[0][0].is_broken:
            found.append(await _done(server.migrations, rt))
        checks = [*ALWAYS, *([machine.providers] if providers else [])]
        if not any(each.is_broken for part in found for each in part):
            checks += IN_DATABASE
        found += [await _done(each, rt) for each in checks]
    return [each for part in found for each in part]


async def _done(check: Check, rt: Runtime) -> list[Diagnosis]:
    """The findings of a check; a failed check is a finding, too."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return list(await check(rt))
    except (FootnoteError, OSError, TimeoutError, asyncpg.PostgresError) as error:
        words = f"could not be looked at: {type(error).__name__}: {error}"[:300]
        return [broken(check.__name__, words, "Mend what is said above first, then run `footnote doctor` again.")]
