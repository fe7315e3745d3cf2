"""The hybrid score, of candidates that are written down."""

import pytest

from footnote.retrieval.fusion import MEANING, Candidate, by_both, by_words


def test_a_chunk_whose_cosine_is_unknown_counts_by_its_words_alone() -> None:
    """As one has in a space that came to be after the question was embedded. A cosine without any other to compare
    it with is the best of its space.
    """
    found = [Candidate(name, 0, space, similarity=cosine, bm25=2.0) for name, space, cosine in CHUNKS]
    scores = {each.version_id: each.score for each in by_both(found, 9)}
    assert scores == pytest.approx({"first": 1.0, "second": 1.0, "later": 1 - MEANING})


CHUNKS = [("first", 1, 0.3), ("second", 2, 0.1), ("later", 3, None)]


def test_cosines_count_between_the_least_and_the_greatest_of_their_space() -> None:
    found = [Candidate(str(place), 0, 1, similarity=place / 4, vector_rank=5 - place) for place in range(5)]
    scores = {each.version_id: each.score for each in by_both(found, 9)}
    assert scores == pytest.approx({str(place): MEANING * place / 4 for place in range(5)})


def test_what_matches_to_the_letter_comes_first_by_words_and_is_held_to_the_best_of_all_words() -> None:
    exact = Candidate("exact", 0, 1, bm25=1.0, exact_matches=1)
    found = [Candidate("words", 0, 1, bm25=4.0), exact, Candidate("near", 0, 1, similarity=0.9, vector_rank=1)]
    assert [(each.version_id, each.score) for each in by_words(found)] == [("exact", 1.25), ("words", 1.0)]
    both = {each.version_id: each.score for each in by_both(found, 1)}
    assert both == pytest.approx({"exact": 1 + (1 - MEANING) / 4, "near": MEANING}), "the second by words is too far"


def test_equal_scores_are_ordered_by_where_the_chunks_stand() -> None:
    found = [Candidate(version, position, 1, bm25=1.0) for version in "ba" for position in (1, 0)]
    assert [(each.version_id, each.position) for each in by_words(found)] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
