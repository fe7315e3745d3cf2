"""What a misspelt word of a question stands for, by what its other words find.

Texts that are about the same hold the word as it should be. There it is looked for with more mistakes than in a whole
vocabulary, as two words or as one. And a word that is right, but in none of the texts, is taken for one that differs in
a letter and has the same neighbour there: `media survival` where they say `median survival`.
"""

import re
from collections.abc import Sequence
from functools import cached_property

from footnote.text import grammar, words
from footnote.text.sentences import stems

TEXTS = 16  # that are read, the best first
SHORTEST_COMPARED, SHORTEST_JOINED = 5, 6  # letters
FEW_MISTAKES, MOST_MISTAKES = 2, 3
LONG, LONGEST = 8, 12  # letters, from which on that many are forgiven
_INFLECTED = re.compile(r"(?:e?s|e?d|r|y|e)\Z")
_GLUED = grammar.ENGLISH - {"a", "i"}


class SpellingContext:
    """The texts, read no further than is needed."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [each.lower() for each in texts[:TEXTS]]
        self._text = "\n".join(self._texts)

    @cached_property
    def _words(self) -> dict[str, int]:
        """How often each word that can be misspelt stands there."""
        found: dict[str, int] = {}
        for start, end in words.spans(self._text):
            word = self._text[start:end]
            found[word] = found.get(word, 0) + 1
        return found

    def holds(self, word: str) -> bool:
        return re.search(rf"\b{re.escape(word)}\b", self._text) is not None

    def frequency(self, word: str) -> int:
        return self._words.get(word, 0)

    def nearest(self, word: str) -> str | None:
        """The word that it stands for, with more mistakes than elsewhere, also in its first letter."""
        if len(word) < SHORTEST_COMPARED:
            return None
        most = FEW_MISTAKES if len(word) >= LONG else 1
        most, letters = MOST_MISTAKES if len(word) >= LONGEST else most, set(word)
        found = [
            (away, -count, other)
            for other, count in self._words.items()
            if abs(len(other) - len(word)) <= most and other not in grammar.GRAMMAR and len(other) >= words.SHORTEST
            if len(letters.symmetric_difference(other)) <= 2 * most  # no mistake changes more than two
            if (away := words.distance(word, other)) <= (most if word[0] == other[0] and word[-1] == other[-1] else 1)
        ]
        return min(found)[2] if found else None

    def parted(self, word: str) -> tuple[str, ...]:
        """The two words that it is, written as one: words of grammar, or such that stand there."""
        for at in range(2, len(word) - 1):
            head, tail = word[:at], word[at:]
            if self._is_part(head, tail) and self._is_part(tail, head):
                return head, tail
            if self._follows(head, tail):
                return head, tail
        return ()

    def _is_part(self, part: str, other: str) -> bool:
        """Whether it is a word of grammar, or occurs there next to a word of grammar."""
        return part in _GLUED or (len(part) >= words.SHORTEST and other in _GLUED and self.frequency(part) > 0)

    def joined(self, head: str, tail: str) -> str | None:
        """The word that two are, written apart."""
        whole = head + tail
        if len(whole) < SHORTEST_JOINED or not self.frequency(whole) or self._follows(head, tail):
            return None
        return whole

    def beside(self, word: str, before: str | None, behind: str | None) -> str | None:
        """The word that has the same neighbour, or occurs in most texts, if it differs by a letter."""
        found = [*self._behind(before)] if before else []
        found += self._before(behind) if behind else []
        near = [each for each in found if _is_slip(word, each)] or self._topics(word)
        return max(near, key=lambda each: (near.count(each), each)) if near else None

    def _topics(self, word: str) -> list[str]:
        found = [
            each for each in dict.fromkeys(re.findall(rf"\b{word[0]}[^\W\d_]+", self._text)) if _is_slip(word, each)
        ]
        return [each for each in found if 2 * sum(each in text for text in self._texts) > len(self._texts) > 1]

    def _follows(self, head: str, tail: str) -> bool:
        return min(len(head), len(tail)) > 2 and re.search(rf"\b{head}[ \n-]{tail}\b", self._text) is not None

    def _behind(self, word: str) -> list[str]:
        return re.findall(rf"\b{re.escape(word)}[ \n-]([^\W\d_]+)\b", self._text)

    def _before(self, word: str) -> list[str]:
        return re.findall(rf"\b([^\W\d_]+)[ \n-]{re.escape(word)}\b", self._text)


def _is_slip(word: str, other: str) -> bool:
    """Whether one letter too much, too few or in its neighbour's place makes another word of it, not another form."""
    if word == other or word[0] != other[0] or other in grammar.GRAMMAR or not words.one_apart(word, other):
        return False
    if len(word) == len(other):
        return sorted(word) == sorted(other)
    short, long = sorted((word, other), key=len)
    is_form = long.startswith(short) and _INFLECTED.match(long, len(short))
    return not is_form and stems(word) != stems(other)
