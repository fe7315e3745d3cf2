"""What was used."""

from datetime import date
from typing import Annotated

from pydantic import Field

from api.schemas.common import Out


class CountsOut(Out):
    documents: Annotated[int, Field(description="Accepted, those known already not counted.")] = 0
    queries: Annotated[int, Field(description="Questions and searches.")] = 0
    embedding_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Annotated[
        float | None, Field(description="US dollars, of what a price is known for; null where none is.")
    ] = None


class UsageRowOut(CountsOut):
    day: date | None = None
    key_id: Annotated[str | None, Field(description="Empty for what no key asked for.")] = None
    key_name: str | None = None
    provider: str | None = None
    model: str | None = None


class UsageReportOut(Out):
    data: list[UsageRowOut]
    total: CountsOut
