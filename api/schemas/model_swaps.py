"""Swaps of a collection's embedding model."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.schemas.collections import EmbeddingOut, ModelName, ProviderName
from api.schemas.common import In, Out
from api.schemas.fields import OLD_STATE, Plain, optional
from api.schemas.jobs import ProgressOut
from footnote.model_swap import State, SwapDetails
from footnote.model_swap.comparison import MOST, JudgedQuestion
from footnote.models import EmbeddingSpace


class ModelSwapIn(In):
    """The embedding model that the collection should get."""

    provider: ProviderName
    model: ModelName = optional("Default: the configured model, or the provider's default.")


class JudgedQuestionIn(In):
    question: Annotated[Plain, Field(min_length=1, max_length=2000)]
    relevant: list[Annotated[Plain, Field(max_length=64)]] = Field(
        default=[], max_length=100, description="Ids of the documents that answer the question, if you know them."
    )

    def judged(self) -> JudgedQuestion:
        return JudgedQuestion(self.question, frozenset(self.relevant))


class ModelComparisonIn(In):
    questions: list[JudgedQuestionIn] = Field(
        default=[], max_length=MOST, description="Default: the newest stored questions of the collection."
    )


class ModelEstimateOut(Out):
    """The estimated cost of another model for the present chunks of the collection."""

    provider: str
    model: str
    dimensions: int
    chunks: int
    texts: Annotated[int, Field(description="Distinct texts of chunks that have no vector of the model yet.")]
    tokens: Annotated[int, Field(description="Tokens of these, as the provider counts.")]
    cost: Annotated[float | None, Field(description="US dollars. Null if no price is known.")]


class ModelSwapOut(Out):
    """A swap: each chunk gets a vector of the other model; then you switch, and can roll back."""

    id: str
    collection_id: str
    collection: Annotated[str, Field(description="Its name.")]
    status: Annotated[
        State,
        Field(
            validation_alias="state",
            description="`backfilling`: chunks get vectors of the other model. `ready`: all have one, you can switch. "
            "`switched`: searches use the other model. `rolled_back`: they use the former one again. `dropping`: the "
            "vectors of the unused model are being deleted. `dropped`: they are deleted.",
        ),
    ]
    state: Annotated[State, OLD_STATE]
    former: Annotated[EmbeddingOut, Field(description="The model before the swap.")]
    next: Annotated[EmbeddingOut, Field(description="The other model.")]
    progress: ProgressOut
    waiting_for: Annotated[str | None, Field(description="Why it is interrupted, until it resumes.")]
    estimate: ModelEstimateOut
    texts_embedded: int
    tokens_spent: int
    switched_at: datetime | None
    drop_after: Annotated[datetime | None, Field(description="When the former vectors are deleted automatically.")]
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, details: SwapDetails) -> "ModelSwapOut":
        swap, new = details.swap, details.new
        values = {"provider": new.provider, "model": new.model, "dimensions": new.dimensions}
        values |= {"chunks": swap.chunks, "texts": swap.texts, "tokens": swap.tokens, "cost": swap.cost}
        same = ("id", "collection_id", "state", "texts_embedded", "tokens_spent", "switched_at", "drop_after")
        return cls(
            **{name: getattr(swap, name) for name in (*same, "created_at", "ended_at")},
            collection=details.collection,
            former=_embedding(details.old),
            next=_embedding(new),
            progress=ProgressOut(done=details.done, total=details.total, unit="chunks"),
            waiting_for=details.waiting_for,
            estimate=ModelEstimateOut.model_validate(values),
        )


def _embedding(space: EmbeddingSpace) -> EmbeddingOut:
    return EmbeddingOut(provider=space.provider, model=space.model, dimensions=space.dimensions)


class CollectionModelOut(Out):
    """The embedding model of a collection."""

    embedding: Annotated[EmbeddingOut, Field(description="The model that searches use.")]
    swap: Annotated[ModelSwapOut | None, Field(description="The swap that is running, or the last one.")]


class ComparedQuestionOut(Out):
    question: str
    overlap: Annotated[float, Field(description="Share of passages among the first ten that both models find.")]
    ndcg_active: Annotated[
        float | None, Field(description="nDCG at 10 of the active model, if you gave relevant documents.")
    ]
    ndcg_standby: Annotated[float | None, Field(description="nDCG at 10 of the other model.")]


class ModelComparisonOut(Out):
    """The results of both models for the same questions; means first. Null if there is nothing to average."""

    overlap: float | None
    ndcg_active: float | None
    ndcg_standby: float | None
    questions: list[ComparedQuestionOut]
