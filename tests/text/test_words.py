"""Distances between words: the fast ways to tell them say what the slow one does."""

from itertools import product

from footnote.text.words import distance, one_apart, shortened

# All words of up to three letters, and longer ones, of an alphabet in which letters are repeated and swapped.
SHORT = ["".join(letters) for length in range(4) for letters in product("abc", repeat=length)]
LONG = ["".join(letters) for length in (4, 5) for letters in product("ab", repeat=length)]


def test_one_apart_is_a_distance_of_one() -> None:
    pairs = [*product(SHORT, SHORT), *product(LONG, LONG), *product(SHORT, LONG)]
    assert [pair for pair in pairs if one_apart(*pair) != (distance(*pair) == 1)] == []
    assert sum(one_apart(*pair) for pair in pairs) > 300


def test_words_one_apart_have_a_shortened_one_in_common() -> None:
    apart = [pair for pair in product(LONG, SHORT + LONG) if distance(*pair) == 1]
    assert [pair for pair in apart if not shortened(pair[0]) & shortened(pair[1])] == []
    assert len(apart) > 100
