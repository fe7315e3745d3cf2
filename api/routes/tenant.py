"""The tenant of the caller, and its end."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Admin, Plain, RuntimeDep
from api.schemas.tasks import TaskOut
from footnote.errors import Invalid
from footnote.operations import tenant_deletion
from footnote.tenancy import tenants

router = APIRouter(prefix="/v1/tenant", tags=["tenant"])
Name = Annotated[Plain, Query(max_length=255, description="The tenant's name, as a safeguard against mistakes.")]


@router.delete("", status_code=202, operation_id="tenant_delete")
async def delete(name: Name, rt: RuntimeDep, caller: Admin) -> TaskOut:
    """Deletes the tenant with all its documents, keys and conversations, in the background; the answer is the task.

    From now on the tenant's keys and tokens are refused, also for the status of the task. The operator sees its
    progress and its receipt: `footnote tenants list --deleted`.
    """
    async with rt.transaction() as session:
        its = await tenants.name_of(session)
    if name != its:
        raise Invalid("wrong_name", f"To delete this tenant, give its name: {its!r}.")
    return TaskOut.of(await tenant_deletion.begin(rt, caller.tenant_id))
