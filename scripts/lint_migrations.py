"""Rules for migrations, checked on the statements that they execute: an upgrade stops no other work and can be undone.

Work goes on while a migration runs, with the code of the release before: so nothing may lock or rewrite a table that
was there before, and what the code before uses stays until the release after. A migration that removes something says
since which revision no code uses it: `CONTRACTS = "0041"`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

# Tables of few rows, which may be updated as a whole.
SMALL = {"alembic_version", "embedding_space", "installation", "pause", "signing_key", "tenant", "collection"}
_NAME = r'(?:ONLY )?(?:public\.)?"?(\w+)"?'
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_CREATED = re.compile(rf"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_CONSTANT = r"(?!'|-?\d|true|false|null|now\(\)|current_timestamp|ARRAY\[\]|\()"

# What is wrong with a statement on a table that was there before; the first group is the table.
RULES: dict[str, str] = {
    rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).*? ON {_NAME}": "build the index CONCURRENTLY (autocommit_block)",
    rf"REINDEX (?:TABLE|INDEX) (?!CONCURRENTLY){_NAME}": "reindex CONCURRENTLY",
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* ADD COLUMN .*?\bDEFAULT {_CONSTANT}": (
        "a default that is no constant rewrites the table"
    ),
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* ADD COLUMN [^,]*\bGENERATED\b": "a generated column rewrites the table",
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* ALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b": "another type rewrites it",
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* SET NOT NULL": "SET NOT NULL reads the whole table: add a CHECK, NOT VALID",
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* ADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY)(?!.*NOT VALID)": (
        "add the constraint NOT VALID, and validate it in an autocommit_block"
    ),
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* ADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY) ?\(": (
        "build a unique index CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX"
    ),
    rf"(?:VACUUM FULL|CLUSTER|LOCK TABLE|TRUNCATE(?: TABLE)?) {_NAME}": "this locks the table for as long as it takes",
}
BACKFILLS = {rf"(?:UPDATE|DELETE FROM) {_NAME}", rf"INSERT INTO \w+ .*\bSELECT\b.* FROM {_NAME}"}
REMOVALS = {
    rf"DROP TABLE (?:IF EXISTS )?{_NAME}",
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* DROP (?:COLUMN )?(?!CONSTRAINT|DEFAULT|NOT NULL|EXPRESSION|IDENTITY)\S+",
    rf"ALTER TABLE (?:IF EXISTS )?{_NAME}.* RENAME\b",
}


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The statements that any engine executes within the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def faults(statements: Iterable[str], tables: Iterable[str], contracts: str | None) -> Iterator[str]:
    """What is wrong with the statements of one migration; `tables` were there before it.

    `contracts`: since which revision nothing uses what is removed; None: nothing may be removed.
    """
    said = [" ".join(_COMMENTS.sub(" ", each).split()) for each in statements]
    new = {name for each in said for name in _CREATED.findall(each)}
    before = set(tables) - new

    def matches(patterns: Iterable[str], statement: str, of: Callable[[str], bool]) -> bool:
        found = (re.match(pattern, statement, re.IGNORECASE) for pattern in patterns)
        return any(each is not None and of(each[1].lower()) for each in found)

    for statement in said:
        short = statement[:100]
        for pattern, rule in RULES.items():
            if matches([pattern], statement, before.__contains__):
                yield f"{rule}: {short}"
        if matches(BACKFILLS, statement, (before - SMALL).__contains__):
            yield f"fill old rows in housekeeping, in parts: {short}"
        if contracts is None and matches(REMOVALS, statement, before.__contains__):
            yield f"the release before still uses it; remove it a release later, with CONTRACTS: {short}"
