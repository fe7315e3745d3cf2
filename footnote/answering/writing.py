"""An answer as a generator writes it, and a second try where a model gave no source.

A model that was not seen to cite is not shown before its first footnote. So nothing has to be taken back when its
answer has none: it is asked once more with a shorter prompt, and the answer with sources is shown. A model that cited
in its last answer is shown at once. What is asked again is counted like any call (ADR 52).
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from footnote.answering.cited_text import Draft
from footnote.answering.events import Event
from footnote.citations import unmarked
from footnote.errors import FootnoteError
from footnote.providers import (
    GenerationRequest,
    ModelRef,
    Nearest,
    Statement,
    Token,
    Truncated,
    Uncounted,
    Usage,
)
from footnote.providers.extractive import EXTRACTIVE
from footnote.runtime import Runtime
from footnote.telemetry import log

MOST_MODELS = 32  # of which it is remembered whether they cite
MOST_HELD = 4000  # characters that are buffered; a longer answer is shown unchanged
LONGEST_REFUSAL = 400  # characters
_DECLINES = re.compile(
    r"\b(?:do|does|did|is|are|was|were|can|could)(?: not|n['’]t)\b|\b(?:cannot|unable to)\b"
    r"|\bnot (?:found|available|known)\b|\bno (?:information|mention|answer|source|evidence|details?)\b"
    r"|\b(?:nicht|keine?[nrs]?|aucune?)\b|\b(?:ne|n['’]\w+)\b.{0,40}\bpas\b"
    r"|\bno (?:contiene|menciona|hay|se|proporciona|dispon|sé)|没有|沒有|不包含|无法|ありません|ません|없습니다|ไม่",
    re.I,
)

Spent = Usage | Uncounted | ModelRef


@dataclass
class _Try:
    """One answer: decides which of its text is shown."""

    draft: Draft
    events: list[Event] = field(default_factory=list)
    truncated: bool = False


class Writing:
    """Writes one answer. At the end `draft` is the answer that was shown."""

    def __init__(self, rt: Runtime, request: GenerationRequest, draft: Callable[[], Draft], writer: ModelRef) -> None:
        self._rt = rt
        self._request = request
        self._new_draft = draft
        self._writer = writer
        self._best = _Try(draft())
        self._shown = False

    @property
    def draft(self) -> Draft:
        return self._best.draft

    @property
    def truncated(self) -> bool:
        return self._best.truncated

    async def events(self) -> AsyncGenerator[Event | Spent, None]:
        """Raises what the generator raises in the first try, after what it wrote."""
        try:
            async with aclosing(self._first()) as first:
                async for each in first:
                    yield each
            self._remember()
            if not self._shown and self._writer.provider != EXTRACTIVE:
                async with aclosing(self._improved()) as further:
                    async for spent in further:
                        yield spent
        except Exception:
            for event in self._released():
                yield event
            raise
        for event in self._released():
            yield event

    async def _first(self) -> AsyncGenerator[Event | Spent, None]:
        async with aclosing(self._attempt(self._request, self._best)) as attempt:
            async for each in attempt:
                if isinstance(each, ModelRef):
                    self._writer = each
                if isinstance(each, Spent):
                    yield each
                elif self._may_show():
                    for event in self._released():
                        yield event

    def _released(self) -> Sequence[Event]:
        events, self._best.events, self._shown = self._best.events, [], True
        return events

    def _may_show(self) -> bool:
        if self._shown or self._writer.provider == EXTRACTIVE:
            return True
        if len(self.draft.text) > MOST_HELD:
            return True
        cites = bool(self.draft.footnotes) or self._rt.citing.get(self._writer, False)
        return cites and self._rt.settings.answer_repair == "off"

    def _remember(self) -> None:
        if not self.draft.footnotes and _declines(self.draft.text):
            return
        known = self._rt.citing
        if self._writer not in known and len(known) >= MOST_MODELS:
            del known[next(iter(known))]
        known[self._writer] = bool(self.draft.footnotes)

    async def _improved(self) -> AsyncGenerator[Spent, None]:
        """Asks again if no sentence has a source, and on request if some have none. The better answer is shown."""
        first = self._best
        if not first.draft.footnotes and first.draft.text.strip() and not _declines(first.draft.text):
            async with aclosing(self._again(replace(self._request, brief=True, history=()))) as spent:
                async for each in spent:
                    yield each
        if self._rt.settings.answer_repair == "on" and _uncited(self.draft):
            async with aclosing(self._again(replace(self._request, draft=unmarked(self.draft.text)))) as spent:
                async for each in spent:
                    yield each

    async def _again(self, request: GenerationRequest) -> AsyncGenerator[Spent, None]:
        other = _Try(self._new_draft())
        try:
            async with aclosing(self._attempt(request, other)) as spent:
                async for each in spent:
                    if isinstance(each, Spent):
                        yield each
        except FootnoteError as error:
            log.warning("the first answer is shown", error=f"{type(error).__name__}: {error}"[:200])
            return
        if other.draft.footnotes and _uncited(other.draft) < max(1, _uncited(self.draft)):
            self._best = other

    async def _attempt(self, request: GenerationRequest, into: _Try) -> AsyncGenerator[Event | Spent, None]:
        """Yields what is spent, and each event once it is in `into`."""
        async with aclosing(self._rt.generator.generate(request)) as events:
            async for event in events:
                match event:
                    case Token(text) if into.draft.may_look_up(text):
                        rendered = await asyncio.to_thread(into.draft.feed, text)
                    case Token(text):
                        rendered = into.draft.feed(text)
                    case Statement(text, marker, quote):
                        rendered = into.draft.state(text, marker, quote)
                    case Nearest(part):
                        rendered = into.draft.lead_in(nearest(request.not_mentioned, part))
                    case Truncated():
                        into.truncated, rendered = True, []
                    case Usage() | Uncounted() | ModelRef():
                        yield event
                        continue
                    case _:
                        continue
                into.events += rendered
                for each in rendered:
                    yield each
        rendered = await asyncio.to_thread(into.draft.close)
        into.events += rendered
        for each in rendered:
            yield each


def nearest(missing: Sequence[str], part: str) -> str:
    """The words before passages that do not answer the question, or this part of it."""
    nothing = f"These documents do not mention {listed(missing)}; these" if missing else "These"
    return f"{nothing} passages come closest{f' to “{part}”' if part else ''}:"


def listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _declines(text: str) -> bool:
    """Whether a short answer says that there is none."""
    return len(text) < LONGEST_REFUSAL and _DECLINES.search(text) is not None


def _uncited(draft: Draft) -> int:
    """Sentences without a footnote whose quote is on its page."""
    return sum(each.reason in ("no_footnote", "quote_not_found") for each in draft.unsupported)
