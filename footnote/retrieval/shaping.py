"""Chooses the hits that are shown: without near-duplicates and, on request, unlike each other."""

from collections.abc import Sequence

from footnote.text import sentences

SHINGLE = 4  # words
ALIKE = 0.8  # of the shingles that two texts have together


def distinct(texts: Sequence[str], most: int) -> list[int]:
    """The places of the first `most` texts that are not nearly the same as one before them.

    Nearly the same are texts whose sets of shingles resemble each other (Broder, 1997, "On the resemblance and
    containment of documents") by `ALIKE` or more.
    """
    kept: list[int] = []
    seen: list[set[int]] = []
    for place, text in enumerate(texts):
        shingles = _shingles(text)
        if not any(_resemblance(shingles, each) >= ALIKE for each in seen):
            kept.append(place)
            seen.append(shingles)
            if len(kept) == most:
                break
    return kept


def _shingles(text: str) -> set[int]:
    """Their hashes, which take half the time of the shingles: 64 bits tell those of a few texts apart."""
    words = sentences.words(text)
    if len(words) < SHINGLE:
        return {hash(tuple(words))}
    return set(map(hash, zip(*(words[start:] for start in range(SHINGLE)), strict=False)))


def _resemblance(one: set[int], other: set[int]) -> float:
    # No more than the smaller set can be shared: most pairs are told apart by their sizes.
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
