"""What a model writes to cite a passage, found in a stream of its tokens.

A marker is a bracket with numbers, with or without a quote: `[1]`, `[1, 3]`, `[2-4]`, `[^1]`, `[Source 1]`,
`[1: "words of the source"]`, `[1: words of the source]`, `【1†page】`. Brackets, digits, commas and quotation marks may
be those of any script. `(Source 1)`, `<sup>1</sup>`, and at the end of a clause `(1)`, `^1` and `¹` are markers, too.
In code, a bracket that is joined to a name is an index: `a[0]`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from footnote.citations import asides

_NAMES = (
    "sources|source|src|documents|document|docs|doc|passages|passage|references|reference|refs|ref|citations|citation"
    "|quellen|quelle|fuentes|fuente"
)
_WORD = f"(?i:{_NAMES})"
_LEAD = rf"\[\s*(?:\^|#|{_WORD}[\s:.#_-]*)?\s*"
_AND = r"(?:[,-]|&|and|und|et|y)"
_NUMBERS = rf"(\d{{1,3}}(?:\s*{_AND}\s*(?:{_WORD}\s*)?\d{{1,3}})*)"
_DAGGER = r"(?::\d{1,3})?†[^\[\]]*"
_WHOLE = re.compile(rf"{_LEAD}{_NUMBERS}\s*(?:{_DAGGER})?\]")
_QUOTING = re.compile(rf"{_LEAD}{_NUMBERS}\s*:\s*([\"'])")
_OPENS_QUOTE = re.compile(rf"{_QUOTING.pattern}\Z")
_UNQUOTED = re.compile(rf"{_LEAD}{_NUMBERS}\s*:\s+[^\W\d_]")
_BEGUN = "|".join(
    sorted({word[:size] for word in _NAMES.split("|") for size in range(1, len(word) + 1)}, key=len, reverse=True)
)
_WORD_BEGUN = f"(?i:{_BEGUN})"
_AND_BEGUN = r"(?:[,-]|&|an?d?|un?d?|et?|y)"
# What may still become one of these when more text arrives.
_OPEN = re.compile(
    rf"\[\s*(?:\^|#|{_WORD_BEGUN}|{_WORD}[\s:.#_-]*)?\s*"
    rf"(?:{_NUMBERS}\s*(?:{_AND_BEGUN}\s*{_WORD_BEGUN}?\s*|:\s*|:\d{{0,3}}|{_DAGGER})?)?"
)
_CUT_OFF = re.compile(rf"{_LEAD}(?:\d.*)?", re.DOTALL)
_ENDS_IN_MARKER = re.compile(rf"{_WHOLE.pattern}\Z")
_INDEX = re.compile(r"\[[0-9, -]+\]")
_PAGE = re.compile(r"(?i:pages?|pp?\.|seiten?|s\.|página)\s*\d[\d\s,-]*\Z")  # no words to be quoted
LONGEST_HEAD = 200  # characters up to the quote
LONGEST_QUOTE = 1000
WIDEST_RANGE = 20
_REMEMBERED = 48

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
    left = ""
    for part in [*parser.feed(text), *parser.close()]:
        match part:
            case Marker():
                left = left.rstrip()
            case CodeIndex(index):
                left += index
            case str():
                left += part
    return left


@dataclass(frozen=True)
class Marker:
    """A model's reference to the passage `number`, with the words it says to quote."""

    number: int
    quote: str | None


@dataclass(frozen=True)
class CodeIndex:
    """A bracket in code that reads as a marker and is an index."""

    text: str


Part = str | Marker | CodeIndex


class MarkerParser:
    """Splits a stream of text into text and markers; no marker is shown in pieces, whole or broken.

    `most`: the passages that can be cited; without it, only brackets are markers. If a marker's quote never ends, its
    head is left out and its words become text. If the stream ends within the quote, the quote is what has arrived. Each
    character is looked at a bounded number of times, however the text is cut.
    """

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._parts: list[Part] = []
        self._context = _Context()
        self._aside = ""  # what may become a marker without a bracket
        self._bracketed = False  # whether there was one with a bracket: then `(1)` is none
        self._head = ""  # a bracket that may become a marker, as it was written
        self._numbers: list[int] = []
        self._quote: str | None = None
        self._closer = ""  # the quotation mark that ends the quote; none: the bracket does
        self._last = ""  # what was last in the quote, white space aside

    def feed(self, text: str) -> Iterator[Part]:
        for char, alike in zip(text, plain(text), strict=True):
            self._step(char, alike)
        return self._take()

    def close(self) -> Iterator[Part]:
        if self._aside:
            self._end_aside("")
        elif self._quote is not None:
            quote = self._quote.rstrip()
            self._found(quote[:-1] if self._closer and self._last == self._closer else quote)
        elif self._head and not _CUT_OFF.fullmatch(plain(self._head)):
            self._say(self._head)
        self._head = ""
        return self._take()

    def _take(self) -> Iterator[Part]:
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
        elif self._aside:
            self._in_aside(char, alike)
        elif alike == "[":
            self._head = char
        elif self._most and (char in asides.OPENERS) and not self._context.in_code:
            self._aside = char
        else:
            self._say(char)

    def _say(self, text: str) -> None:
        self._parts.append(text)
        self._context.add(text)

    def _in_head(self, char: str, alike: str) -> None:
        head = plain(self._head) + alike
        if whole := _WHOLE.fullmatch(head):
            self._numbers = _numbers(whole[1])
            if self._context.is_joined and _INDEX.fullmatch(self._head + char):
                self._index(self._head + char)
            else:
                self._found(None)
        elif quoting := _QUOTING.fullmatch(head):
            self._open_quote(quoting)
        elif unquoted := _UNQUOTED.fullmatch(head):
            self._numbers, self._quote, self._closer = _numbers(unquoted[1]), char, ""
        elif not _OPEN.fullmatch(head):
            head, self._head = self._head, ""
            self._say(head)
            self._step(char, alike)
        elif len(head) < LONGEST_HEAD:
            self._head += char
        else:
            self._say(self._head[1:] + char)
            self._head = ""

    def _index(self, bracket: str) -> None:
        self._parts.append(CodeIndex(bracket))
        self._context.add(bracket)
        self._head = ""

    def _in_aside(self, char: str, alike: str) -> None:
        if asides.may_become(self._aside + char):
            self._aside += char
        else:
            self._end_aside(char)
            self._step(char, alike)

    def _end_aside(self, behind: str) -> None:
        """Decides whether it is a marker, by what is around it."""
        aside, self._aside = self._aside, ""
        listed = asides.cited(aside, self._context.before, behind, bracketed=self._bracketed)
        numbers = _numbers(plain(listed)) if listed else []
        if numbers and all(0 < number <= self._most for number in numbers):
            self._parts.extend(Marker(number, None) for number in numbers)
            self._context.add(" ")
        else:
            self._say(aside)

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
            self._say(self._head)
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
        if quote and _PAGE.match(quote):
            quote = None
        self._parts.extend(Marker(number, quote) for number in self._numbers)
        self._bracketed = True
        self._context.add(" ")  # another bracket that is joined to this one is no index
        self._head, self._quote, self._last = "", None, ""


class _Context:
    """What is before the place that is read, and whether it is in code."""

    def __init__(self) -> None:
        self.before = ""
        self._ticks = 0  # that came last
        self._fence = 0  # ticks that opened the code; 0: it is none

    @property
    def in_code(self) -> bool:
        return self._fence > 0 or self._ticks > 0

    @property
    def is_joined(self) -> bool:
        """Whether a bracket here is an index in code."""
        return self._fence > 0 and not self._ticks and re.search(r"[\w\])]\Z", self.before) is not None

    def add(self, text: str) -> None:
        self.before = (self.before + text)[-_REMEMBERED:]
        for char in text:
            if char == "`":
                self._ticks += 1
                continue
            if self._ticks:
                self._fence = self._ticks if not self._fence else 0 if self._ticks >= self._fence else self._fence
                self._ticks = 0
            if char == "\n" and self._fence < 3:
                self._fence = 0


def _numbers(listed: str) -> list[int]:
    found: list[int] = []
    for each in re.sub(rf"{_WORD}|\s", "", re.sub(r"(?i:and|und|et|[&y])", ",", listed)).split(","):
        first, *rest = map(int, each.split("-"))
        last = min(rest[-1], first + WIDEST_RANGE) if rest else first
        found.extend(range(first, last + 1) if last >= first else (first, last))
    return found
