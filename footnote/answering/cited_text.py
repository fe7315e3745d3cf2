"""The answer while it is written, and its footnotes; each quote is checked as soon as its marker is complete."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import citations
from footnote.answering.agreement import QuotedText
from footnote.answering.events import AnswerStatus, Citation, Delta, Event
from footnote.answering.missing_citations import best_quote, source_of
from footnote.answering.prompt_leaks import PromptLeakFilter
from footnote.answering.sanitizer import PlainText
from footnote.answering.support import FootnoteSpan, UnsupportedSentence, unsupported
from footnote.citations import CodeIndex, JsonAnswer, Marker, MarkerParser, Part, SourceList
from footnote.database.tenant_scope import tenant_of
from footnote.formats import has_pictures
from footnote.retrieval import Hit
from footnote.text import sentences

LONGEST_SENTENCE = 1000  # characters; a longer one is not looked up
_ENDS = re.compile(r"[.!?…。！？\n]")
_LOOKED_UP = re.compile(r"[\])>】］⁰¹²³⁴-⁹]")
_QUOTED_LINE = re.compile(r"(?:\A|\s*\n)\s*>\s?")  # as sources are shown to the model

BEFORE = 3_000  # characters before a passage that may hold the head of its table
AROUND = 10_000  # characters of the page to either side of a passage, in which a quote may stand as well


@dataclass(frozen=True)
class PageExcerpt:
    """The text of the stored page at the place of a chunk, and around it."""

    text: str
    start: int  # of `text` in the page
    media_type: str
    outline: Sequence[Any] = ()  # sections in it: start and end in the page, and headings

    def heading(self, place: int) -> str | None:
        """The headings above a place of the page, if they are stored."""
        paths = (headings for start, end, headings in self.outline if start <= place < end)
        return next((" > ".join(each) for each in paths), None if not self.outline else "")

    def before(self, place: int) -> str:
        """The text before a position of the page, far enough to contain the header of a table."""
        end = place - self.start
        return self.text[max(0, end - BEFORE) : end] if end > 0 else ""


class Draft:
    """The answer while it is written: cited passages become footnotes, numbered in order of appearance."""

    def __init__(
        self,
        hits: Sequence[Hit],
        excerpts: dict[str, PageExcerpt],
        prompts: Sequence[str] = (),
        question: str = "",
        parts: int = 1,
    ) -> None:
        self.text = ""
        self.unanswered = 0  # parts of the question to which it is only near
        self.footnotes: dict[tuple[str, str], Citation] = {}
        self.hits = hits
        self._excerpts = excerpts
        self._shown = [f"{hit.place}\n{hit.text}" for hit in hits]
        self._prompts = prompts
        self._question = question
        self._parts = parts
        self._json = JsonAnswer()
        self._list = SourceList([hit.filename for hit in hits])
        self._parser = MarkerParser(len(hits))
        self._plain = PlainText(self._shown)
        self._echo = PromptLeakFilter(prompts)
        self._sentence = ""  # since the last marker
        self._claim = ""  # the text before the last marker; another marker may follow at once
        self._stand: list[FootnoteSpan] = []  # of the footnotes, in order
        self._evidence: dict[int, QuotedText] = {}  # by the number of a verified footnote
        self._uncited = ""  # the beginning of a sentence that has no footnote yet

    def feed(self, text: str) -> list[Event]:
        """Adds text of the model."""
        return self._render(self._parser.feed(self._list.feed(self._json.feed(text))))

    def may_look_up(self, text: str) -> bool:
        """Whether feeding the text may take tens of milliseconds, because a sentence or a marker ends."""
        return _LOOKED_UP.search(text) is not None or _ENDS.search(self._uncited) is not None

    def lead_in(self, words: str) -> list[Event]:
        """Words of our own that announce what follows; they end in a colon, because they claim nothing."""
        self.unanswered += 1
        apart = self._plain.feed("\n\n" if self.text else "")
        events = self._write(apart + self._plain.literal(words))
        self._uncited = ""
        return events

    def close(self) -> list[Event]:
        last = self._list.feed(self._json.close()) + self._list.close()
        events = self._render(self._parser.feed(last)) + self._render(self._parser.close())
        events += self._write(self._plain.flush(ended=True)) + self._write("", flush=True) + self._resolved()
        if self.text and not self.footnotes:
            self._claim = self._sentence
            listed = (Marker(*each) for each in self._list.listed if each[0] in self._numbers)
            events += [event for marker in listed for event in self._footnote(*self._source(marker), " ")]
        return events

    def state(self, claim: str, number: int, quote: str) -> list[Event]:
        """Adds a sentence with its footnote. Markers in the sentence are the source's own: they are left out."""
        start = len(self.text)
        parser, events = MarkerParser(), self._write(self._plain.feed(" " if self.text else ""))
        for part in [*parser.feed(claim), *parser.close()]:
            events += self._said(part, literally=True)
        return events + self._write(self._plain.feed(" ")) + self._cite(Marker(number, quote), start)

    @cached_property
    def unsupported(self) -> list[UnsupportedSentence]:
        """Of the complete answer."""
        return unsupported(self.text, self._stand, "\n".join([self._question, *self._shown]))

    @property
    def status(self) -> AnswerStatus:
        verified = [footnote.verified for footnote in self.footnotes.values()]
        if not any(verified):
            return "not_found"
        if self.unanswered >= self._parts:
            return "related"
        return "supported" if all(verified) and not self.unsupported and not self.unanswered else "partial"

    def _render(self, parts: Iterable[Part]) -> list[Event]:
        return [
            event for part in parts for event in (self._cite(part) if isinstance(part, Marker) else self._said(part))
        ]

    def _said(self, part: Part, *, literally: bool = False) -> list[Event]:
        match part:
            case Marker():
                return self._write(self._plain.leave_out(), literally=literally)
            case CodeIndex(words):
                return self._write(self._plain.literal(words), literally=literally)
        return self._write(self._plain.literal(part) if literally else self._plain.feed(part), literally=literally)

    def _write(self, plain: str, *, flush: bool = False, literally: bool = False) -> list[Event]:
        """Shows text. A sentence of the model that ends in it without a footnote gets one before the next begins."""
        shown, events = self._echo.feed(plain) + (self._echo.flush() if flush else ""), list[Event]()
        while not literally and (end := _first_end(self._uncited + shown)):
            cut = max(0, end - len(self._uncited))
            events += self._show(shown[:cut]) + self._resolved()
            shown = shown[cut:]
        return events + self._show(shown)

    def _show(self, text: str) -> list[Event]:
        self.text += text
        self._sentence += text
        self._uncited = self._uncited + text if len(self._uncited) < LONGEST_SENTENCE else text
        return [Delta(text)] if text else []

    def _resolved(self) -> list[Event]:
        """The footnote of a sentence that a passage says as well, for the one that the model left out."""
        sentence, self._uncited = self._uncited, ""
        source = source_of(sentence, self.hits) if self.text.count("```") % 2 == 0 else None
        return self._footnote(*source, " ") if source else []

    def _cite(self, marker: Marker, claimed_from: int | None = None) -> list[Event]:
        """Adds a footnote. A marker of a passage that was not retrieved never leaves the server."""
        events = self._write(self._plain.leave_out() if marker.number not in self._numbers else self._plain.flush())
        if marker.number not in self._numbers or self._plain.leaving_out:
            return events
        events += self._write("", flush=True)
        self._claim = self._sentence if sentences.words(self._sentence) else self._claim
        return events + self._footnote(*self._source(marker), claimed_from=claimed_from)

    def _source(self, marker: Marker) -> tuple[Hit, str]:
        """The passage that the marker names, or the one that has its quote; the quote, chosen if there is none."""
        named = self.hits[marker.number - 1]
        if quote := _QUOTED_LINE.sub(" ", marker.quote or "").strip():
            others = (hit for hit in (named, *self.hits) if self._place(hit, quote))
            return next(others, named), quote
        words = (each for each in citations.quoted(self._claim) if self._place(named, each))
        return named, next(words, "") or best_quote(self._claim, named)

    def _footnote(
        self, hit: Hit, quote: str, space: str | None = None, *, claimed_from: int | None = None
    ) -> list[Event]:
        """`space` before it, where it does not be at the end of what has been written."""
        known = self.footnotes.get((hit.chunk_id, quote))
        footnote = known or self._check(hit, quote)
        self.footnotes[hit.chunk_id, quote] = footnote
        mark = f"[{footnote.marker}]"
        delta = Delta(self._plain.footnote(mark) if space is None else space + mark)
        evidence = self._evidence.get(footnote.marker) if claimed_from is None else None
        start = len(self.text) if claimed_from is None else claimed_from
        self._stand.append(FootnoteSpan(start, len(self.text + delta.text), footnote.verified, evidence))
        self.text += delta.text
        self._sentence = self._uncited = ""
        return [delta] if known else [delta, footnote]

    @property
    def _numbers(self) -> range:
        return range(1, len(self.hits) + 1)

    def _excerpt(self, hit: Hit) -> tuple[PageExcerpt, tuple[int, int]]:
        """The page around the passage, and where the passage is in it."""
        place = self._excerpts.get(hit.chunk_id) or PageExcerpt("", hit.char_start, "")
        return place, (hit.char_start - place.start, hit.char_end - place.start)

    def _place(self, hit: Hit, quote: str) -> tuple[int, int] | None:
        place, near = self._excerpt(hit)
        return citations.locate(quote, place.text, near)

    def _check(self, hit: Hit, quote: str) -> Citation:
        place, near = self._excerpt(hit)
        found = self._place(hit, quote)
        start, end = found or near
        if found:
            self._evidence[len(self.footnotes) + 1] = QuotedText(place.text, start, end, hit.place)
        return Citation(
            marker=len(self.footnotes) + 1,
            document_id=hit.document_id,
            filename=hit.filename,
            version=hit.version,
            page_start=hit.page_start,
            page_end=hit.page_end,
            char_start=place.start + start,
            char_end=place.start + end,
            quote=place.text[start:end] if found else self._harmless(quote),
            verified=found is not None,
            score=hit.score,
            chunk_id=hit.chunk_id,
            drawn=bool(place.media_type) and has_pictures(place.media_type),
            heading=hit.heading if (heading := place.heading(place.start + start)) is None else heading,
        )

    def _harmless(self, quote: str) -> str:
        """A quote that is not on the page, sanitized as all words of the model are."""
        plain, echo = PlainText(self._shown), PromptLeakFilter(self._prompts)
        return echo.feed(plain.feed(quote) + plain.flush(ended=True)) + echo.flush()


def _first_end(text: str) -> int:
    """The end of the first sentence of the text, if another one begins after it; else 0."""
    if len(text) > 2 * LONGEST_SENTENCE or not _ENDS.search(text):
        return 0
    ends = [end for _, end in sentences.spans(text)]
    return ends[0] if len(ends) > 1 else 0


async def page_excerpts(session: AsyncSession, hits: Sequence[Hit]) -> dict[str, PageExcerpt]:
    """By chunk id, the text of the stored page around the chunk, in which quotes are checked."""
    if not hits:
        return {}
    rows = [
        (hit.chunk_id, hit.version_id, hit.page_start, max(0, hit.char_start - AROUND), hit.char_end + AROUND)
        for hit in hits
    ]
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    found = await session.execute(_SLICES, {"tenant": tenant_of(session)} | columns)
    return {row.chunk_id: PageExcerpt(row.text, row.char_start, row.media_type, row.outline or ()) for row in found}


_COLUMNS = ("chunks", "versions", "numbers", "starts", "ends")
_SLICES = text(
    """
    SELECT place.chunk_id, place.char_start, version.media_type,
           substr(page.text, place.char_start + 1, place.char_end - place.char_start) AS text,
           (SELECT jsonb_agg(each) FROM jsonb_array_elements(page.outline) AS each
            WHERE CAST(each->>0 AS int) < place.char_end AND CAST(each->>1 AS int) > place.char_start) AS outline
    FROM unnest(CAST(:chunks AS text[]), CAST(:versions AS text[]), CAST(:numbers AS int[]),
                CAST(:starts AS int[]), CAST(:ends AS int[]))
         AS place(chunk_id, version_id, number, char_start, char_end)
    JOIN page ON page.tenant_id = :tenant AND page.version_id = place.version_id AND page.number = place.number
    JOIN version ON version.id = page.version_id
    """
)
