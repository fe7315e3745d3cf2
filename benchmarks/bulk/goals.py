"""What is to be reached, and the table that says whether it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from benchmarks.tables import Row


class Judged(Enum):
    """Which number a goal is about."""

    RATIO = "Footnote / floor"
    DIFFERENCE = "Footnote - floor"
    ALONE = "Footnote"


@dataclass(frozen=True)
class Goal:
    """`must` and `aim` are upper bounds if `at_most`, or else lower ones."""

    what: str
    judged: Judged
    must: float
    aim: float
    at_most: bool = True

    def met(self, value: float) -> bool:
        return value <= self.must if self.at_most else value >= self.must

    def __str__(self) -> str:
        sign = "+" if self.judged is Judged.DIFFERENCE else ""
        return f"{'<=' if self.at_most else '>='} {sign}{number(self.must)} (aim {sign}{number(self.aim)})"


LONG_RATE = Goal("19 chunks: documents/s", Judged.RATIO, 0.5, 0.8, at_most=False)
LONG_PROCESSOR = Goal("19 chunks: CPU s a document", Judged.ALONE, 0.17, 0.09)
SHORT_RATE = Goal("10 chunks: documents/s", Judged.RATIO, 0.35, 0.6, at_most=False)
SHORT_PROCESSOR = Goal("10 chunks: CPU s a document", Judged.ALONE, 0.1, 0.05)
SINGLE = Goal("one small document on an idle system, 202 to ready, ms", Judged.ALONE, 250, 100)
LIST = Goal("GET /v1/documents?limit=1 (floor: /healthz), ms", Judged.ALONE, 5, 2.5)
SEARCH = {
    "vector": Goal("vector search, 1 client, p50 ms", Judged.DIFFERENCE, 10, 5),
    "hybrid": Goal("hybrid search, 1 client, p50 ms", Judged.DIFFERENCE, 30, 12),
}
QPS = {
    "vector": Goal("vector search, 8 clients, 1/s", Judged.RATIO, 0.5, 0.8, at_most=False),
    "hybrid": Goal("hybrid search, 8 clients, 1/s", Judged.RATIO, 0.3, 0.6, at_most=False),
}
REST_MEMORY = Goal("at rest after the load: memory, MiB (PSS)", Judged.ALONE, 650, 450)
REST_PROCESSOR = Goal("at rest after the load: CPU, % of a core", Judged.ALONE, 1, 0.3)
# Of `make bench` and `make bench SCALE=1`.
LOCAL_EMBEDDER = Goal("local embedder: three steps (floor: embedding alone), ms", Judged.RATIO, 1.15, 1.05)
LIST_LARGE = Goal("GET /v1/documents?limit=1 beside 100,000 documents, ms", Judged.ALONE, 6, 3)
HYBRID_LARGE = Goal("hybrid search at 150,000 chunks of a tenant, server CPU ms", Judged.ALONE, 60, 25)
UPSERT_LARGE = Goal("upsert beside a million chunks, ms", Judged.ALONE, 10, 10)

HEAD: Row = ("what", "floor", "Footnote", "ratio", "goal", "")


@dataclass(frozen=True)
class Measured:
    goal: Goal
    ours: float
    floor: float | None = None

    @property
    def value(self) -> float:
        """What the goal is about."""
        if self.goal.judged is Judged.ALONE:
            return self.ours
        assert self.floor is not None
        return self.ours / self.floor if self.goal.judged is Judged.RATIO else self.ours - self.floor

    def row(self) -> Row:
        compared = "" if self.floor is None else number(self.ours / self.floor)
        if self.goal.judged is Judged.DIFFERENCE:
            compared = f"{self.value:+.1f}"
        floor = "" if self.floor is None else number(self.floor)
        met = "met" if self.goal.met(self.value) else "MISSED"
        return self.goal.what, floor, number(self.ours), compared, str(self.goal), met


def rows(measured: Sequence[Measured]) -> Iterator[Row]:
    yield HEAD
    yield from (each.row() for each in measured)


def number(value: float) -> str:
    """With three digits, as a reader needs them."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}" if value % 1 else f"{value:.0f}"
