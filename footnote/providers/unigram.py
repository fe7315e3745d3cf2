"""SentencePiece's unigram tokenizer: of all ways to cut a word into pieces, the likeliest.

Kudo, "Subword Regularization" (2018). No piece of the vocabulary reaches over a space, so each word is cut for itself,
and words recur.
"""

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache

SPACE = "\u2581"  # how a piece begins that begins a word
WORSE = 10.0  # score of an unknown character, below that of the unlikeliest piece
_CACHED_WORDS = 1 << 14
_LONGEST_CACHED = 64  # characters; what is between two spaces of a script without them hardly recurs


class Unigram:
    """`scores` are logarithms of likelihoods; `characters` says what is read for a character. Threads may share it."""

    def __init__(
        self, pieces: Sequence[str], scores: Sequence[float], characters: Mapping[int, str], unknown: int
    ) -> None:
        self._ids = {piece: index for index, piece in enumerate(pieces)}
        self._scores = array("f", scores)
        self._longest = max(map(len, pieces))
        self._characters = characters
        self._unknown, self._unknown_score = unknown, min(scores) - WORSE
        self._cut_before = lru_cache(_CACHED_WORDS)(self._cut)

    def encode(self, text: str) -> list[int]:
        """The ids of the text's pieces."""
        found: list[int] = []
        for word in text.translate(self._characters).split(" "):
            if word:
                found += self._cut_before(word) if len(word) <= _LONGEST_CACHED else self._cut(word)
        return found

    def _cut(self, word: str) -> tuple[int, ...]:
        """By Viterbi's algorithm (1967): the best way to a place is one piece longer than the best to another."""
        word = SPACE + word
        ids, scores, longest = self._ids, self._scores, self._longest
        best = [0.0, *[float("-inf")] * len(word)]
        came = [(0, self._unknown)] * len(best)  # from where, and by which piece
        for start in range(len(word)):
            before = best[start]
            if before + self._unknown_score > best[start + 1]:
                best[start + 1], came[start + 1] = before + self._unknown_score, (start, self._unknown)
            for end in range(start + 1, min(start + longest, len(word)) + 1):
                piece = ids.get(word[start:end])
                if piece is not None and before + scores[piece] > best[end]:
                    best[end], came[end] = before + scores[piece], (start, piece)
        return tuple(_way(came))


def _way(came: Sequence[tuple[int, int]]) -> list[int]:
    found, place = [], len(came) - 1
    while place:
        place, piece = came[place]
        found.append(piece)
    return found[::-1]
