"""A model's thoughts before its answer, in the forms that chat templates let through.

Thoughts are at the beginning: `<think>...</think>` and its relatives, or messages of another channel than the final
one. The same tags later in an answer are ordinary words. Some templates put the opening tag into the prompt; then
only the closing one is seen, and the text before it is held back until then (ADR 25).
"""

import re
from collections.abc import Iterator

_NAME = r"(?:[\w-]+:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|inner_monologue|analysis)"
_KIND = r"(?:thoughts?|think(?:ing)?|reasoning)"
# What opens thoughts, and what ends them; `\1` is the name that opened them.
_FORMS = [
    (re.compile(opens, re.I), ends)
    for opens, ends in (
        (rf"<({_NAME})(?:\s[^<>]{{0,100}})?>", r"</\1\s*>"),
        (r"<(details)\s[^<>]{0,40}type=.?reasoning[^<>]{0,60}>", r"</\1\s*>"),
        (r"\[(think(?:ing)?|reasoning)\]", r"\[/\1\]"),
        (r"◁(think(?:ing)?)▷", r"◁/\1▷"),
        (rf"<\|(?:begin_of_|start_of_|start_)?({_KIND})\|>", r"<\|(?:/|end_of_|end_)\1\|>"),
        (rf"<\|({_KIND})_(?:start|begin)\|>", r"<\|\1_end\|>"),
        (r"<(unused94)>", r"<unused95>"),
        (r"<\|(channel)>", r"<channel\|>"),
        (r"(?-i:(Here)(?: is|'s) my thought process:)", r"Here(?: is|'s) my response:\s*"),
        (r"(?-i:(Here) are my reasoning steps:)", r"(?=\[BEGIN FINAL RESPONSE\])"),
        # A channel's tokens, where a server has left them out: `analysisWe need ... assistantfinalThe lamp`.
        (r"(?-i:(analysis)(?=[A-Z\"']))", r"(?-i:assistantfinal)"),
    )
]


def _beginnings(*phrases: str) -> str:
    """A pattern for all texts that may become one of the phrases."""
    starts = (phrase[:size] for phrase in phrases for size in range(len(phrase), 0, -1))
    return "|".join(re.escape(start) for start in dict.fromkeys(starts))


_LONGEST_OPENER = 160
_LONGEST_CLOSER = 40
_OPENING = re.compile(
    r"<[^<>]*\Z|\[[^\[\]\s]*\Z|◁[^▷]*\Z|(?:"
    + _beginnings(
        "analysis", *(f"Here{be} my thought process:" for be in (" is", "'s")), "Here are my reasoning steps:"
    )
    + r")\Z"
)
_WRAPPER = re.compile(r"<(answer|response|final_answer|final|solution|output)>|\[BEGIN (FINAL RESPONSE)\]", re.I)
_LONE = re.compile(
    rf"</(?:[\w-]+:)?(?:think(?:ing)?|thoughts?|reasoning)\s*>|\[/(?:think(?:ing)?|reasoning)\]|◁/think(?:ing)?▷"
    rf"|<\|(?:/|end_of_|end_){_KIND}\|>|<unused95>|<channel\|>",
    re.I,
)
_QUOTES = "`\"'“”‘’«»"
_CHANNEL = re.compile(r"<\|(start|end|return|call|channel|message|constrain)\|>")
_CHANNEL_BEGUN = re.compile(r"<(?:\|[a-z]*\|?)?\Z")


class Thoughts:
    """Removes the thoughts from an answer that arrives in pieces.

    `holds`: nothing is returned until it is known whether a lone closing tag marks the text as thoughts. `unmarked`:
    afterwards, whether one did. `thought`: whether there were thoughts at all.
    """

    def __init__(self, *, holds: bool) -> None:
        self._holds = holds
        self._held = ""
        self._ends: re.Pattern[str] | None = None  # of the thoughts that are being left out
        self._channels: _Channels | None = None
        self._wrapper: re.Pattern[str] | None = None
        self._begun = False  # the answer itself
        self._shown = ""
        self.thought = self.unmarked = False

    def feed(self, text: str) -> str:
        self._held += text
        return self._read(final=False)

    def close(self, *, ended: bool = True) -> str:
        """The text that was held back. Unless the thoughts certainly `ended`, it is a thought without an end."""
        if self._holds and not ended and not any(self._lone()):
            self._taken()
            self.thought = self.unmarked = True
            return ""
        return self._read(final=True)

    @property
    def late(self) -> bool:
        """Whether a closing tag on its own line shows, too late, that the returned text was thoughts."""
        return not self.unmarked and any(
            self._shown[: lone.start()].endswith("\n") and self._shown[lone.end() :].startswith("\n")
            for lone in _LONE.finditer(self._shown)
            if not _is_mention(self._shown, lone)
        )

    def _read(self, *, final: bool) -> str:
        if self._channels:
            return self._channels.feed(self._taken(), final=final)
        while not self._begun:
            if self._ends is not None:
                if not (ended := self._ends.search(self._held)):
                    self._held = self._held[-_LONGEST_CLOSER:]
                    return ""
                self._held, self._ends = self._held[ended.end() :], None
            if not self._opened(final=final):
                return ""
            if self._channels:
                return self._read(final=final)
        if self._holds and not self._released(final=final):
            return ""
        return self._answer(final=final)

    def _opened(self, *, final: bool) -> bool:
        """Whether the held text begins thoughts or the answer; otherwise more text is needed."""
        held = self._held.lstrip()
        if _CHANNEL.match(held):
            self._channels, self.thought = _Channels(), True
            return True
        for opens, ends in _FORMS:
            if opened := opens.match(held):
                self._ends = re.compile(ends.replace(r"\1", re.escape(opened[1])), re.I)
                self._held, self.thought, self._holds = held[opened.end() :], True, False
                return True
        if not final and (not held or (len(held) < _LONGEST_OPENER and _OPENING.match(held))):
            return False
        self._begun = True
        if self.thought:
            self._held = held
            if wrapper := _WRAPPER.match(held):
                self._held = held[wrapper.end() :].lstrip()
                self._wrapper = re.compile(rf"(?:</{wrapper[1]}>|\[END {wrapper[2]}\])\s*", re.I)
        return True

    def _released(self, *, final: bool) -> bool:
        """Whether it is known which part of the held text is the answer."""
        lone = next(self._lone(), None)
        if lone is None:
            return final
        if len(self._held) < lone.end() + 2 and not final:
            return False  # the next characters may show that the tag is only mentioned
        self._held = self._held[lone.end() :].lstrip()
        self.thought = self.unmarked = True
        self._holds = False
        return True

    def _lone(self) -> Iterator[re.Match[str]]:
        return (lone for lone in _LONE.finditer(self._held) if not _is_mention(self._held, lone))

    def _answer(self, *, final: bool) -> str:
        if self._wrapper:
            self._held = self._wrapper.sub("", self._held)
            begun = max(self._held.rfind(mark) for mark in "<[")
            if not final and begun >= 0 and len(self._held) - begun < _LONGEST_CLOSER:
                shown, self._held = self._held[:begun], self._held[begun:]
                self._shown += shown
                return shown
        if self.unmarked and not self._shown:
            self._held = self._held.lstrip()
        shown = self._taken()
        self._shown += shown
        return shown

    def _taken(self) -> str:
        taken, self._held = self._held, ""
        return taken


class _Channels:
    """Messages with a header each, of which those of the channel `final` are the answer (OpenAI's harmony format)."""

    def __init__(self) -> None:
        self._held = ""
        self._header: str | None = ""  # the text before a message; None within it
        self._final = False

    def feed(self, text: str, *, final: bool) -> str:
        self._held += text
        shown, at = "", 0
        for token in _CHANNEL.finditer(self._held):
            shown += self._said(self._held[at : token.start()])
            at = token.end()
            if token[1] == "message":
                self._final = "final" in (self._header or "").split()
                self._header = None
            else:
                self._header = ""
        begun = None if final else _CHANNEL_BEGUN.search(self._held, at)
        end = begun.start() if begun else len(self._held)
        shown += self._said(self._held[at:end])
        self._held = self._held[end:]
        return shown

    def _said(self, text: str) -> str:
        if self._header is not None:
            self._header = (self._header + text)[:200]
            return ""
        return text if self._final else ""


def _is_mention(text: str, lone: re.Match[str]) -> bool:
    """Whether the closing tag is only mentioned: quoted, within a sentence, or after the tag that it closes."""
    before, behind = text[: lone.start()], text[lone.end() :]
    name = lone[0].lower().strip("</>[]◁▷| ").removeprefix("end_of_").removeprefix("end_")
    return (
        (before != "" and behind != "" and before[-1] in _QUOTES and behind[0] in _QUOTES)
        or re.search(rf"[<\[◁|_]{re.escape(name)}\b[^/<]{{0,100}}[>\]▷]", before, re.I) is not None
        or (re.search(r"\w \Z", before) is not None and re.match(r" [a-z]", behind) is not None)
    )
