"""The hybrid score, of candidates that are written down."""

import math

import numpy as np
import pytest

from footnote.retrieval.fusion import VECTOR_WEIGHT, Candidates, Ranked, by_both, by_words

UNKNOWN = math.nan


def candidates(*rows: tuple[str, int, int, float, int, float, int]) -> Candidates:
    """Each is version, position, space, similarity, vector rank, BM25, exact matches."""
    versions, positions, spaces, similarities, ranks, bm25, exact = zip(*rows, strict=True)
    numbers = [np.array(each, np.int64) for each in (positions, spaces, ranks, exact)]
    cosines, words = np.array(similarities), np.array(bm25)
    return Candidates(np.array(versions), numbers[0], numbers[1], cosines, numbers[2], words, words / 4, numbers[3])


def scores(ranked: Ranked) -> dict[str, float]:
    """The best first."""
    return {str(ranked.candidates.version_ids[place]): float(ranked.scores[place]) for place in ranked.order}


def test_a_chunk_whose_cosine_is_unknown_counts_by_its_words_alone() -> None:
    """As one has in a space that came to be after the question was embedded. A cosine without any other to compare
    it with is the best of its space.
    """
    chunks = (("first", 1, 0.3), ("second", 2, 0.1), ("later", 3, UNKNOWN))
    found = candidates(*((name, 0, space, cosine, 0, 2.0, 0) for name, space, cosine in chunks))
    assert scores(by_both(found, 9)) == pytest.approx({"first": 1.0, "second": 1.0, "later": 1 - VECTOR_WEIGHT})


def test_cosines_count_between_the_least_and_the_greatest_of_their_space() -> None:
    found = candidates(*((str(place), 0, 1, place / 4, 5 - place, 0.0, 0) for place in range(5)))
    assert scores(by_both(found, 9)) == pytest.approx({str(place): VECTOR_WEIGHT * place / 4 for place in range(5)})
    assert scores(by_words(found)) == {}


def test_what_matches_to_the_letter_comes_first_by_words_and_counts_as_much_as_the_best_of_all_words() -> None:
    found = candidates(
        ("words", 0, 1, UNKNOWN, 0, 4.0, 0), ("exact", 0, 1, UNKNOWN, 0, 1.0, 1), ("near", 0, 1, 0.9, 1, 0.0, 0)
    )
    assert list(scores(by_words(found)).items()) == [("exact", 1.25), ("words", 1.0)]
    expected = {"exact": 1 + (1 - VECTOR_WEIGHT) / 4, "near": VECTOR_WEIGHT}
    assert scores(by_both(found, 1)) == pytest.approx(expected), "the second by words is too far"


def test_equal_scores_are_ordered_by_where_the_chunks_stand() -> None:
    found = candidates(*((version, place, 1, 0.5, 1, 1.0, 0) for version in "ba" for place in (1, 0)))
    for ranked in (by_words(found), by_both(found, 9)):
        assert ranked.order.tolist() == [3, 2, 1, 0]
