"""How the documents of a collection are cut: what may be chosen, and what is chosen by default. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from footnote.errors import Invalid
from footnote.providers import Embedder
from footnote.settings import Settings

Unit = Literal["characters", "tokens"]
SIZES: Mapping[Unit, tuple[int, int]] = {"characters": (100, 8000), "tokens": (25, 2000)}
CHARACTERS_A_TOKEN = 4  # about: what the configured chunking is in tokens


@dataclass(frozen=True)
class Chunking:
    """How documents are cut: the longest chunk, and what neighbours repeat of each other, both in `unit`.

    Tokens are counted by the embedding model. `by_headings`: small sections under different headings stay apart.
    """

    size: int
    overlap: int
    unit: Unit = "characters"
    by_headings: bool = False

    def within(self, longest: int | None) -> "Chunking":
        """The same with no chunk over `longest`; the overlap keeps its share of the size."""
        if longest is None or self.size <= longest:
            return self
        return replace(self, size=longest, overlap=self.overlap * longest // self.size)


def default(settings: Settings, unit: Unit) -> Chunking:
    scale = 1 if unit == "characters" else CHARACTERS_A_TOKEN
    size = settings.chunk_size // scale
    return Chunking(size, min(settings.chunk_overlap // scale, (size - 1) // 2), unit)


def chosen(settings: Settings, embedder: Embedder, before: Chunking | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given in place of what was before, or is configured; the overlap keeps its share of the size.

    Raises Invalid.
    """
    unit: Unit = given.get("unit") or (before.unit if before else "characters")
    base = before if before and before.unit == unit else default(settings, unit)
    size = given.get("size", base.size)
    overlap = given.get("overlap", size * base.overlap // base.size)
    by_headings = given.get("by_headings", before.by_headings if before else False)
    least, most = SIZES[unit]
    most = min(most, embedder.longest_text or most) if unit == "tokens" else most
    if not least <= size <= most:
        raise bad("chunking.size", f"must be from {least} to {most} {unit} for {embedder.provider}/{embedder.model}")
    if not 0 <= 2 * overlap < size:
        raise bad("chunking.overlap", "must be below half the size")
    return asdict(Chunking(size, overlap, unit, by_headings))


def bad(field: str, message: str) -> Invalid:
    return Invalid.in_fields([{"field": f"body.{field}", "message": message}])
