"""What the tenant used, and what it cost."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Admin, RuntimeDep
from api.schemas.usage import CountsOut, QuotasOut, UsageReportOut, UsageRowOut
from footnote.errors import Invalid
from footnote.tenancy import quotas, usage

router = APIRouter(prefix="/v1", tags=["usage"])
DAYS = 30  # by default
MOST_DAYS = 366


@router.get("/usage", response_model_exclude_unset=True)
async def get_usage(
    rt: RuntimeDep,
    caller: Admin,
    since: Annotated[date | None, Query(alias="from", description="The first day (UTC). Default: 30 days ago.")] = None,
    until: Annotated[date | None, Query(alias="to", description="The last day (inclusive). Default: today.")] = None,
    group: Annotated[
        list[usage.Group], Query(max_length=3, description="What each row groups by: you can combine them.")
    ] = ["day", "key"],  # noqa: B006  FastAPI copies it
) -> UsageReportOut:
    """Get the tokens that the providers counted, what they cost by the price table, documents and queries.

    `estimated` marks rows with tokens that a provider did not count.
    """
    until = until or datetime.now(UTC).date()
    since = since or until - timedelta(days=min(DAYS, until.toordinal() - 1))
    if not 0 <= (until - since).days < MOST_DAYS:
        raise Invalid("invalid_request", f"`to` must not be before `from`, and there are {MOST_DAYS} days at most.")
    await usage.write_counted(rt)
    async with rt.transaction() as session:
        rows = await usage.report(session, since, until, group)
        [total] = await usage.report(session, since, until, [])
        used = QuotasOut.model_validate(await quotas.used_and_left(session, rt.settings))
    return UsageReportOut(data=[UsageRowOut(**row) for row in rows], total=CountsOut(**total), quotas=used)
