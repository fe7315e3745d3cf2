"""Removes words of the system prompt from an answer, where many follow each other as in the prompt.

A document may ask the model to repeat its instructions. Words that it repeats literally are caught, however they are
cut, laid out or capitalised; a translation, an encoding or other words are not.
"""

import re
from collections.abc import Sequence

WORDS = 8  # that follow each other as in the prompt; of a shorter prompt, all of them
BYTES = 32  # in these words, at least: eight short words are common in any text
FEWEST_WORDS = 4  # a shorter prompt is not protected: its words follow each other by chance, too

_WORD = re.compile(r"[A-Za-z0-9]+|[^\W_]")  # characters of other scripts one by one: not all have words apart


class PromptLeakFilter:
    """Removes runs of words that are in `prompts` from a stream of text. A word must come in one piece."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._words: list[str] = []
        self._needed: list[tuple[int, int]] = []  # for a run that ends at this word: words and bytes
        for prompt in prompts:
            words = [word.lower() for word in _WORD.findall(prompt)]
            if len(words) >= FEWEST_WORDS:
                needed = min(WORDS, len(words)), min(BYTES, sum(map(_bytes, words)))
                self._words += [*words, ""]
                self._needed += [needed] * (len(words) + 1)
        self._places: dict[str, list[int]] = {}
        for place, word in enumerate(self._words):
            self._places.setdefault(word, []).append(place)
        self._runs: dict[int, tuple[int, int]] = {}  # place of the last word -> words and bytes of the run so far
        self._held: list[str] = []  # words of the longest run, each with the text up to the next word
        self._leaving_out = False

    def feed(self, text: str) -> str:
        out: list[str] = []
        done = 0
        for match in _WORD.finditer(text):
            self._between(text[done : match.start()], out)
            self._word(match[0], out)
            done = match.end()
        self._between(text[done:], out)
        return "".join(out)

    def flush(self) -> str:
        """Returns the buffered text. A run may continue after it."""
        held, self._held = "".join(self._held), []
        return held

    def _between(self, text: str, out: list[str]) -> None:
        if self._held:
            self._held[-1] += text
        elif not self._leaving_out:
            out.append(text)

    def _word(self, word: str, out: list[str]) -> None:
        low = word.lower()
        before = self._runs
        self._runs = {}
        for place in self._places.get(low, ()):
            words, size = before.get(place - 1, (0, 0))
            self._runs[place] = words + 1, size + _bytes(low)
        if any(self._tells(place, *run) for place, run in self._runs.items()):
            out.extend([] if self._leaving_out else ["…"])
            self._held, self._leaving_out = [], True
            return
        if self._leaving_out:
            self._leaving_out = False
            out.append(" ")
        self._held.append(word)
        longest = max((words for words, _ in self._runs.values()), default=0)
        released = max(0, len(self._held) - longest)
        out.extend(self._held[:released])
        del self._held[:released]

    def _tells(self, place: int, words: int, size: int) -> bool:
        return words >= self._needed[place][0] and size >= self._needed[place][1]


def _bytes(word: str) -> int:
    return len(word.encode())
