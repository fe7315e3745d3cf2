"""Upgrades a database of the last release, down and up again, and compares the result with the models."""

import os
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from footnote.local_stack.postgres import running_postgres
from migrations import RELEASED

ROOT = Path(__file__).parents[1]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fn-") as directory, running_postgres(Path(directory)) as url:
        os.environ["DATABASE_URL"] = url
        config = Config(str(ROOT / "alembic.ini"))
        command.upgrade(config, RELEASED)
        command.upgrade(config, "head")
        try:
            command.check(config)
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
        command.downgrade(config, RELEASED)
        command.upgrade(config, "head")
    return 0


if __name__ == "__main__":
    sys.exit(main())
