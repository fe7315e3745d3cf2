"""Answers whose citations do not be in the text: JSON objects, and lists of sources at the end.

Both are brought into the form that `markers` reads.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LONGEST_JSON = 50_000  # characters that are held back
LONGEST_HEADING = 60
_FENCE = re.compile(r"```\w*\s*(.*?)\s*(?:```\s*)?\Z", re.DOTALL)
_TEXTS = ("answer", "response", "text", "statement", "sentence", "claim", "content", "summary", "result")
_LISTS = ("citations", "sources", "references", "quotes", "evidence", "answers", "statements", "sentences", "claims")
_NUMBERS = ("source", "source_id", "source_number", "id", "index", "number", "citation", "marker", "ref", "document")
_QUOTES = ("quote", "quotes", "excerpt", "quoted_text", "evidence", "passage", "snippet", "text")


class JsonAnswer:
    """Passes text on as it comes, but for an answer that is one JSON value: that comes at its end, as text."""

    def __init__(self) -> None:
        self._held: str | None = ""

    def feed(self, text: str) -> str:
        if self._held is None:
            return text
        self._held += text
        begun = self._held.lstrip()
        opens = not begun or begun[0] in "{[" or "```json".startswith(begun[:7]) or begun.startswith("```json")
        if opens and len(self._held) < LONGEST_JSON and not re.match(r"\[\s*[^\s{\"\[]", begun):
            return ""
        return self._released()

    def close(self) -> str:
        text = self._held or ""
        fenced = _FENCE.match(text.strip())
        try:
            value = json.loads(fenced[1] if fenced else text)
        except (ValueError, RecursionError):
            return self._released()
        self._held = None
        return "\n".join(_sentences(value)) or text

    def _released(self) -> str:
        text, self._held = self._held or "", None
        return text


def _sentences(value: Any) -> Iterator[str]:
    """The sentences of an object with text and citations, or of a list of such; nothing of any other."""
    if isinstance(value, list):
        for each in value:
            yield from _sentences(each)
    if not isinstance(value, Mapping):
        return
    said = next((value[name] for name in _TEXTS if isinstance(value.get(name), str | list) and value[name]), None)
    lists = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
    cited = [marker for each in lists for marker in _cited(each)] or [*_cited([value])]
    if isinstance(said, str):
        ended = re.search(r"[.!?。]\s*\Z", said)
        yield f"{said[: ended.start()] if ended else said} {' '.join(cited)}{ended[0] if ended else ''}".strip()
    elif isinstance(said, list):
        yield from _sentences(said)
    else:
        for each in lists:
            yield from _sentences(each)


def _cited(entries: Sequence[Any]) -> Iterator[str]:
    """The markers of a list of numbers, or of objects with a number and perhaps a quote."""
    for entry in entries:
        if isinstance(entry, Mapping):
            number = next((_number(entry[name]) for name in _NUMBERS if name in entry), None)
            quote = next((entry[name] for name in _QUOTES if isinstance(entry.get(name), str)), None)
        else:
            number, quote = _number(entry), None
        if number is not None:
            words = " ".join((quote or "").replace('"', "'").split())
            yield f'[{number}: "{words}"]' if words else f"[{number}]"


def _number(value: Any) -> int | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    found = re.fullmatch(r"\D{0,12}(\d{1,3})\D?", str(value))
    return int(found[1]) if found else None


_NAMES = (
    "source|sources|sources used|sources cited|cited sources|reference|references|citation|citations|footnotes|notes"
    "|cited documents|relevant documents|bibliography|works cited|quelle|quellen|quellenangaben|belege|références"
    "|fuentes|referencias|citas"
)
_HEADINGS = _NAMES.split("|")
_DECORATION = " \t#*_-–—>:\n"
_ENTRY = re.compile(
    r"[\s*•>-]*(?:[\[(【［]\s*\^?(?:\w{1,9}\s?)?(\d{1,3})|\^(\d{1,3})\b|(?:[Ss]ource|[Qq]uelle) (\d{1,3})\b)"
)
_DEFINITION = re.compile(r"\s*\[\^?\d{1,3}\]:")
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]{6,1000})[\"”“»]")


class SourceList:
    """Passes an answer on without the list of sources at its end; `listed` are the markers of what it lists.

    `titles`: of the passages that were shown, in the order of their numbers.
    A line that may begin the list is held back until it is known, and what follows it until the end.
    """

    def __init__(self, titles: Sequence[str] = ()) -> None:
        self._titles = [title.casefold() for title in titles if title]
        self._line: str | None = ""  # the beginning of a line that may be a heading; None within another line
        self._held = ""  # the list
        self.listed: list[tuple[int, str | None]] = []

    def feed(self, text: str) -> str:
        if self._held:
            self._held += text
            return ""
        out = []
        for at, char in enumerate(text):
            if self._line is None:
                out.append(char)
            else:
                self._line += char
                if self._begins():
                    self._held = self._line + text[at + 1 :]
                    break
                if not self._may_begin():
                    out.append(self._line)
                    self._line = None
            if char == "\n":
                self._line = self._line or ""
        return "".join(out)

    def close(self) -> str:
        text, self._held, self._line = self._held + (self._line or "" if not self._held else ""), "", None
        lines = [line for line in text.splitlines() if line.strip(_DECORATION)]
        entries = self._entries(lines)
        if not lines or not entries or not all(map(self._is_entry, entries)):
            return text
        for line in entries:
            quoted = _QUOTED.search(line)
            self.listed += [(number, quoted[1] if quoted else None) for number in self._numbers(line)]
        return ""

    def _numbers(self, line: str) -> list[int]:
        if found := [next(int(each) for each in match.groups() if each) for match in _ENTRY.finditer(line)]:
            return found
        return [place for place, title in enumerate(self._titles, 1) if title in line.casefold()][:1]

    def _entries(self, lines: Sequence[str]) -> Sequence[str]:
        """What is listed, without the heading."""
        if not lines or _DEFINITION.match(lines[0]):
            return lines
        first = lines[0].partition(":")[2]
        return [first, *lines[1:]] if first.strip(_DECORATION) else lines[1:]

    def _begins(self) -> bool:
        line = self._line or ""
        if _DEFINITION.match(line):
            return True
        words = line.strip(_DECORATION).casefold()
        return line.rstrip(" *_")[-1:] in (":", "\n") and words in _HEADINGS

    def _may_begin(self) -> bool:
        line = self._line or ""
        if re.fullmatch(r"\s*\[?\^?\d{0,3}\]?", line):
            return True
        words = line.strip(_DECORATION).casefold()
        return len(line) < LONGEST_HEADING and any(each.startswith(words) for each in _HEADINGS)

    def _is_entry(self, line: str) -> bool:
        return _ENTRY.match(line) is not None or any(title in line.casefold() for title in self._titles)
