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
    estimated: Annotated[
        bool, Field(description="Whether tokens and cost are estimates in part: of calls whose provider did not count.")
    ] = False


class UsageRowOut(CountsOut):
    day: date | None = None
    key_id: Annotated[str | None, Field(description="`oidc_...` for a person; empty for what nobody asked for.")] = None
    key_name: str | None = None
    provider: str | None = None
    model: str | None = None


class StandingOut(Out):
    used: float
    quota: Annotated[float | None, Field(description="Null: no limit.")]
    left: float | None


class QuotasOut(Out):
    """Documents and bytes as they are now; tokens and US dollars of this calendar month, in UTC."""

    documents: StandingOut
    bytes: StandingOut
    tokens: StandingOut
    usd: StandingOut


class UsageReportOut(Out):
    data: list[UsageRowOut]
    total: CountsOut
    quotas: QuotasOut
