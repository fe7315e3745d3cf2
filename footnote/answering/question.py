"""What is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from footnote.providers import Turn
from footnote.retrieval import Query


@dataclass(frozen=True)
class Question:
    """What is asked, after the turns of `history`, oldest first."""

    query: Query
    history: Sequence[Turn] = ()
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
