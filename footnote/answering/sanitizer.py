"""Turns a model's answer into plain text: links and code that the model invents never leave the server.

Active HTML, images, the targets of links and calls of tools are left out, addresses too unless they stand literally in
a passage that was shown; then they are plain text. What is left out leaves a gap, so that what stood around it does
not close up to a tag, a link, an address or a footnote. Code is no exception. Harmless angle brackets
stay (`tags`).
"""

import re
from collections.abc import Sequence
from functools import cached_property

from footnote.answering import tags
from footnote.citations import reads_as_marker

LONGEST = 512  # characters of a word, tag or target; what is longer is held back no further
_KEPT = 64  # characters held back of a longer word: an address may begin in them
_REMEMBERED = 256
_MOST_OPEN = 16

_UNSEEN = re.compile("[\u00ad\u200b\u2060-\u2069\u202a-\u202e\ufeff\U000e0000-\U000e007f]")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[!-;=-Z\\^-~]+|[^\x00-\x7f\s]+|[^\s]")  # of ASCII, brackets aside; of other characters; a bracket
_TAG = re.compile(r"<[A-Za-z/!?|｜][^>]*>")
_OPEN_TAG = re.compile(r"<(?:[A-Za-z/!?|｜][^>]*)?")
_TARGET = re.compile(r"\((?:[^()\n]|\([^()\n]*\))*\)")
_OPEN_TARGET = re.compile(r"\((?:[^()\n]|\([^()\n]*\))*(?:\([^()\n]*)?")
_LEADS_SOMEWHERE = re.compile(r"[/:.#?&@%\\<]|\A\(\s*\)")
_AUTOLINK = re.compile(r"<([A-Za-z][\w+.-]*:[^\s<>]*|[^\s<>@]+@[^\s<>]+)>")
_ELEMENT = re.compile(r"<((?:\w+:)?[\w-]+)")
_THOUGHTS = re.compile(r"<(?:think|thinking|reasoning)>", re.I)  # at the beginning; elsewhere they are words
_TOOL_TOKEN_END = re.compile(r"<[|｜][^<>]*end[^<>]*[|｜]>", re.I)
_COMMENT_END = re.compile(r"-->")
_WORD_END = re.compile(r"(?=\s)")
_NEVER_SHOWN = r"(?:java|vb)script:|data:[\w/+;=.-]*[;,/]"
_ADDRESS = re.compile(
    rf"(?:{_NEVER_SHOWN})\S*|[\w+.-]*:/?/\S*|(?:mailto|tel|sms|blob):[\w+]\S*|(?<![\w/.])//+[\w-]+[.:/]\S*"
    r"|\bwww\.\S*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+\S*|(?:[\w-]+\.)+[A-Za-z]{2,24}(?::\d+)?[/?#]\S+",
    re.I,
)
_ACTIVE = re.compile(_NEVER_SHOWN, re.I)
_CLOSING = ".,;:!?)>'\"*_`}|"
_PUNCTUATION = re.compile(r"[.,;!?)。，、；！？）]+")
_CLOSER = re.compile(r"[\]］】〕〗⟧]")
_DEFINING = re.compile(r"[\s>*+\d.)-]*\[")  # a line that could define what a reference links to


class PlainText:
    """Plain text of a stream, word by word. Each character is looked at a bounded number of times.

    `shown`: texts whose addresses may be repeated.
    """

    def __init__(self, shown: Sequence[str] = ()) -> None:
        self._shown = shown
        self._held = ""
        self._space = ""  # white space that is due before the next word
        self._gap = False
        self._bracket = False  # whether the bracket that was written last opens no markup
        self._ended = False
        self._left_open: list[str] = []  # names of tags that were left out, whose closing ones are still to come
        self._growing = False  # what was written last ends in an address: what came at once would be a part of it
        self._until: re.Pattern[str] | None = None  # the end of what is being left out
        self._written = ""  # the last characters that were written
        self._line = ""  # the beginning of the line

    @property
    def leaving_out(self) -> bool:
        """Whether the text is inside an element that is removed."""
        return self._until is not None

    def feed(self, text: str) -> str:
        self._held += _UNSEEN.sub("", text)
        return self._read(final=False)

    def flush(self, *, ended: bool = False) -> str:
        """The buffered text, without white space: the next text is not part of it. `ended`: there is no next text."""
        self._ended = ended
        return self._read(final=True)

    def literal(self, text: str) -> str:
        """Adds words of a document unchanged."""
        flushed = self.flush()
        if self._until or not text:
            return flushed
        kept = text.strip()
        self._space += text[: len(text) - len(text.lstrip())]
        space = self._due(closes=_PUNCTUATION.match(kept) is not None) if kept else ""
        self._growing = False
        self._remember(space + kept)
        self._space += text[len(text.rstrip()) :] if kept else ""
        return flushed + space + kept

    def leave_out(self) -> str:
        """Records that something is removed here; returns the buffered text."""
        flushed = self.flush()
        self._gap = True
        return flushed

    def footnote(self, text: str) -> str:
        """One of our footnotes, with the white space before it."""
        space = self._space if self._written else ""
        if (space and self._gap and "\n" not in space) or (self._growing and not space):
            space = " "
        self._space, self._gap, self._growing = "", False, False
        self._remember(space + text)
        return space + text

    def _read(self, *, final: bool) -> str:
        at, out = 0, []
        while at < len(self._held):
            read = self._token(at, final=final)
            if read is None:
                break
            end, piece = read
            out.append(piece)
            at = end
        self._held = self._held[at:]
        return "".join(out)

    def _token(self, at: int, *, final: bool) -> tuple[int, str] | None:
        """Where the token ends that begins here, and what is shown of it; None if more of it may come."""
        held = self._held
        if self._until:
            return self._left_out(at, self._until, final=final)
        if space := _SPACE.match(held, at):
            self._space += space[0]
            return space.end(), ""
        if held[at] == "<":
            read = self._opening(at, final=final)
            if read is None or read[0] > at:
                return read
        if held[at] == "(" and self._written.endswith("]") and not self._space and not self._gap:
            if target := _TARGET.match(held, at, at + LONGEST):
                if _LEADS_SOMEWHERE.search(target[0]):
                    self._gap = True
                    return target.end(), ""
            elif not final and self._may_grow(_OPEN_TARGET, at):
                return None
        word = _WORD.match(held, at)
        return self._word(word, final=final) if word else (at + 1, "")

    def _may_grow(self, pattern: re.Pattern[str], at: int) -> bool:
        return len(self._held) - at < LONGEST and pattern.fullmatch(self._held, at) is not None

    def _left_out(self, at: int, until: re.Pattern[str], *, final: bool) -> tuple[int, str] | None:
        if ended := until.search(self._held, at):
            self._until = None
            return ended.end(), ""
        if final:
            self._until = None if until is _WORD_END else until
            return len(self._held), ""
        rest = len(self._held) - _KEPT
        return (rest, "") if rest > at else None

    def _opening(self, at: int, *, final: bool) -> tuple[int, str] | None:
        """As `_token`. If the end is `at` itself, the bracket is a character like any other."""
        if tag := _TAG.match(self._held, at, at + LONGEST):
            return self._tag(tag, final=final)
        if self._may_grow(_OPEN_TAG, at):
            if not final:
                return None
            self._bracket = self._ended and tags.kind(f"{self._held[at:]}>", self._before) == "words"
        return at, ""

    @property
    def _before(self) -> str:
        return " " if self._space or self._gap else self._written[-1:]

    def _tag(self, match: re.Match[str], *, final: bool) -> tuple[int, str] | None:
        """As `_opening`."""
        tag, end = match[0], match.end()
        autolink = _AUTOLINK.fullmatch(tag)
        if autolink and _ADDRESS.match(autolink[1]):
            return end, self._autolink(autolink[1])
        if not self._written and _THOUGHTS.fullmatch(tag):
            return self._leave_out_element(end, tag)
        kind = tags.kind(tag, self._before)
        closes = tag[2:-1].strip().lower() if tag.startswith("</") else ""
        if closes and closes in self._left_open:
            self._left_open.remove(closes)
            kind = "gone"
        match kind:
            case "call":
                return self._leave_out_element(end, tag)
            case "element":
                return self._element(match, final=final)
            case "gone":
                self._gap = True
                if tag.startswith("<!--") and not tag.endswith("-->"):
                    self._until = _COMMENT_END
                elif (named := _ELEMENT.match(tag)) and not tag.endswith("/>"):
                    self._left_open = [*self._left_open[-_MOST_OPEN:], named[1].lower()]
                return end, ""
        self._bracket = kind == "words"
        return match.start(), ""

    def _autolink(self, address: str) -> str:
        known = address in self._known and not _ACTIVE.match(address)
        if not known:
            self._gap = True
            return self._write(address if address.isascii() else "…")
        self._bracket = True
        return self._write("<") + self._write(f"{address}>")

    def _element(self, match: re.Match[str], *, final: bool) -> tuple[int, str] | None:
        """Left out with what it holds if that ends soon; otherwise only the tag is, or its bracket set apart."""
        named = _ELEMENT.match(match[0])
        assert named is not None
        if closed := re.compile(rf"</{named[1]}\s*>", re.I).search(self._held, match.end(), match.start() + LONGEST):
            self._gap = True
            return closed.end(), ""
        if not final and len(self._held) - match.start() < LONGEST:
            return None
        self._gap = "=" in match[0] or self._gap
        return match.end() if "=" in match[0] else match.start(), ""

    def _leave_out_element(self, end: int, tag: str) -> tuple[int, str]:
        self._gap = True
        if named := _ELEMENT.match(tag):
            if not tag.endswith("/>"):
                self._until = re.compile(rf"</{re.escape(named[1])}\s*>", re.I)
        else:
            self._until = _TOOL_TOKEN_END
        return end, ""

    def _word(self, match: re.Match[str], *, final: bool) -> tuple[int, str] | None:
        word, end = match[0], match.end()
        if end == len(self._held) and not final and word.isascii() and word not in "<[]":
            if len(word) < LONGEST:
                return None
            end -= 0 if _ADDRESS.search(word) else _KEPT
            if end == match.end():
                self._until = _WORD_END
            word = self._held[match.start() : end]
        if word.endswith("!") and self._held[end : end + 1] == "[":
            word = word[:-1]
        return end, self._write(word)

    def _address(self, found: re.Match[str]) -> str:
        address = _trimmed(found[0])
        known = address in self._known and not _ACTIVE.match(address)
        behind = found[0][len(address) :]
        self._growing = self._growing or (known and ">" not in behind)
        return address + behind if known else "…" + behind.replace(":", "")

    @cached_property
    def _known(self) -> set[str]:
        return {_trimmed(address) for text in self._shown for address in _ADDRESS.findall(text)}

    def _write(self, word: str) -> str:
        """The word with the white space that is due, and with some where two characters must not meet."""
        apart, self._growing = self._growing, False
        word = _ADDRESS.sub(self._address, word) if word.isascii() else word
        if not word:
            return ""
        space = self._due(closes=_PUNCTUATION.fullmatch(word) is not None)
        if not space and (apart or self._meets(word)):
            space = " "
        self._remember(space)
        shown = [space]
        start = 0
        for closer in _CLOSER.finditer(word):
            self._remember(word[start : closer.end()])
            broken = reads_as_marker(self._written)
            shown.append(word[start : closer.start()] + ("…" if broken else "") + closer[0])
            start = closer.end()
        self._remember(word[start:])
        return "".join([*shown, word[start:]])

    def _due(self, *, closes: bool) -> str:
        """The white space before a word: what was written there, or what stands for something left out.

        `closes`: it is punctuation, which follows at once.
        """
        space, self._space = self._space if self._written else "", ""
        if self._gap:
            self._gap = False
            if closes:
                return ""
            if self._written:
                return space if "\n" in space else " "
        return space

    def _meets(self, word: str) -> bool:
        before, after = self._written[-1:], word[0]
        bracket, self._bracket = self._bracket, self._bracket and word == "<"
        if before == "]":
            return after == "(" or (after == ":" and _DEFINING.match(self._line) is not None)
        return before == "<" and not bracket and (after.isalpha() or after in "/!?|")

    def _remember(self, text: str) -> None:
        self._written = (self._written + text)[-_REMEMBERED:]
        *_, line = text.rpartition("\n")
        self._line = line if "\n" in text else (self._line + line)[:_REMEMBERED]


def _trimmed(address: str) -> str:
    """The address without the punctuation of the sentence around it."""
    trimmed = address.rstrip(_CLOSING)
    return trimmed + ")" if "(" in trimmed and address.startswith(")", len(trimmed)) else trimmed
