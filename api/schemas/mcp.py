"""Arguments and results of the MCP tools."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema, computed_field

from api.schemas.common import ErrorOut, In, Out
from api.schemas.fields import JsonObject, Name, Plain, Reference, Url, optional
from api.schemas.filters import FILTER_SCHEMA
from api.schemas.jobs import DocumentStatus, ProgressOut, Step
from api.schemas.questions import Names, QueryText
from api.schemas.search import LocatedOut, OnRequest
from api.schemas.uploads import Filename
from footnote import filters
from footnote.citations import links

PUBLIC_ID = Annotated[Plain, StringConstraints(min_length=1, max_length=64)]
McpFilter = Annotated[
    filters.Filter, PlainValidator(lambda given: filters.parse(given, "filter")), WithJsonSchema(FILTER_SCHEMA)
]
_WHERE = "Names or ids of the collections to search. Default: all."
_WHICH = "Only documents that meet this condition."
_TO = "Name of the collection that it is added to; a new name creates a collection. Default: `default`."
_ABOUT = "Metadata by which documents can be filtered, as a JSON object."
_OWN_ID = "Your own id of the document: the same id again is a new version of it, not a second document."
_CURSOR = "`next_cursor` of the previous page. Leave it out to get the first page."


class SearchArguments(In):
    query: Annotated[QueryText, Field(description="What to look for: a question, words, or an identifier.")]
    collections: Names = optional(_WHERE)
    filter: McpFilter = optional(_WHICH)
    top_k: Annotated[int, Field(ge=1, le=50, description="How many passages.")] = 10


class FoundOut(Out):
    """A passage; `text` is `page_text[char_start:char_end]` of the page."""

    id: Annotated[str, Field(description="Id of the page, for `fetch`.")]
    title: str
    url: Annotated[str, Field(description="Web page that shows the passage highlighted on its page.")]
    text: str
    score: float
    document_id: str
    page: int
    char_start: int
    char_end: int


class FoundListOut(Out):
    results: list[FoundOut]


class FetchArguments(In):
    id: Annotated[
        PUBLIC_ID, Field(description="Id of a page (`doc_...:12`) or of a document, whose beginning is returned.")
    ]


class FetchedOut(Out):
    id: str
    title: str
    text: str
    url: str
    metadata: Annotated[
        dict[str, Any],
        Field(
            description="The document's, and `document_id`, `page`, `pages`, `collection`, `next` (id that follows)."
        ),
    ]


class AskArguments(In):
    question: Annotated[QueryText, Field(description="One self-contained question in plain words.")]
    collections: Names = optional(_WHERE)
    filter: McpFilter = optional(_WHICH)


class FootnoteOut(LocatedOut):
    """A footnote. If it is `verified`, the quote is on the page to the letter, at these characters."""

    marker: int
    quote: str
    verified: bool

    @computed_field(description="Web page that shows the quote highlighted on its page.")  # type: ignore[prop-decorator]
    @property
    def url(self) -> str:
        return links.absolute(links.path_of(self))


class UnsupportedSentenceOut(Out):
    """A sentence of the answer that no verified footnote supports."""

    text: str
    reason: str
    missing: list[str]


class CitedAnswerOut(Out):
    answer: str
    answer_status: Literal["supported", "partial", "related", "not_found"]
    citations: list[FootnoteOut]
    unsupported: list[UnsupportedSentenceOut]


class ListDocumentsArguments(In):
    collection: PUBLIC_ID = optional("Name or id of a collection. Default: all.")
    filter: McpFilter = optional(_WHICH)
    status: DocumentStatus = optional("Only documents in this state; only those that are `ready` can be searched.")
    cursor: PUBLIC_ID = optional(_CURSOR)
    limit: Annotated[int, Field(ge=1, le=100, description="Maximum number of documents in one page.")] = 50


class ListedDocumentOut(Out):
    id: str
    filename: str
    status: DocumentStatus
    collection: str
    metadata: dict[str, Any]
    pages: int | None
    error: Annotated[ErrorOut | None, OnRequest] = None


class McpDocumentsOut(Out):
    documents: list[ListedDocumentOut]
    next_cursor: str | None


class ListCollectionsArguments(In):
    cursor: PUBLIC_ID = optional(_CURSOR)


class ListedCollectionOut(Out):
    id: str
    name: str
    documents: int
    language: str


class CollectionListOut(Out):
    collections: list[ListedCollectionOut]
    next_cursor: str | None


class _AddArguments(In):
    collection: Name = optional(_TO)
    metadata: JsonObject = optional(_ABOUT)
    external_id: Reference = optional(_OWN_ID)


class AddTextArguments(_AddArguments):
    text: Annotated[str, Field(min_length=1, description="The complete text.")]
    filename: Annotated[Filename, Field(description="Its extension gives the type, for example `.md` or `.txt`.")] = (
        "text.txt"
    )


class AddUrlArguments(_AddArguments):
    url: Annotated[Url, Field(min_length=1, description="A public address (http or https) of a page or a file.")]


class AddedOut(Out):
    document_id: str
    status: DocumentStatus


class StatusArguments(In):
    document_id: PUBLIC_ID


class ToolStatusOut(Out):
    status: DocumentStatus
    step: Step
    progress: ProgressOut
    error: Annotated[ErrorOut | None, OnRequest] = None
