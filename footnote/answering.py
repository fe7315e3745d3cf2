"""Answers: one generator of typed events, rendered elsewhere as JSON, SSE or text.

retrieve -> gate -> generate -> check citations -> done. The order of events is Sources, then Deltas and Citations
as the answer grows, then Done. Errors are raised.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import text

from footnote import citations, sentences
from footnote.citations import Marker, MarkerParser
from footnote.ids import new_id
from footnote.providers import Claim, GenerationRequest, Passage, Token, Turn, Usage
from footnote.retrieval import Hit, Query, search
from footnote.runtime import Runtime

AnswerStatus = Literal["supported", "partial", "not_found"]

NOT_FOUND = "The documents do not hold an answer to this question."
PASSAGES = 8  # hits a generator sees
# Below both, the best hit is taken to be about something else, and no model is paid.
ENOUGH_SIMILARITY = 0.30
ENOUGH_COVERAGE = 0.45


@dataclass(frozen=True)
class Question:
    query: Query
    history: Sequence[Turn] = ()
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Sources:
    """What was found; `reranked` and `rerank_failure` are those of `retrieval.Found`."""

    hits: Sequence[Hit]
    reranked: bool | None = None
    rerank_failure: str | None = None


@dataclass(frozen=True)
class Delta:
    text: str


@dataclass(frozen=True)
class Citation:
    """A footnote. When `verified`, `quote` is `page_text[char_start:char_end]` of page `page_start`.

    Otherwise the anchors are those of the whole passage and `quote` is only what the model claims it says.
    """

    marker: int
    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    quote: str
    verified: bool
    score: float
    chunk_id: str

    @property
    def url(self) -> str:
        return f"/v1/documents/{self.document_id}/pages/{self.page_start}"


@dataclass(frozen=True)
class Done:
    id: str
    answer: str
    answer_status: AnswerStatus
    citations: Sequence[Citation]
    usage: Usage
    timings: dict[str, float]  # milliseconds
    model: str
    cached: bool = False


Event = Sources | Delta | Citation | Done


@dataclass
class _Draft:
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


async def answer(rt: Runtime, question: Question) -> AsyncGenerator[Event, None]:
    """Raises what retrieval and the provider raise; nothing is raised after Done.

    Closing it early stops the model: whoever may stop reading closes it.
    """
    started = time.monotonic()
    found = await search(rt, question.query)
    hits = found.hits
    timings = {"retrieve": _since(started), **found.timings}
    yield Sources(hits, found.reranked, found.rerank_failure)
    answer_id = new_id("ans")
    if not supports(hits):
        yield Delta(NOT_FOUND)
        timings["total"] = _since(started)
        yield Done(answer_id, NOT_FOUND, "not_found", (), Usage(0, 0), timings, rt.generator.model)
        return
    shown = hits[:PASSAGES]
    draft = _Draft(shown, await _stored(rt, question.query.tenant_id, shown))
    usage = Usage(0, 0)
    async with aclosing(_generate(rt, question, draft)) as events:
        async for event in events:
            if isinstance(event, Usage):
                usage = event
                continue
            timings.setdefault("first_token", _since(started))
            yield event
    if not draft.text.strip():
        yield draft.write(NOT_FOUND)
    timings["total"] = _since(started)
    model = question.model or rt.generator.model
    footnotes = list(draft.footnotes.values())
    yield Done(answer_id, draft.text.strip(), draft.status, footnotes, usage, timings, model)


def supports(hits: Sequence[Hit]) -> bool:
    """Whether any hit is close enough to the question to answer from."""
    return any((hit.similarity or 0) >= ENOUGH_SIMILARITY or (hit.coverage or 0) >= ENOUGH_COVERAGE for hit in hits)


async def _generate(rt: Runtime, question: Question, draft: _Draft) -> AsyncGenerator[Event | Usage, None]:
    parser = MarkerParser()
    async with aclosing(rt.generator.generate(_request(question, draft.hits))) as events:
        async for event in events:
            match event:
                case Token(text):
                    for part in parser.feed(text):
                        for rendered in _render(draft, part):
                            yield rendered
                case Claim(text, marker, quote):
                    yield draft.write((" " if draft.text else "") + citations.unmarked(text) + " ")
                    for rendered in draft.cite(marker, quote):
                        yield rendered
                case Usage():
                    yield event
    for part in parser.close():
        for rendered in _render(draft, part):
            yield rendered


def _render(draft: _Draft, part: str | Marker) -> list[Event]:
    return [draft.write(part)] if isinstance(part, str) else draft.cite(part.number, part.quote)


def _request(question: Question, hits: Sequence[Hit]) -> GenerationRequest:
    return GenerationRequest(
        question=question.query.text,
        passages=[
            Passage(number, " > ".join(filter(None, (hit.filename, hit.heading))), hit.text)
            for number, hit in enumerate(hits, 1)
        ],
        history=question.history,
        system_prompt=question.system_prompt,
        model=question.model,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
    )


async def _stored(rt: Runtime, tenant_id: str, hits: Sequence[Hit]) -> dict[str, str]:
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


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
