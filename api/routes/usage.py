"""What the tenant used, and what it cost."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Admin, RuntimeDep
from api.schemas.usage import CountsOut, QuotasOut, UsageReportOut, UsageRowOut
from footnote.errors import Invalid
from footnote.tenancy import quotas, usage

router = APIRouter(prefix="/v1", tags=["usage"])
DAYS = 30  # unless asked for others
MOST_DAYS = 366


@router.get("/usage", operation_id="usage", response_model_exclude_unset=True)
async def report(
    rt: RuntimeDep,
    caller: Admin,
    since: Annotated[
        date | None, Query(alias="from", description="The first day, in UTC; default: 30 days ago.")
    ] = None,
    until: Annotated[date | None, Query(alias="to", description="The last day, included; default: today.")] = None,
    group: Annotated[list[usage.Group], Query(max_length=3, description="What each row stands for.")] = ["day", "key"],  # noqa: B006  FastAPI copies it
) -> UsageReportOut:
    """Tokens as the providers counted them (`estimated`: where they did not) and what they cost by the price table.

    Beside them documents and queries.
    """
    until = until or datetime.now(UTC).date()
    since = since or until - timedelta(days=min(DAYS, until.toordinal() - 1))
    if not 0 <= (until - since).days < MOST_DAYS:
        raise Invalid("invalid_request", f"From a day to the same or a later one, {MOST_DAYS} days at most.")
    async with rt.transaction() as session:
        rows = await usage.report(session, since, until, group)
        [total] = await usage.report(session, since, until, [])
        standing = QuotasOut.model_validate(await quotas.standing(session, rt.settings))
    return UsageReportOut(data=[UsageRowOut(**row) for row in rows], total=CountsOut(**total), quotas=standing)
