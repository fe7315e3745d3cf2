"""Citations: markers found in a stream of tokens, quotes checked against the stored page. Pure."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from footnote import sentences

_NUMBERS = r"\d{1,3}(?:\s*,\s*\d{1,3})*"
# A quote may hold brackets, but a quote that was never closed does not swallow the next marker.
_QUOTED = r"(?:(?!\[\s*\d{1,3}\s*:\s*[\"“]).)*"
# [1]   [1, 2]   [1: "a short quote"]
_MARKER = re.compile(rf"\[\s*({_NUMBERS})\s*(?::\s*[\"“]({_QUOTED}?)[\"”]\s*)?\]", re.DOTALL)
_REFERENCE = re.compile(rf"\s?{_MARKER.pattern}", re.DOTALL)
# What may still become a marker when more text arrives.
_OPEN = re.compile(rf"\[\s*(?:{_NUMBERS}\s*(?:,\s*|:\s*(?:[\"“]{_QUOTED})?)?)?\Z", re.DOTALL)
LONGEST_MARKER = 1000
SHORTEST_QUOTE = 6  # characters: a short sentence in Chinese, more than a word like "the"


@dataclass(frozen=True)
class Marker:
    """A model's reference to the passage `number`, with the words it says to quote."""

    number: int
    quote: str | None


class MarkerParser:
    """Splits a stream of text into text and markers; a marker is never shown in pieces."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[str | Marker]:
        self._held += text
        yield from self._release(final=False)

    def close(self) -> Iterator[str | Marker]:
        yield from self._release(final=True)

    def _release(self, *, final: bool) -> Iterator[str | Marker]:
        while self._held:
            start = self._held.find("[")
            if start < 0:
                yield self._take(len(self._held))
            elif start > 0:
                yield self._take(start)
            elif match := _MARKER.match(self._held, 0, LONGEST_MARKER):
                self._take(match.end())
                for number in match.group(1).split(","):
                    yield Marker(int(number), match.group(2))
            elif not final and len(self._held) < LONGEST_MARKER and _OPEN.match(self._held):
                return
            else:
                yield self._take(1)

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def unmarked(text: str) -> str:
    """The text without what looks like markers, such as a source's own references: they are not ours."""
    while (without := _REFERENCE.sub("", text)) != text:  # again, because what stood around one may close up to another
        text = without
    return text


def left_open(text: str) -> bool:
    """Whether the text ends within what could become a marker."""
    start = text.rfind("[")
    return start >= 0 and _OPEN.match(text, start) is not None


def locate(quote: str, passage: str) -> tuple[int, int] | None:
    """`(start, end)` of the quote where it stands literally in the passage.

    A letter or a word stands in every text and supports nothing, so it is found nowhere.
    """
    quote = quote.strip()
    start = passage.find(quote) if len(quote) >= SHORTEST_QUOTE else -1
    return (start, start + len(quote)) if start >= 0 else None


@lru_cache(maxsize=256)
def best_sentence(claim: str, text: str) -> str:
    """The sentence of `text` that shares most with the claim, for a marker that came without a quote."""
    wanted = set(sentences.stems(claim))

    def shared(span: tuple[int, int]) -> float:
        found = set(sentences.stems(text[span[0] : span[1]]))
        return len(wanted & found) / math.sqrt(1 + len(found))

    start, end = max(sentences.spans(text), key=shared, default=(0, len(text)))
    return text[start:end]
