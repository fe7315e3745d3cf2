"""Chooses the hits that are shown: without near-duplicates and, on request, unlike each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from footnote.text import sentences

SHINGLE = 4  # words
ALIKE = 0.8  # of the shingles that two texts have together
_JOINTS = b"-_.'"  # what holds the parts of a word together
_PARTS = bytes(each if chr(each).isalnum() and each < 128 else 32 for each in range(256))  # others end one


def distinct(texts: Sequence[str], most: int) -> list[int]:
    """The places of the first `most` texts that are not nearly the same as one before them.

    Nearly the same are texts whose sets of shingles resemble each other (Broder, 1997, "On the resemblance and
    containment of documents") by `ALIKE` or more.
    """
    kept: list[int] = []
    seen: list[_Text] = []
    for place, text in enumerate(texts):
        new = _Text.of(text)
        if not any(new.may_be_like(each) and _resemblance(new.shingles, each.shingles) >= ALIKE for each in seen):
            kept.append(place)
            seen.append(new)
            if len(kept) == most:
                break
    return kept


@dataclass(frozen=True)
class _Text:
    """A text by the `parts` of its words, which are found in a tenth of the time of shingles and differ in most texts.

    `length` is the number of its words at most, `words` that of different ones within it at least. `doubtful` parts
    are next to a character that is not ASCII, with which they may look like others.
    """

    text: str
    parts: frozenset[bytes]
    length: int
    words: int
    doubtful: int

    @classmethod
    def of(cls, text: str) -> "_Text":
        coded = text.encode("ascii", "replace").lower()
        parts, others = coded.translate(_PARTS).split(), coded.count(b"?")
        different = frozenset(parts)
        joined, doubtful, at_ends = sum(map(coded.count, _JOINTS), others), 2 * others, 2 * (SHINGLE - 1)
        words = len(different) - joined - doubtful - at_ends
        return cls(text, different, len(parts) + others, words, doubtful)

    @cached_property
    def shingles(self) -> set[int]:
        """Their hashes, which take half the time of the shingles: 64 bits distinguish those of a few texts."""
        words = sentences.words(self.text)
        if len(words) < SHINGLE:
            return {hash(tuple(words))}
        return set(map(hash, zip(*(words[start:] for start in range(SHINGLE)), strict=False)))

    def may_be_like(self, other: "_Text") -> bool:
        """False only if the resemblance is less than `ALIKE`.

        A word that only one text has, and has not among its first or last SHINGLE - 1 words, stands in SHINGLE
        different shingles of that text alone, each of which holds SHINGLE such words at most. So a text has as many
        shingles of its own as words of its own, but for those at its ends. Texts that are alike have, of the shingles
        of both together, 1 - `ALIKE` that only one has.
        """
        shared = len(self.parts & other.parts)
        alone = max(0, self.words - shared - other.doubtful) + max(0, other.words - shared - self.doubtful)
        return alone <= (1 / ALIKE - 1) * max(1, min(self.length, other.length))


def _resemblance(one: set[int], other: set[int]) -> float:
    # No more than the smaller set can be shared: most pairs are excluded by their sizes.
    if min(len(one), len(other)) < ALIKE * max(len(one), len(other)):
        return 0.0
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def diverse(
    embeddings: Sequence[str], spaces: Sequence[int], scores: Sequence[float], diversity: float, most: int
) -> list[int]:
    """The places of `most` hits, chosen one after the other for their score and for being unlike those before.

    Maximal marginal relevance (Carbonell and Goldstein, 1998), with 1 - `diversity` for its lambda, over scores scaled
    to 0 to 1. `embeddings` are vectors as Postgres writes them, each in its space; what is in different ones is unlike.
    """
    import numpy as np
    from pgvector import HalfVector

    vectors = [HalfVector.from_text(each).to_numpy().astype(np.float32) for each in embeddings]
    of_space = {space: np.flatnonzero(np.asarray(spaces) == space) for space in spaces}
    unit = {space: np.stack([vectors[place] for place in places]) for space, places in of_space.items()}
    for matrix in unit.values():
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    relevance = np.asarray(scores, np.float64)
    spread = float(relevance.max() - relevance.min())
    relevance = (relevance - relevance.min()) / spread if spread else np.ones_like(relevance)
    nearest = np.zeros(len(relevance))  # the cosine to the most similar of the chosen
    chosen: list[int] = []
    while len(chosen) < min(most, len(relevance)):
        gain = (1 - diversity) * relevance - diversity * nearest
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        places, matrix = of_space[spaces[best]], unit[spaces[best]]
        nearest[places] = np.maximum(nearest[places], matrix @ matrix[np.searchsorted(places, best)])
    return chosen
