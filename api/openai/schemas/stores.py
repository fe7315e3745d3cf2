"""Vector stores, their files and batches of these, and what is found in them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from api.openai import anchors, ids
from api.openai.errors import outward
from api.openai.schemas.asking import RankingIn
from api.openai.schemas.common import LenientIn, seconds
from api.schemas.fields import STORABLE, JsonObject, Plain
from api.schemas.questions import QueryText
from api.schemas.search import OnRequest
from footnote.collections import expiry
from footnote.collections.chunking_settings import CHARACTERS_A_TOKEN, Chunking
from footnote.documents import file_counts, files
from footnote.documents.file_counts import FileCounts, FileStatus
from footnote.documents.reading import DocumentDetails
from footnote.models import Collection, FileBatch, FileBatchItem
from footnote.retrieval import Hit

Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(max_length=512)]
LEAST, MOST = 100, 4096  # tokens of a chunk
MOST_FILES = 2000
_CODES = {
    "unsupported_type": "unsupported_file",
    **dict.fromkeys(("empty_file", "corrupt_file", "encrypted", "type_mismatch", "no_text"), "invalid_file"),
    **dict.fromkeys(("bad_encoding", "too_complex", "too_large", "archive_too_large"), "invalid_file"),
}


def _attributes(given: dict[str, Any]) -> dict[str, Any]:
    if len(given) > 16:
        raise ValueError("has more than 16 keys")
    for key, value in given.items():
        if not 1 <= len(key) <= 64:
            raise ValueError(f"the key {key[:70]!r} does not have 1 to 64 characters")
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"the value of {key!r} is no string, number or boolean")
        if isinstance(value, str) and len(value) > 512:
            raise ValueError(f"the value of {key!r} has more than 512 characters")
    return given


Attributes = Annotated[JsonObject, AfterValidator(_attributes)]
Metadata = Annotated[dict[Key, Text], Field(max_length=16), STORABLE]


class StaticSizesIn(LenientIn):
    max_chunk_size_tokens: Annotated[int, Field(ge=LEAST, le=MOST)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _half_at_most(self) -> "StaticSizesIn":
        if 2 * self.chunk_overlap_tokens > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must not exceed half of max_chunk_size_tokens")
        return self


class StrategyIn(LenientIn):
    """`auto` cuts as the vector store says; `static` cuts into chunks no longer than the model reads."""

    type: Literal["auto", "static"]
    static: StaticSizesIn | None = None

    @model_validator(mode="after")
    def _sizes_are_given(self) -> "StrategyIn":
        if self.type == "static" and self.static is None:
            raise ValueError("a static strategy needs the member 'static'")
        return self

    def chunking(self) -> dict[str, Any] | None:
        if self.type == "auto" or self.static is None:
            return None
        size, overlap = self.static.max_chunk_size_tokens, self.static.chunk_overlap_tokens
        return vars(Chunking(size, overlap, "tokens"))


class AttachIn(LenientIn):
    file_id: Plain
    attributes: Attributes | None = None
    chunking_strategy: StrategyIn | None = None


class AttributesIn(LenientIn):
    attributes: Attributes


class FileBatchIn(LenientIn):
    file_ids: Annotated[list[Plain], Field(min_length=1, max_length=MOST_FILES)] | None = None
    files: Annotated[list[AttachIn], Field(min_length=1, max_length=MOST_FILES)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: StrategyIn | None = None

    @model_validator(mode="after")
    def _either(self) -> "FileBatchIn":
        if (self.file_ids is None) == (self.files is None):
            raise ValueError("give either 'file_ids' or 'files'")
        return self

    def each(self) -> list[AttachIn]:
        """The files, each once; with `file_ids` the rest is for all of them."""
        alike = (
            AttachIn(file_id=each, attributes=self.attributes, chunking_strategy=self.chunking_strategy)
            for each in self.file_ids or ()
        )
        return list({each.file_id: each for each in (self.files or alike)}.values())


class StoreExpiryIn(LenientIn):
    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class VectorStorePatchIn(LenientIn):
    name: Annotated[Plain, StringConstraints(max_length=512)] | None = None
    metadata: Metadata | None = None
    expires_after: StoreExpiryIn | None = None

    def given(self) -> dict[str, Any]:
        """What was sent, as `collections.change` takes it."""
        days = self.expires_after.days if self.expires_after else None
        values = {"title": self.name, "texts": self.metadata, "expires_after_days": days}
        return {name: value for name, value in values.items() if value is not None}


class VectorStoreIn(VectorStorePatchIn):
    description: Annotated[Plain, StringConstraints(max_length=8192)] | None = None
    file_ids: Annotated[list[Plain], Field(max_length=MOST_FILES)] = []
    chunking_strategy: StrategyIn | None = None


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class VectorStoreSearchIn(LenientIn):
    """`query`: a text, or several, which are searched at once."""

    query: Annotated[list[QueryText], Field(min_length=1, max_length=10), BeforeValidator(_listed)]
    filters: JsonObject | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingIn = RankingIn()
    rewrite_query: bool = False


class FileCountsOut(BaseModel):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int

    @classmethod
    def of(cls, counts: FileCounts) -> "FileCountsOut":
        return cls(**{name: getattr(counts, name) for name in cls.model_fields})


class StoreExpiryOut(BaseModel):
    anchor: Literal["last_active_at"] = "last_active_at"
    days: int


class VectorStoreOut(BaseModel):
    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str
    usage_bytes: int
    status: Literal["expired", "in_progress", "completed"]
    metadata: dict[str, str] | None
    file_counts: FileCountsOut
    last_active_at: int | None
    expires_at: int | None
    expires_after: Annotated[StoreExpiryOut | None, OnRequest] = None

    @classmethod
    def of(cls, found: Collection, counts: FileCounts) -> "VectorStoreOut":
        texts = {name: value for name, value in found.attributes.items() if isinstance(value, str)}
        expires_at, days = expiry.expires_at(found), found.expires_after_days
        status = "expired" if expiry.is_expired(found) else "in_progress" if counts.in_progress else "completed"
        return cls(
            id=ids.vector_store_id(found.id),
            created_at=seconds(found.created_at),
            name=found.name if found.title is None else found.title,
            usage_bytes=counts.bytes,
            status=status,
            metadata=texts or None,
            file_counts=FileCountsOut.of(counts),
            last_active_at=seconds(found.last_active_at) if found.last_active_at else None,
            expires_at=seconds(expires_at) if expires_at else None,
            expires_after=StoreExpiryOut(days=days) if days else None,
        )


class VectorStoreDeletedOut(BaseModel):
    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: Literal[True] = True


class LastErrorOut(BaseModel):
    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class StaticSizesOut(BaseModel):
    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class StrategyOut(BaseModel):
    type: Literal["static"] = "static"
    static: StaticSizesOut

    @classmethod
    def of(cls, chunking: dict[str, Any]) -> "StrategyOut":
        """In tokens, of which a character is about a quarter."""
        scale = CHARACTERS_A_TOKEN if chunking["unit"] == "characters" else 1
        size, overlap = chunking["size"] // scale, chunking["overlap"] // scale
        return cls(static=StaticSizesOut(max_chunk_size_tokens=size, chunk_overlap_tokens=overlap))


class VectorStoreFileOut(BaseModel):
    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    vector_store_id: str
    created_at: int
    usage_bytes: int
    status: FileStatus
    attributes: dict[str, Any] | None
    last_error: LastErrorOut | None
    chunking_strategy: StrategyOut

    @classmethod
    def of(cls, details: DocumentDetails, collection: Collection) -> "VectorStoreFileOut":
        document, job, status = details.document, details.job, file_counts.status_of(details)
        failed = status == "failed" and job.error_code
        return cls(
            id=ids.file_id(files.file_id_of(document)),
            vector_store_id=ids.vector_store_id(collection.id),
            created_at=seconds(document.created_at),
            usage_bytes=details.version.bytes,
            status=status,
            attributes=anchors.attributes(document.attributes) or None,
            last_error=_last_error(job.error_code, job.error_message) if failed else None,
            chunking_strategy=StrategyOut.of(document.chunking or collection.chunking),
        )

    @classmethod
    def of_item(cls, item: FileBatchItem, batch: FileBatch, collection: Collection) -> "VectorStoreFileOut":
        """A file of a batch that is no document: it waits, or could not be attached."""
        status: FileStatus = "failed" if item.error else "cancelled" if batch.cancelled_at else "in_progress"
        return cls(
            id=ids.file_id(item.file_id),
            vector_store_id=ids.vector_store_id(collection.id),
            created_at=seconds(batch.created_at),
            usage_bytes=0,
            status=status,
            attributes=item.attributes or None,
            last_error=_last_error(item.error["code"], item.error["message"]) if item.error else None,
            chunking_strategy=StrategyOut.of(item.chunking or collection.chunking),
        )


def _last_error(code: str | None, message: str | None) -> LastErrorOut:
    known: Any = _CODES.get(code or "", "server_error")
    return LastErrorOut(code=known, message=outward(message or ""))


class VectorStoreFileDeletedOut(BaseModel):
    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: Literal[True] = True


class FileBatchOut(BaseModel):
    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    vector_store_id: str
    created_at: int
    status: FileStatus
    file_counts: FileCountsOut

    @classmethod
    def of(cls, batch: FileBatch, counts: FileCounts) -> "FileBatchOut":
        ended: FileStatus = "in_progress" if counts.in_progress else "completed"
        return cls(
            id=batch.id,
            vector_store_id=ids.vector_store_id(batch.collection_id),
            created_at=seconds(batch.created_at),
            status="cancelled" if batch.cancelled_at else ended,
            file_counts=FileCountsOut.of(counts),
        )


class TextOut(BaseModel):
    type: Literal["text"] = "text"
    text: str


class VectorStoreHitOut(BaseModel):
    """The last six members are anchors: `text` is `[char_start:char_end]` of the text of page `page_start`."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, Any]
    content: list[TextOut]
    document_id: str
    version: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int

    @classmethod
    def of(cls, hit: Hit, score: float, file_id: str) -> "VectorStoreHitOut":
        content, attributes = [TextOut(text=hit.text)], anchors.attributes(hit.metadata)
        own = {"file_id": file_id, "filename": hit.filename, "score": score, "attributes": attributes}
        return cls(content=content, **own, **anchors.of_hit(hit))


class SearchPageOut(BaseModel):
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[VectorStoreHitOut]
    has_more: Literal[False] = False
    next_page: None = None
