"""Hits, citations and answers."""

from typing import Annotated, Any, Literal

from pydantic import Field, computed_field

from api.schemas.common import Out
from footnote.citations import links

OnRequest = Field(exclude_if=lambda value: value is None)
IfAny = Field(exclude_if=lambda value: not value)


class LocatedOut(Out):
    """Text on a page of a version of a document."""

    document_id: str
    filename: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int


class AnchoredOut(LocatedOut):
    """A text with its location and the address of the web page that shows it."""

    @computed_field(description="Web page that shows the text highlighted on its page.")  # type: ignore[prop-decorator]
    @property
    def reader_url(self) -> str:
        return links.absolute(links.path_of(self))


class ContextOut(Out):
    """The text around a hit on its page."""

    text: str
    char_start: int
    char_end: int


class ExplanationOut(Out):
    """Rank and score in each part of the search, the fused rank, and the reranker's score.

    A value is null if that part did not find the chunk or was not used.
    """

    vector_rank: int | None
    similarity: float | None
    relatedness: Annotated[
        float | None,
        Field(description="`similarity` on the scale of the gate, which is the same for all embedding models."),
    ]
    keyword_rank: int | None
    bm25: float | None
    coverage: float | None
    exact_matches: Annotated[int | None, Field(description="How many identifiers and quoted phrases it contains.")]
    needles: Annotated[
        int | None,
        Field(validation_alias="exact_matches", deprecated=True, description="The old name of `exact_matches`."),
    ]
    fused_rank: int
    rerank_score: float | None


class HitOut(AnchoredOut):
    chunk_id: str
    position: int
    heading: str
    text: str
    score: float
    metadata: dict[str, Any]
    context: Annotated[ContextOut | None, OnRequest] = None
    explain: Annotated[ExplanationOut | None, OnRequest] = None


class CitationOut(AnchoredOut):
    marker: int
    heading: Annotated[
        str,
        Field(description="The headings above the quote. Useful if pages have no images."),
    ] = ""
    quote: str
    verified: bool
    score: float
    chunk_id: str
    url: str
    reader_path: Annotated[str, Field(description="Path of the web page that shows the quote.")]
    highlights_url: Annotated[
        str | None, Field(description="Address of the quote's boxes on the image of the page. PDFs only.")
    ]


class UnsupportedOut(Out):
    """A sentence that its footnotes do not support: `answer[char_start:char_end]`."""

    text: str
    char_start: int
    char_end: int
    reason: Annotated[
        Literal["no_footnote", "quote_not_found", "not_in_quote", "quote_denies"],
        Field(
            description="It has no footnote; its quotes are not in the document; they do not contain "
            "what is `missing`; or they say the opposite."
        ),
    ] = "no_footnote"
    missing: Annotated[
        list[str], Field(description="Values and names of the sentence that are not in its quotes.")
    ] = []


class UsageOut(Out):
    """Tokens as the provider counted them; null if it did not."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost: Annotated[float | None, Field(description="US dollars. Null if the price or the tokens are not known.")] = (
        None
    )


class CoverageOut(Out):
    """What was searched. The answer does not use `unfinished` documents: ask again when they are ready."""

    documents: Annotated[int, Field(description="Documents that were searched.")]
    unfinished: Annotated[int, Field(description="Documents that are still being ingested; counted up to 1,000.")]
    passages: Annotated[
        int | None, Field(description="Passages that were searched. Null if a filter or `document_ids` left some out.")
    ] = None
    collections: Annotated[list[str], Field(description="Names of the collections searched, the first 100.")] = []
    filtered: Annotated[bool, Field(description="Whether `filters` or `document_ids` left documents out.")] = False


class EvidenceOut(Out):
    """Why an answer was not found: the strength of the best passage, and what is needed to answer from one.

    See `FOOTNOTE_LEAST_EVIDENCE`. If a passage was strong enough but gave no verified footnote, `found` is above
    `needed`.
    """

    found: float
    needed: float


class CorrectionOut(Out):
    """A word that is not in the searched documents, and what was searched instead: the nearest words, or its parts."""

    word: str
    searched: list[str]


class RerankedOut(Out):
    """Whether the hits were reranked. If that failed, they keep their order, and `rerank_failure` says why.

    `searched_for` lists the misspelt words of the question, if there are any.
    """

    reranked: Annotated[bool | None, OnRequest] = None
    rerank_failure: Annotated[str | None, OnRequest] = None
    searched: Annotated[CoverageOut | None, OnRequest] = None
    searched_for: Annotated[list[CorrectionOut], IfAny] = []


class SearchOut(RerankedOut):
    data: list[HitOut]
    timings: dict[str, float]


class SearchedOut(RerankedOut):
    """`question_as_searched`: the question as it was rewritten to stand alone, if it built on earlier ones."""

    question_as_searched: Annotated[str | None, OnRequest] = None
    parts: Annotated[
        list[str],
        Field(
            exclude_if=lambda value: not value,
            description="The single questions, each searched separately, if the question has several parts.",
        ),
    ] = []


class SourcesOut(SearchedOut):
    hits: list[HitOut]


class AnswerOut(SearchedOut):
    id: str
    answer: str
    answer_status: Annotated[
        Literal["supported", "partial", "related", "not_found"],
        Field(
            description="`related`: the passages nearest to the question, without the claim that they answer it. "
            "`not_found`: no footnote is verified."
        ),
    ]
    answer_kind: Annotated[
        Literal["extract", "generated"],
        Field(description="Whether sentences of the documents are quoted, or a model wrote the answer."),
    ]
    not_mentioned: Annotated[
        list[str], Field(description="Names, years and similar terms of the question that are in no hit.")
    ]
    citations: list[CitationOut]
    unsupported: list[UnsupportedOut]
    hits: list[HitOut]
    usage: UsageOut
    timings: dict[str, float]
    model: str
    cached: bool
    truncated: Annotated[
        bool, Field(description="The answer is incomplete: the model reached its limit or stopped early.")
    ]
    evidence: Annotated[
        EvidenceOut | None,
        Field(exclude_if=lambda value: value is None, description="Only if the answer was not found."),
    ] = None
    conversation_id: Annotated[str | None, OnRequest] = None
    message_id: Annotated[str | None, OnRequest] = None
