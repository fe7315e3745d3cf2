"""Usage and quotas."""

from datetime import date
from typing import Annotated

from pydantic import Field

from api.schemas.common import Out


class CountsOut(Out):
    documents: Annotated[int, Field(description="Accepted documents, without duplicates.")] = 0
    queries: Annotated[int, Field(description="Questions and searches.")] = 0
    embedding_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Annotated[
        float | None, Field(description="US dollars, for models with a known price. Null if there is none.")
    ] = None
    estimated: Annotated[
        bool, Field(description="Whether a part of tokens and cost is estimated, because the provider did not count.")
    ] = False


class UsageRowOut(CountsOut):
    day: date | None = None
    key_id: Annotated[str | None, Field(description="`oidc_...` for a person. Empty for work without a key.")] = None
    key_name: str | None = None
    provider: str | None = None
    model: str | None = None


class QuotaUsageOut(Out):
    used: float
    quota: Annotated[float | None, Field(description="Null means no limit.")]
    left: float | None


class QuotasOut(Out):
    """Documents and bytes that are stored now; tokens and US dollars of this calendar month (UTC)."""

    documents: QuotaUsageOut
    bytes: QuotaUsageOut
    tokens: QuotaUsageOut
    usd: QuotaUsageOut


class UsageReportOut(Out):
    data: list[UsageRowOut]
    total: CountsOut
    quotas: QuotasOut
