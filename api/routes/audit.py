"""The audit log: who did what to which document, key, collection."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from api.deps import Admin, Moment, Plain, RuntimeDep
from api.schemas.audit import AuditEventOut
from api.schemas.common import PageOf, Params
from footnote.tenancy import audit_log

router = APIRouter(prefix="/v1", tags=["audit"])
Name = Annotated[Plain, Field(max_length=64)]


class AuditIn(Params):
    """Which events. A misspelt filter is refused: it would choose too many."""

    action: Annotated[
        list[Name], Field(max_length=20, description="`document.deleted`; may be given several times.")
    ] = []
    actor: Annotated[Name | None, Field(description="A key's id, `operator` or `system`.")] = None
    object_id: Annotated[Name | None, Field(description="What it was done to.")] = None
    since: Annotated[Moment | None, Field(description="From this time on.")] = None
    until: Annotated[Moment | None, Field(description="Before this time.")] = None
    order: Annotated[Literal["newest", "oldest"], Field(description="Which comes first.")] = "newest"
    limit: Annotated[int, Field(ge=1, le=1000, description="Items in one page.")] = 50
    cursor: Annotated[Name | None, Field(description="`next_cursor` of the page before.")] = None

    @property
    def wanted(self) -> audit_log.Wanted:
        return audit_log.Wanted(self.action, self.actor, self.object_id, self.since, self.until)


@router.get("/audit", operation_id="audit_list")
async def list_events(rt: RuntimeDep, caller: Admin, given: Annotated[AuditIn, Query()]) -> PageOf[AuditEventOut]:
    """What was done, by whom, newest first. An event is there as soon as its deed is done, and is never changed."""
    oldest_first = given.order == "oldest"
    async with rt.transaction() as session:
        found = await audit_log.page_of(
            session,
            given.wanted,
            limit=given.limit + 1,
            cursor=given.cursor,
            oldest_first=oldest_first,
        )
    more = found[given.limit - 1].id if len(found) > given.limit else None
    return PageOf(data=[AuditEventOut.model_validate(each) for each in found[: given.limit]], next_cursor=more)
