"""The tenant of the caller."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Admin, RuntimeDep
from api.schemas.fields import Plain
from api.schemas.tasks import TaskOut
from footnote.errors import Invalid
from footnote.operations import tenant_deletion
from footnote.tenancy import tenants

router = APIRouter(prefix="/v1/tenant", tags=["tenant"])
Name = Annotated[Plain, Query(max_length=255, description="The tenant's name, as a safeguard against mistakes.")]


@router.delete("", status_code=202)
async def delete_tenant(name: Name, rt: RuntimeDep, caller: Admin) -> TaskOut:
    """Delete your tenant with all its documents, keys and conversations, in the background. The answer is the task.

    Its keys and tokens are refused immediately, also for the status of the task. The operator sees the progress and the
    receipt: `footnote tenants list --deleted`.
    """
    async with rt.transaction() as session:
        its = await tenants.name_of(session)
    if name != its:
        raise Invalid("wrong_name", f"To delete this tenant, give its name: {its!r}.")
    return TaskOut.of(await tenant_deletion.begin(rt, caller.tenant_id))
