"""Collections."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from api.schemas.common import In, Out
from api.schemas.documents import ChunkingOut, DeletionCounts
from api.schemas.fields import JsonObject, Name, Plain, optional
from footnote.collections import CollectionDetails
from footnote.collections.chunking_settings import Unit
from footnote.models import BackgroundTask
from footnote.providers import Embedder

ModelName = Annotated[Plain, StringConstraints(min_length=1, max_length=128)]
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class _In(In):
    def given(self) -> dict[str, Any]:
        """The fields that the request sets."""
        return self.model_dump(exclude_unset=True)


class ChunkingIn(_In):
    """How documents are cut into chunks. A field that you leave out keeps its value or gets the configured one."""

    size: int = optional("Size of the longest chunk: 100 to 8000 characters, or 25 to 2000 tokens.")
    overlap: int = optional(
        "How much of a chunk the next one repeats: less than half the size. Default: the configured share."
    )
    unit: Unit = optional("Default: `characters`. Tokens are those of the embedding model.")
    by_headings: bool = optional("Never join sections under different headings in one chunk, even if they are small.")


class EmbeddingIn(_In):
    """The embedding model. It cannot change once there are documents.

    If you send the same model and its vectors have another length now, all documents are embedded again.
    """

    provider: ProviderName
    model: ModelName = optional("Default: the configured model, or the provider's default.")


class CollectionPatch(_In):
    name: Name = optional()
    language: Name = optional("A text search configuration of Postgres: `english`, `german`, `simple`, ..., or `auto`.")
    chunking: ChunkingIn = optional()
    embedding: EmbeddingIn = optional()
    metadata: JsonObject | None = optional("Merged into the existing metadata; null removes a key.")


class CollectionIn(_In):
    name: Name
    language: Name = optional(
        "A text search configuration of Postgres. Default: `auto`, the detected language of each document."
    )
    chunking: ChunkingIn = optional()
    embedding: EmbeddingIn = optional()
    metadata: JsonObject | None = optional()


class EmbeddingOut(Out):
    provider: str
    model: str
    dimensions: Annotated[
        int | None, Field(description="Length of the vectors; known once a document has been embedded.")
    ]


class CollectionCounts(Out):
    documents: int
    chunks: int
    reingesting: Annotated[
        int, Field(description="Documents that are still searched with an earlier chunking, language or vector length.")
    ]


class CollectionOut(Out):
    id: str
    name: str
    language: str
    chunking: ChunkingOut
    embedding: EmbeddingOut
    metadata: dict[str, Any]
    title: Annotated[
        str | None, Field(description="Its name in the OpenAI API, where names are neither unique nor short.")
    ]
    counts: CollectionCounts
    created_at: datetime

    @classmethod
    def of(cls, details: CollectionDetails, configured: Embedder) -> "CollectionOut":
        found = details.collection
        provider, model = details.model or (configured.provider, configured.model)
        return cls(
            id=found.id,
            name=found.name,
            language=found.language,
            chunking=ChunkingOut(**found.chunking),
            embedding=EmbeddingOut(provider=provider, model=model, dimensions=details.dimensions),
            metadata=found.attributes,
            title=found.title,
            counts=CollectionCounts.model_validate(details),
            created_at=found.created_at,
        )


class CollectionDeletionOut(Out):
    """The receipt of a deleted collection."""

    collection_id: str
    name: str
    deleted_at: datetime
    counts: DeletionCounts

    @classmethod
    def of(cls, task: BackgroundTask) -> "CollectionDeletionOut":
        about = {"name": task.subject_name, "deleted_at": task.finished_at, "counts": task.counts}
        return cls(collection_id=task.subject_id, **about)


class SuggestionOut(Out):
    question: str
    heading: Annotated[str, Field(description="The heading that the question is about.")]
    document_id: str
    filename: str
    page: int


class SuggestionsOut(Out):
    data: list[SuggestionOut]
