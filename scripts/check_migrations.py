"""Upgrades a database of the last release, down and up again, and compares the result with the models.

Migrations since LINTED go one by one, and what they execute is compared with the rules of `lint_migrations`.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from footnote.local_stack.postgres import running_postgres
from migrations import RELEASED
from scripts.lint_migrations import faults, recorded

ROOT = Path(__file__).parents[1]
LINTED = "0040"  # the last one that was written before there were rules


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fn-") as directory, running_postgres(Path(directory)) as url:
        os.environ["DATABASE_URL"] = url
        config = Config(str(ROOT / "alembic.ini"))
        command.upgrade(config, RELEASED)
        command.upgrade(config, LINTED)
        found = _upgraded_by_the_rules(config, url)
        if found:
            print(*found, sep="\n", file=sys.stderr)
            return 1
        try:
            command.check(config)
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
        command.downgrade(config, RELEASED)
        command.upgrade(config, "head")
    return 0


def _upgraded_by_the_rules(config: Config, url: str) -> list[str]:
    """Upgrades to the newest revision; what is wrong with the migrations on the way."""
    scripts = ScriptDirectory.from_config(config)
    found: list[str] = []
    for script in reversed(list(scripts.iterate_revisions("head", LINTED))):
        tables = asyncio.run(_tables(url))
        with recorded() as statements:
            command.upgrade(config, script.revision)
        contracts = getattr(script.module, "CONTRACTS", None)
        found += [f"{script.revision}: {fault}" for fault in faults(statements, tables, contracts)]
    return found


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [row["tablename"] for row in rows]
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
