"""The growing answer and its footnotes; the quote of each is checked when it is set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import citations
from footnote.answering.agreement import Evidence
from footnote.answering.events import AnswerStatus, Citation, Delta, Event
from footnote.answering.prompt_leaks import PromptLeakFilter
from footnote.answering.sanitizer import PlainText
from footnote.answering.support import Place, UnsupportedSentence, unsupported
from footnote.citations import Marker, MarkerParser
from footnote.database.tenant_scope import tenant_of
from footnote.formats import has_pictures
from footnote.retrieval import Hit
from footnote.text import sentences

BEFORE = 3_000  # characters before a passage that may hold the head of its table
AROUND = 10_000  # characters of the page to either side of a passage, in which a quote may stand as well


@dataclass(frozen=True)
class PageExcerpt:
    """The text of the stored page at the place of a chunk, and around it."""

    text: str
    start: int  # of `text` in the page
    media_type: str

    def before(self, place: int) -> str:
        """What stands before a place of the page, as far as the head of a table may be away."""
        end = place - self.start
        return self.text[max(0, end - BEFORE) : end] if end > 0 else ""


class Draft:
    """The answer as it grows: passages become footnotes, numbered in order of appearance."""

    def __init__(
        self,
        hits: Sequence[Hit],
        places: dict[str, PageExcerpt],
        prompts: Sequence[str] = (),
        question: str = "",
        parts: int = 1,
    ) -> None:
        self.text = ""
        self.unanswered = 0  # parts of the question to which it is only near
        self.footnotes: dict[tuple[str, str], Citation] = {}
        self.hits = hits
        self._places = places
        self._shown = [f"{hit.place}\n{hit.text}" for hit in hits]
        self._prompts = prompts
        self._question = question
        self._parts = parts
        self._parser = MarkerParser()
        self._plain = PlainText(self._shown)
        self._echo = PromptLeakFilter(prompts)
        self._sentence = ""  # since the last marker
        self._claim = ""  # the text before the last marker; another marker may follow at once
        self._stand: list[Place] = []  # of the footnotes, in order
        self._evidence: dict[int, Evidence] = {}  # by the number of a verified footnote

    def feed(self, text: str) -> list[Event]:
        """What a model writes."""
        return self._render(self._parser.feed(text))

    def lead_in(self, words: str) -> list[Event]:
        """Words of our own that tell what follows; they end in a colon, because they claim nothing."""
        self.unanswered += 1
        apart = self._plain.feed("\n\n" if self.text else "")
        return self._write(apart + self._plain.literal(words))

    def close(self) -> list[Event]:
        return (
            self._render(self._parser.close())
            + self._write(self._plain.flush(ended=True))
            + self._write("", flush=True)
        )

    def state(self, claim: str, number: int, quote: str) -> list[Event]:
        """Adds a sentence with its footnote. Markers in the sentence are the source's own: they are left out."""
        start = len(self.text)
        parser, events = MarkerParser(), self._write(self._plain.feed(" " if self.text else ""))
        for part in [*parser.feed(claim), *parser.close()]:
            events += self._write(self._plain.literal(part) if isinstance(part, str) else self._plain.leave_out())
        return events + self._write(self._plain.feed(" ")) + self._cite(Marker(number, quote), start)

    @property
    def unsupported(self) -> list[UnsupportedSentence]:
        return unsupported(self.text, self._stand, "\n".join([self._question, *self._shown]))

    @property
    def status(self) -> AnswerStatus:
        verified = [footnote.verified for footnote in self.footnotes.values()]
        if not any(verified):
            return "not_found"
        if self.unanswered >= self._parts:
            return "related"
        return "supported" if all(verified) and not self.unsupported and not self.unanswered else "partial"

    def _render(self, parts: Iterable[str | Marker]) -> list[Event]:
        events: list[Event] = []
        for part in parts:
            events += self._write(self._plain.feed(part)) if isinstance(part, str) else self._cite(part)
        return events

    def _write(self, plain: str, *, flush: bool = False) -> list[Event]:
        shown = self._echo.feed(plain) + (self._echo.flush() if flush else "")
        self.text += shown
        self._sentence += shown
        return [Delta(shown)] if shown else []

    def _cite(self, marker: Marker, claimed_from: int | None = None) -> list[Event]:
        """Adds a footnote. A marker of a passage that was not retrieved never leaves the server."""
        events = self._write(self._plain.leave_out() if marker.number not in self._numbers else self._plain.flush())
        if marker.number not in self._numbers or self._plain.leaving_out:
            return events
        events += self._write("", flush=True)
        hit = self.hits[marker.number - 1]
        self._claim = self._sentence if sentences.words(self._sentence) else self._claim
        quote = (marker.quote or "").strip() or citations.best_sentence(self._claim, hit.text)
        known = self.footnotes.get((hit.chunk_id, quote))
        footnote = known or self._check(hit, quote)
        self.footnotes[hit.chunk_id, quote] = footnote
        delta = Delta(self._plain.footnote(f"[{footnote.marker}]"))
        evidence = self._evidence.get(footnote.marker) if claimed_from is None else None
        start = len(self.text) if claimed_from is None else claimed_from
        self._stand.append(Place(start, len(self.text + delta.text), footnote.verified, evidence))
        self.text += delta.text
        self._sentence = ""
        return [*events, delta] if known else [*events, delta, footnote]

    @property
    def _numbers(self) -> range:
        return range(1, len(self.hits) + 1)

    def _check(self, hit: Hit, quote: str) -> Citation:
        place = self._places.get(hit.chunk_id) or PageExcerpt("", hit.char_start, "")
        near = hit.char_start - place.start, hit.char_end - place.start
        found = citations.locate(quote, place.text, near)
        start, end = found or near
        if found:
            self._evidence[len(self.footnotes) + 1] = Evidence(place.text, start, end, hit.place)
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
        )

    def _harmless(self, quote: str) -> str:
        """A quote that is not on the page, sanitized as all words of the model are."""
        plain, echo = PlainText(self._shown), PromptLeakFilter(self._prompts)
        return echo.feed(plain.feed(quote) + plain.flush(ended=True)) + echo.flush()


async def places(session: AsyncSession, hits: Sequence[Hit]) -> dict[str, PageExcerpt]:
    """By chunk id, the text of the stored page around the chunk, in which quotes are checked."""
    if not hits:
        return {}
    rows = [
        (hit.chunk_id, hit.version_id, hit.page_start, max(0, hit.char_start - AROUND), hit.char_end + AROUND)
        for hit in hits
    ]
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    found = await session.execute(_SLICES, {"tenant": tenant_of(session)} | columns)
    return {row.chunk_id: PageExcerpt(row.text, row.char_start, row.media_type) for row in found}


_COLUMNS = ("chunks", "versions", "numbers", "starts", "ends")
_SLICES = text(
    """
    SELECT place.chunk_id, place.char_start, version.media_type,
           substr(page.text, place.char_start + 1, place.char_end - place.char_start) AS text
    FROM unnest(CAST(:chunks AS text[]), CAST(:versions AS text[]), CAST(:numbers AS int[]),
                CAST(:starts AS int[]), CAST(:ends AS int[]))
         AS place(chunk_id, version_id, number, char_start, char_end)
    JOIN page ON page.tenant_id = :tenant AND page.version_id = place.version_id AND page.number = place.number
    JOIN version ON version.id = page.version_id
    """
)
