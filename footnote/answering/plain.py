"""A model's words as plain text: what it invents besides words never leaves the server.

HTML, images, the targets of links and calls of tools are left out, addresses too unless they stand literally in a
passage that was shown; then they are plain text. What is left out leaves a gap, so that what stood around it does
not close up to a tag, a link, an address or a footnote. Code is no exception.
"""

import re
from collections.abc import Sequence
from functools import cached_property

from footnote.citations import reads_as_marker

LONGEST = 512  # characters of a word, tag or target; what is longer is held back no further
_KEPT = 64  # of a longer word: an address may begin in them
_REMEMBERED = 256

_UNSEEN = re.compile("[\u00ad\u200b\u2060-\u2069\u202a-\u202e\ufeff\U000e0000-\U000e007f]")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[!-;=-Z\\^-~]+|[^\x00-\x7f\s]+|[^\s]")  # of ASCII, brackets aside; of other characters; a bracket
_TAG = re.compile(r"<[A-Za-z/!?|][^<>]*>")
_OPEN_TAG = re.compile(r"<(?:[A-Za-z/!?|][^<>]*)?")
_TARGET = re.compile(r"\((?:[^()\n]|\([^()\n]*\))*\)")
_OPEN_TARGET = re.compile(r"\((?:[^()\n]|\([^()\n]*\))*(?:\([^()\n]*)?")
_LEADS_SOMEWHERE = re.compile(r"[/:.#?&@%\\<]|\A\(\s*\)")
_AUTOLINK = re.compile(r"<([A-Za-z][\w+.-]*:[^\s<>]*|[^\s<>@]+@[^\s<>]+)>")
# Elements whose content is not for readers either, what some models write for themselves first among them.
_ELEMENT = re.compile(
    r"<((?:\w+:)?(?:script|style|iframe|object|svg|math|template|textarea|title|think|thinking|reasoning"
    r"|(?:tool|function|invoke)[\w-]*))\b",
    re.I,
)
_TOOL_TOKEN = re.compile(r"<\|[^<>]*(?:tool|python_tag|function)[^<>]*\|>", re.I)
_TOOL_TOKEN_END = re.compile(r"<\|[^<>]*end[^<>]*\|>", re.I)
_COMMENT_END = re.compile(r"-->")
_WORD_END = re.compile(r"(?=\s)")
_NEVER_SHOWN = r"(?:java|vb)script:|data:[\w/+;=.-]*[;,/]"
_ADDRESS = re.compile(
    rf"(?:{_NEVER_SHOWN})\S*|[\w+.-]*:/?/\S*|(?:mailto|tel|sms|blob):[\w+]\S*|(?<![\w/.])//+[\w-]+[.:/]\S*"
    r"|\bwww\.\S*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+\S*|(?:[\w-]+\.)+[A-Za-z]{2,24}(?::\d+)?[/?#]\S+",
    re.I,
)
_ACTIVE = re.compile(_NEVER_SHOWN, re.I)
_CLOSING = ".,;:!?)'\"*_`}|"
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
        self._growing = False  # what was written last ends in an address: what came at once would be a part of it
        self._until: re.Pattern[str] | None = None  # what ends that which is being left out
        self._written = ""  # the end of it
        self._line = ""  # the beginning of the line

    @property
    def leaving_out(self) -> bool:
        """Whether what comes now is part of what is left out."""
        return self._until is not None

    def feed(self, text: str) -> str:
        self._held += _UNSEEN.sub("", text)
        return self._read(final=False)

    def flush(self) -> str:
        """What is held back, for what comes next is no part of it; white space aside."""
        return self._read(final=True)

    def leave_out(self) -> str:
        """Something is left out here."""
        flushed = self.flush()
        self._gap = True
        return flushed

    def footnote(self, text: str) -> str:
        """A footnote of ours, with the white space before it."""
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
            if tag := _TAG.match(held, at, at + LONGEST):
                return tag.end(), self._tag(tag[0])
            if not final and self._may_grow(_OPEN_TAG, at):
                return None
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

    def _tag(self, tag: str) -> str:
        self._gap = True
        if link := _AUTOLINK.fullmatch(tag):
            return self._write(link[1] if link[1].isascii() else "…")
        if element := _ELEMENT.match(tag):
            if not tag.endswith("/>"):
                self._until = re.compile(rf"</{re.escape(element[1])}\s*>", re.I)
        elif _TOOL_TOKEN.match(tag):
            self._until = _TOOL_TOKEN_END
        elif tag.startswith("<!--") and not tag.endswith("-->"):
            self._until = _COMMENT_END
        return ""

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
        self._growing = self._growing or known
        behind = found[0][len(address) :]
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
        space, self._space = self._space if self._written else "", ""
        if self._gap:
            self._gap = False
            if _PUNCTUATION.fullmatch(word):
                space = ""
            elif self._written:
                space = space if "\n" in space else " "
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

    def _meets(self, word: str) -> bool:
        before, after = self._written[-1:], word[0]
        if before == "]":
            return after == "(" or (after == ":" and _DEFINING.match(self._line) is not None)
        return before == "<" and (after.isalpha() or after in "/!?|")

    def _remember(self, text: str) -> None:
        self._written = (self._written + text)[-_REMEMBERED:]
        *_, line = text.rpartition("\n")
        self._line = line if "\n" in text else (self._line + line)[:_REMEMBERED]


def _trimmed(address: str) -> str:
    """The address without the punctuation of the sentence around it."""
    trimmed = address.rstrip(_CLOSING)
    return trimmed + ")" if "(" in trimmed and address.startswith(")", len(trimmed)) else trimmed
