"""BM25 of chunks, by the postings of a question's lexemes.

It is that of Robertson and Zaragoza, 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; K1 was chosen on
the development halves of two test sets (docs/measurements.md). It is computed here and not in SQL: arrays of ten
thousand postings take less than a millisecond, rows of as many more than ten.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

SCORED = 300  # chunks at most, by their exact lengths and by all lexemes
K1, B = 1.8, 0.75
_ROUNDED = 2 ** (1 / 32)  # the most by which a length in a posting is wrong, and so a score by it


class Lexeme(NamedTuple):
    """A lexeme of the question; `is_whole`: `blocks`, `sizes` and `chunks` list all chunks in scope that hold it."""

    lexeme: str
    idf: float
    is_whole: bool
    blocks: bytes | None
    sizes: bytes | None
    chunks: bytes | None


@dataclass(frozen=True)
class Postings:
    """Each element is a lexeme of the question in a chunk.

    `chunks` is the number of the chunk's block and its place in it, as one number; `lengths` are words, rounded.
    """

    chunks: "Numbers"
    idf: "Floats"
    occurrences: "Floats"
    lengths: "Floats"


def chunk_number(block: Any, place: Any) -> Any:
    """A number for a chunk, or for several: a block has 256 at most."""
    return block * 256 + place


def postings(lexemes: Iterable[Lexeme]) -> Postings:
    """What was fetched of the lexemes."""
    import numpy as np

    fetched = [each for each in lexemes if each.chunks]
    blocks = np.frombuffer(b"".join(each.blocks or b"" for each in fetched), ">i4").astype(np.int64)
    sizes = np.frombuffer(b"".join(each.sizes or b"" for each in fetched), ">i2")
    records = np.frombuffer(b"".join(each.chunks or b"" for each in fetched), np.uint8).reshape(-1, 3)
    held = [len(each.chunks or b"") // 3 for each in fetched]
    return Postings(
        chunk_number(np.repeat(blocks, sizes), records[:, 0]),
        np.repeat(np.array([each.idf for each in fetched], np.float64), held),
        records[:, 1].astype(np.float64),
        np.exp2(records[:, 2] / 16),
    )


def likely(found: Postings, mean_words: float, wanted: int, *, not_fetched: float) -> "Numbers":
    """The chunks that may be among the `wanted` best; SCORED at most.

    `not_fetched` is the idf of all lexemes of which not all chunks were fetched.
    """
    import numpy as np

    chunks, places = np.unique(found.chunks, return_inverse=True)
    weights = found.idf * _share(found.occurrences, found.lengths / mean_words)
    scores = np.bincount(places, weights).astype(np.float64)
    least = _greatest(scores, wanted) / _ROUNDED**2 - not_fetched
    high = np.flatnonzero(scores >= max(least, _greatest(scores, SCORED)))
    best: Numbers = chunks[high[np.lexsort((chunks[high], -scores[high]))[:SCORED]]]
    return best


def _greatest(scores: "Floats", place: int) -> float:
    """The one at this place among the greatest; 0 if there are fewer."""
    import numpy as np

    return float(np.partition(scores, -place)[-place]) if len(scores) >= place else 0.0


def scored(found: Postings, chunks: "Numbers", lengths: "Floats") -> "tuple[Floats, Floats]":
    """BM25 of the chunks, and the idf of the lexemes that each holds. `lengths` are theirs, by the mean."""
    import numpy as np

    if not len(chunks):
        return np.zeros(0), np.zeros(0)
    order = np.argsort(chunks)
    places = order[np.minimum(np.searchsorted(chunks, found.chunks, sorter=order), len(chunks) - 1)]
    among = chunks[places] == found.chunks
    places, idf, occurrences = places[among], found.idf[among], found.occurrences[among]
    weights = (1 + K1) * idf * _share(occurrences, lengths[places])
    scores, held = (np.bincount(places, each, len(chunks)).astype(np.float64) for each in (weights, idf))
    return scores, held


def _share(occurrences: "Floats", length: "Floats") -> "Floats":
    """Of what a lexeme can weigh, from 0 to 1; `length` is the chunk's, by the mean."""
    return occurrences / (occurrences + K1 * (1 - B + B * length))
