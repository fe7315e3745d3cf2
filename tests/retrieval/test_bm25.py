"""The chunks whose rows are read are enough, and few: BM25 by rounded lengths, then by exact ones."""

import numpy as np
import pytest

from footnote.retrieval import bm25
from footnote.retrieval.bm25 import Lexeme, Postings, chunk_number

MEAN = 100.0


def packed(block: int, places: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Lexeme:
    """A lexeme that stands once in chunks of 64 words."""
    told = np.stack([places, np.ones_like(places), np.full_like(places, 96)], axis=1).astype(np.uint8)
    size, number = np.array([len(places)], ">i2"), np.array([block], ">i4")
    return Lexeme("lamp", 2.0, True, number.tobytes(), size.tobytes(), told.tobytes())


def test_postings_are_read_as_they_are_packed() -> None:
    nothing = Lexeme("unheard", 5.0, True, None, None, None)
    found = bm25.postings([packed(-7, np.arange(3)), nothing, packed(9, np.array([255]))])
    assert found.chunks.tolist() == [-7 * 256, -7 * 256 + 1, -7 * 256 + 2, 9 * 256 + 255]
    assert [divmod(each, 256) for each in found.chunks.tolist()] == [(-7, 0), (-7, 1), (-7, 2), (9, 255)]
    assert found.idf.tolist() == [2.0] * 4
    assert found.lengths.tolist() == [64.0] * 4
    assert len(bm25.postings([nothing]).chunks) == len(bm25.postings([]).chunks) == 0


def some_postings(chance: np.random.Generator, chunks: int) -> tuple[Postings, "bm25.Floats"]:
    """Of ten lexemes, and the exact lengths of the chunks in words."""
    words = chance.integers(1, 400, chunks).astype(np.float64)
    rounded = np.exp2(np.rint(16 * np.log2(words)) / 16)
    idf = chance.uniform(0.1, 8, 10)
    lexemes, places = np.nonzero(chance.random((10, chunks)) < 0.2)
    numbers = chunk_number(places // 256, places % 256)
    occurrences = chance.integers(1, 6, len(places)).astype(np.float64)
    return Postings(numbers, idf[lexemes], occurrences, rounded[places]), words


@pytest.mark.parametrize("wanted", [1, 10, 100])
def test_the_best_by_exact_lengths_are_among_the_likely(wanted: int) -> None:
    chance = np.random.default_rng(wanted)
    for _ in range(200):
        found, words = some_postings(chance, 280)
        scores, _ = bm25.scored(found, np.arange(280), words / MEAN)
        likely = bm25.likely(found, MEAN, wanted, not_fetched=0.0)
        best = np.argsort(-scores, kind="stable")[:wanted]
        assert set(best[scores[best] > 0]) <= set(likely)
        assert len(likely) <= wanted * 1.5 + 5, "rows are read for those only that may be among the best"


def test_what_was_not_fetched_may_lift_any_that_it_can_lift() -> None:
    """One lexeme is told of the likely ones only: whatever it weighs, the best of all are among them."""
    chance = np.random.default_rng(7)
    for _ in range(200):
        found, words = some_postings(chance, 280)
        least = found.idf.min()
        fetched = Postings(*(each[found.idf > least] for each in vars(found).values()))
        scores, _ = bm25.scored(found, np.arange(280), words / MEAN)
        likely = bm25.likely(fetched, MEAN, 10, not_fetched=least)
        held = np.isin(np.arange(280), fetched.chunks)
        best = [place for place in np.argsort(-scores, kind="stable")[:10] if held[place]]
        assert set(best) <= set(likely)


def test_scores_are_in_the_order_of_the_chunks() -> None:
    found, words = some_postings(np.random.default_rng(3), 280)
    every, held = bm25.scored(found, np.arange(280), words / MEAN)
    some = np.array([200, 3, 57])
    assert bm25.scored(found, some, words[some] / MEAN)[0] == pytest.approx(every[some])
    assert bm25.scored(found, some, words[some] / MEAN)[1] == pytest.approx(held[some])
    assert [len(each) for each in bm25.scored(found, np.arange(0), words[:0])] == [0, 0]
    lamp = bm25.postings([packed(0, np.array([5]))])
    [score], [idf] = bm25.scored(lamp, np.array([5]), np.array([0.5]))
    assert (score, idf) == pytest.approx((2 * 2.8 / (1 + 1.8 * (0.25 + 0.75 * 0.5)), 2.0))
