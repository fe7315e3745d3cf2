"""The answer as it grows, and its footnotes, each checked when it is set."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from footnote import citations, sentences
from footnote.answering.events import AnswerStatus, Citation, Delta, Event
from footnote.retrieval import Hit
from footnote.runtime import Runtime


@dataclass
class Draft:
    """The answer as it grows: passages become footnotes, numbered in order of appearance."""

    hits: Sequence[Hit]
    stored: dict[str, str]  # chunk id -> its place in the stored page
    text: str = ""
    sentence: str = ""  # since the last marker
    claim: str = ""  # what the last marker stands behind; the next one may follow at once
    footnotes: dict[tuple[str, str], Citation] = field(default_factory=dict)

    def write(self, text: str) -> Delta:
        self.text += text
        self.sentence += text
        return Delta(text)

    def cite(self, number: int, quote: str | None) -> list[Event]:
        """A footnote, unless the model cites what was not retrieved: that never leaves the server."""
        if not 1 <= number <= len(self.hits):
            # What stood around it must not close up to the very marker that was kept back.
            return [self.write("…")] if citations.left_open(self.text) else []
        hit = self.hits[number - 1]
        self.claim = self.sentence if sentences.words(self.sentence) else self.claim
        quote = (quote or "").strip() or citations.best_sentence(self.claim, hit.text)
        known = self.footnotes.get((hit.chunk_id, quote))
        footnote = known or self._check(hit, quote)
        self.footnotes[hit.chunk_id, quote] = footnote
        delta = Delta(f"[{footnote.marker}]")
        self.text += delta.text
        self.sentence = ""
        return [delta] if known else [delta, footnote]

    def _check(self, hit: Hit, quote: str) -> Citation:
        stored = self.stored.get(hit.chunk_id, "")
        found = citations.locate(quote, stored)
        start, end = found or (0, hit.char_end - hit.char_start)
        return Citation(
            marker=len(self.footnotes) + 1,
            document_id=hit.document_id,
            filename=hit.filename,
            version=hit.version,
            page_start=hit.page_start,
            page_end=hit.page_end,
            char_start=hit.char_start + start,
            char_end=hit.char_start + end,
            quote=stored[start:end] if found else quote,
            verified=found is not None,
            score=hit.score,
            chunk_id=hit.chunk_id,
        )

    @property
    def status(self) -> AnswerStatus:
        verified = [footnote.verified for footnote in self.footnotes.values()]
        if not verified:
            return "not_found"
        return "supported" if all(verified) else "partial"


async def stored_text(rt: Runtime, tenant_id: str, hits: Sequence[Hit]) -> dict[str, str]:
    """By chunk id, what the stored page says where the chunk claims to stand: the text that quotes are checked in."""
    places = [(hit.chunk_id, hit.version_id, hit.page_start, hit.char_start, hit.char_end) for hit in hits]
    async with rt.transaction() as session:
        found = await session.execute(
            _SLICES, {"tenant": tenant_id} | dict(zip(_PLACE, zip(*places, strict=True), strict=True))
        )
        return {row.chunk_id: row.text for row in found}


_PLACE = ("chunks", "versions", "numbers", "starts", "ends")
_SLICES = text(
    """
    SELECT place.chunk_id, substr(page.text, place.char_start + 1, place.char_end - place.char_start) AS text
    FROM unnest(CAST(:chunks AS text[]), CAST(:versions AS text[]), CAST(:numbers AS int[]),
                CAST(:starts AS int[]), CAST(:ends AS int[]))
         AS place(chunk_id, version_id, number, char_start, char_end)
    JOIN page ON page.tenant_id = :tenant AND page.version_id = place.version_id AND page.number = place.number
    """
)
