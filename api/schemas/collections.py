"""Collections: made, looked at, changed, deleted."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from api.deps import Plain
from api.schemas.common import In, Out
from api.schemas.documents import DeletionCounts
from api.uploads.forms import JsonObject, Name
from footnote.collections import CollectionDetails, Unit
from footnote.providers import Embedder

ModelName = Annotated[Plain, StringConstraints(min_length=1, max_length=128)]
ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


def optional(description: str | None = None) -> Any:
    """A field that may be left out, but is not null."""
    return Field(default=None, description=description, json_schema_extra=lambda schema: schema.pop("default", None))


class _In(In):
    def given(self) -> dict[str, Any]:
        """What the request says, and nothing else."""
        return self.model_dump(exclude_unset=True)


class ChunkingIn(_In):
    """How documents are cut. What is left out stays as it is or as it is configured."""

    size: int = optional("The longest chunk: 100 to 8000 characters, or 25 to 2000 tokens.")
    overlap: int = optional("What neighbours repeat of each other: below half the size. It keeps its share of it.")
    unit: Unit = optional("Default: characters. Tokens are counted by the embedding model.")
    by_headings: bool = optional("Small sections under different headings stay apart, however small.")


class EmbeddingIn(_In):
    """The model that makes the vectors, for good once there are documents.

    Named again when its vectors have another length by now, it has all documents embedded again.
    """

    provider: ProviderName
    model: ModelName = optional("Default: the configured one, or the provider's own.")


class CollectionPatch(_In):
    name: Name = optional()
    language: Name = optional("A text search configuration of Postgres: english, german, simple, ...")
    chunking: ChunkingIn = optional()
    embedding: EmbeddingIn = optional()
    metadata: JsonObject | None = optional("Merged into what is there; null takes a key away.")


class CollectionIn(_In):
    name: Name
    language: Name = optional("A text search configuration of Postgres; default: english.")
    chunking: ChunkingIn = optional()
    embedding: EmbeddingIn = optional()
    metadata: JsonObject | None = optional()


class ChunkingOut(Out):
    size: int
    overlap: int
    unit: Unit
    by_headings: bool


class EmbeddingOut(Out):
    provider: str
    model: str
    dimensions: Annotated[int | None, Field(description="Known once a document has been embedded.")]


class CollectionCounts(Out):
    documents: int
    chunks: int
    reingesting: Annotated[
        int, Field(description="Documents that are still seen by an earlier chunking, language or length of vectors.")
    ]


class CollectionOut(Out):
    id: str
    name: str
    language: str
    chunking: ChunkingOut
    embedding: EmbeddingOut
    metadata: dict[str, Any]
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
            counts=CollectionCounts.model_validate(details),
            created_at=found.created_at,
        )


class CollectionDeletionOut(Out):
    """The receipt of a deleted collection."""

    collection_id: str
    name: str
    deleted_at: datetime
    counts: DeletionCounts
