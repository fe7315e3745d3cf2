"""What a model writes to cite a passage, found in a stream of its tokens.

A marker is a bracket with numbers, with or without a quote: `[1]`, `[1, 3]`, `[2-4]`, `[^1]`, `[Source 1]`,
`[1: "words of the source"]`, `[1: words of the source]`, `【1†page】`. Brackets, digits, commas and quotation marks may
be those of any script. Code is no exception: what a reader would take for a footnote is one.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBERS = r"(\d{1,3}(?:\s*[,-]\s*\d{1,3})*)"
_LEAD = r"\[\s*(?:\^|[Ss]ources?)?\s*"
_DAGGER = r"(?::\d{1,3})?†[^\[\]]*"
_WHOLE = re.compile(rf"{_LEAD}{_NUMBERS}\s*(?:{_DAGGER})?\]")
_QUOTING = re.compile(rf"{_LEAD}{_NUMBERS}\s*:\s*([\"'])")
_OPENS_QUOTE = re.compile(rf"{_QUOTING.pattern}\Z")
_UNQUOTED = re.compile(rf"{_LEAD}{_NUMBERS}\s*:\s+[^\W\d_]")
_WORD_BEGUN = "[Ss](?:o(?:u(?:r(?:c(?:es?)?)?)?)?)?"
# What may still become one of these when more text arrives.
_OPEN = re.compile(rf"\[\s*(?:\^|{_WORD_BEGUN})?\s*(?:{_NUMBERS}\s*(?:[,-]\s*|:\s*|:\d{{0,3}}|{_DAGGER})?)?")
_CUT_OFF = re.compile(rf"{_LEAD}(?:\d.*)?", re.DOTALL)
_ENDS_IN_MARKER = re.compile(rf"{_WHOLE.pattern}\Z")
LONGEST_HEAD = 200  # characters up to the quote
LONGEST_QUOTE = 1000
WIDEST_RANGE = 20

_ALIKE = {
    "[": "［【〔〖⟦",
    "]": "］】〕〗⟧",
    '"': "“”„‟«»「」『』〝〞〟＂",
    "'": "‘’‚‛‹›＇",
    ",": "，、،;；",
    ":": "：",
    "-": "‐‑‒–—―−－",
}


class _Plain(dict[int, str]):
    """For every character the ASCII one that means the same in a marker, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        digit = unicodedata.digit(char, None)
        if digit is not None:
            char = str(digit)
        elif unicodedata.category(char) == "Cf":  # invisible
            char = " "
        return self.setdefault(code, char)


_PLAIN = _Plain({ord(char): plain for plain, chars in _ALIKE.items() for char in chars})


def plain(text: str) -> str:
    """The text as the patterns here read it, each character in its place."""
    return text.translate(_PLAIN)


def reads_as_marker(text: str) -> bool:
    """Whether the text ends in what a reader would take for a footnote."""
    return _ENDS_IN_MARKER.search(plain(text[-LONGEST_HEAD:])) is not None


def unmarked(text: str) -> str:
    """The text without markers and the white space before them."""
    parser = MarkerParser()
    kept = ""
    for part in [*parser.feed(text), *parser.close()]:
        kept = kept + part if isinstance(part, str) else kept.rstrip()
    return kept


@dataclass(frozen=True)
class Marker:
    """A model's reference to the passage `number`, with the words it says to quote."""

    number: int
    quote: str | None


class MarkerParser:
    """Splits a stream of text into text and markers; no marker is shown in pieces, whole or broken.

    If a marker's quote never ends, its head is left out and its words become text. If the stream ends within the quote,
    the quote is what has arrived. Each character is looked at a bounded number of times, however the text is cut.
    """

    def __init__(self) -> None:
        self._parts: list[str | Marker] = []
        self._head = ""  # a bracket that may become a marker, as it was written
        self._numbers: list[int] = []
        self._quote: str | None = None
        self._closer = ""  # the quotation mark that ends the quote; none: the bracket does
        self._last = ""  # what was last in the quote, white space aside

    def feed(self, text: str) -> Iterator[str | Marker]:
        for char, alike in zip(text, plain(text), strict=True):
            self._step(char, alike)
        return self._take()

    def close(self) -> Iterator[str | Marker]:
        if self._quote is not None:
            quote = self._quote.rstrip()
            self._found(quote[:-1] if self._closer and self._last == self._closer else quote)
        elif self._head and not _CUT_OFF.fullmatch(plain(self._head)):
            self._parts.append(self._head)
        self._head = ""
        return self._take()

    def _take(self) -> Iterator[str | Marker]:
        parts, self._parts = self._parts, []
        text: list[str] = []
        for part in parts:
            if isinstance(part, str):
                text.append(part)
                continue
            if text:
                yield "".join(text)
                text.clear()
            yield part
        if text:
            yield "".join(text)

    def _step(self, char: str, alike: str) -> None:
        if self._quote is not None:
            self._in_quote(char, alike)
        elif self._head:
            self._in_head(char, alike)
        elif alike == "[":
            self._head = char
        else:
            self._parts.append(char)

    def _in_head(self, char: str, alike: str) -> None:
        head = plain(self._head) + alike
        if whole := _WHOLE.fullmatch(head):
            self._numbers = _numbers(whole[1])
            self._found(None)
        elif quoting := _QUOTING.fullmatch(head):
            self._open_quote(quoting)
        elif unquoted := _UNQUOTED.fullmatch(head):
            self._numbers, self._quote, self._closer = _numbers(unquoted[1]), char, ""
        elif not _OPEN.fullmatch(head):
            self._parts.append(self._head)
            self._head = ""
            self._step(char, alike)
        elif len(head) < LONGEST_HEAD:
            self._head += char
        else:
            self._parts.append(self._head[1:] + char)
            self._head = ""

    def _open_quote(self, quoting: re.Match[str]) -> None:
        self._head, self._numbers, self._quote = "", _numbers(quoting[1]), ""
        self._closer, self._last = quoting[2], ""

    def _in_quote(self, char: str, alike: str) -> None:
        quote = (self._quote or "") + char
        if alike == "]" and self._last == self._closer:
            self._found(quote[:-1].rstrip()[:-1] if self._closer else quote[:-1])
        elif alike in "\"'" and (inner := _OPENS_QUOTE.search(plain(quote[-LONGEST_HEAD:]))):
            self._give_up(quote[: len(quote) - len(inner[0])])
            if self._quote is not None:
                self._give_up(self._quote)
            self._parts.append(self._head)
            self._open_quote(inner)
        elif len(quote) > LONGEST_QUOTE or (alike == "[" and not self._closer):
            self._give_up(quote)
        else:
            self._quote = quote
            if self._closer and not alike.isspace():
                self._last = alike

    def _give_up(self, words: str) -> None:
        """Treats the quote as text after all. There may be other markers in it."""
        self._head, self._quote, self._last = "", None, ""
        for char, alike in zip(words, plain(words), strict=True):
            self._step(char, alike)

    def _found(self, quote: str | None) -> None:
        self._parts.extend(Marker(number, quote) for number in self._numbers)
        self._head, self._quote, self._last = "", None, ""


def _numbers(listed: str) -> list[int]:
    found: list[int] = []
    for each in listed.split(","):
        first, *rest = map(int, each.split("-"))
        last = min(rest[-1], first + WIDEST_RANGE) if rest else first
        found.extend(range(first, last + 1) if last >= first else (first, last))
    return found
