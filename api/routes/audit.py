"""The audit log."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from api.deps import Admin, RuntimeDep
from api.paging import AuditCursor, page
from api.schemas.audit import AuditEventOut
from api.schemas.common import PageOf, Params
from api.schemas.fields import Moment, Plain
from footnote.tenancy import audit_log

router = APIRouter(prefix="/v1", tags=["audit"])
Name = Annotated[Plain, Field(max_length=64)]


class AuditIn(Params):
    """Which events. An unknown filter is refused, because it would choose too many."""

    action: Annotated[
        list[Name],
        Field(max_length=20, description="An action, such as `document.deleted`. You can give it several times."),
    ] = []
    actor: Annotated[Name | None, Field(description="Id of a key or a person, `operator` or `system`.")] = None
    object_id: Annotated[Name | None, Field(description="Id of the object that was changed.")] = None
    since: Annotated[Moment | None, Field(description="Only events from this time on.")] = None
    until: Annotated[Moment | None, Field(description="Only events before this time.")] = None
    order: Annotated[Literal["newest", "oldest"], Field(description="Which events come first.")] = "newest"
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of items in one page.")] = 50
    cursor: AuditCursor = None

    @property
    def wanted(self) -> audit_log.Wanted:
        return audit_log.Wanted(self.action, self.actor, self.object_id, self.since, self.until)


@router.get("/audit")
async def list_audit_events(rt: RuntimeDep, caller: Admin, given: Annotated[AuditIn, Query()]) -> PageOf[AuditEventOut]:
    """List what was done in your tenant and by whom, newest first.

    An event is written in the same transaction as the action, and it never changes.
    """
    oldest_first = given.order == "oldest"
    async with rt.transaction() as session:
        found = await audit_log.list_events(
            session,
            given.wanted,
            limit=given.limit + 1,
            cursor=given.cursor,
            oldest_first=oldest_first,
        )
    return page(found, given.limit, AuditEventOut.model_validate)
