"""The work that a peer is given, and the result that it gives back. Imports nothing that is not in Python."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

CHUNK_SIZE, CHUNK_OVERLAP = 1000, 200
AT_ONCE = 8


@dataclass(frozen=True)
class Work:
    """Markdown files, the base URL of a provider, its model, and a database of Postgres with pgvector."""

    folder: str
    provider_url: str
    model: str
    dimensions: int
    database_url: str

    def documents(self) -> list[str]:
        return [path.read_text() for path in sorted(Path(self.folder).iterdir())]

    def address(self, driver: str) -> str:
        """For SQLAlchemy."""
        return self.database_url.replace("postgresql://", f"postgresql+{driver}://", 1)


def perform(libraries: tuple[str, ...], prepare: Callable[[Work], Callable[[], int]]) -> None:
    """Reads the work from the first argument, and prints what came of it as JSON.

    What `prepare` gives does the work and says how many chunks it made. Only that is measured, not imports and tables.
    """
    do = prepare(Work(**json.loads(sys.argv[1])))
    started, before = time.perf_counter(), time.process_time()
    chunks = do()
    result = {"seconds": time.perf_counter() - started, "processor": time.process_time() - before, "chunks": chunks}
    print(json.dumps(result | {"versions": [f"{each} {version(each)}" for each in libraries]}))
