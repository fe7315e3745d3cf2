"""The events of an answer, in their order: Sources, Deltas and Citations, Done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from footnote.answering.gate import Evidence
from footnote.answering.support import UnsupportedSentence
from footnote.citations import links
from footnote.providers import ChatMessage, Usage
from footnote.providers.extractive import EXTRACTIVE
from footnote.retrieval import Hit, Query
from footnote.retrieval.coverage import Searched
from footnote.retrieval.spelling import Correction

AnswerStatus = Literal["supported", "partial", "related", "not_found"]
AnswerKind = Literal["extract", "generated"]


@dataclass(frozen=True)
class Question:
    """A question with its `history`, oldest first; `parts` are the single questions, if it has several.

    `least_relevance`, from 0 to 1: hits with a lower `gate.relevance` are left out.
    """

    query: Query
    history: Sequence[ChatMessage] = ()
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    parts: Sequence[str] = ()
    least_relevance: float = 0.0


@dataclass(frozen=True)
class Sources:
    """The hits; `reranked` and `rerank_failure` are those of `retrieval.SearchResult`.

    `question_as_searched`: what was looked for, if a question leaned on others and was made to stand alone. `parts`:
    what was looked for one by one, if it consists of several questions. `searched_for`: its misspelt words, which stand
    nowhere in what was searched, and what was looked for instead.
    """

    hits: Sequence[Hit]
    reranked: bool | None = None
    rerank_failure: str | None = None
    question_as_searched: str | None = None
    searched: Searched = field(default_factory=Searched)
    parts: Sequence[str] = ()
    searched_for: Sequence[Correction] = ()


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
    drawn: bool = False  # whether its page can be shown as people see it
    heading: str = ""  # the headings above the quote, outermost first

    @property
    def url(self) -> str:
        """The page it was checked against; 410 if that version was replaced since."""
        return f"{self._page}?version={self.version}"

    @property
    def highlights_url(self) -> str | None:
        """The path of the boxes of the quote on the page's image."""
        if not self.drawn:
            return None
        return f"{self._page}/highlights?version={self.version}&char_start={self.char_start}&char_end={self.char_end}"

    @property
    def reader_path(self) -> str:
        """Where people see the quote on its page: an address of the web page, below the server's own."""
        return links.path_of(self)

    @property
    def _page(self) -> str:
        return f"/v1/documents/{self.document_id}/pages/{self.page_start}"


@dataclass(frozen=True)
class Done:
    """The complete answer.

    `supported`: all footnotes are verified and no sentence is `unsupported`; `related`: the passages nearest to the
    question, which do not hold what it asks for; `not_found`: no footnote is verified. `not_mentioned`: what the
    question names and nothing that was found holds. `evidence`: of an answer that was not found.
    """

    id: str
    answer: str
    answer_status: AnswerStatus
    citations: Sequence[Citation]
    usage: Usage
    timings: dict[str, float]  # milliseconds
    model: str
    unsupported: Sequence[UnsupportedSentence] = ()
    not_mentioned: Sequence[str] = ()
    cached: bool = False
    truncated: bool = False  # the model was not allowed to say more, or would not
    document_ids: Sequence[str] = ()  # whatever it can have been made from, cited or not
    conversation_id: str | None = None  # in which it was asked and is stored
    message_id: str | None = None
    evidence: Evidence | None = None

    @property
    def answer_kind(self) -> AnswerKind:
        return answer_kind(self.model)


def answer_kind(model: str) -> AnswerKind:
    """Whether sentences of the documents are quoted, or a model wrote the answer."""
    return "extract" if model == EXTRACTIVE else "generated"


Event = Sources | Delta | Citation | Done
