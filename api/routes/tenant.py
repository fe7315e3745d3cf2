"""The tenant of the caller."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Admin, RuntimeDep
from api.schemas.fields import Plain
from api.schemas.tenant import TenantDeletionOut
from footnote.errors import Invalid
from footnote.operations import tenant_deletion
from footnote.tenancy import tenants

router = APIRouter(prefix="/v1/tenant", tags=["tenant"])
Name = Annotated[Plain, Query(max_length=255, description="The tenant's name, as a safeguard against mistakes.")]


@router.delete("")
async def delete_tenant(name: Name, rt: RuntimeDep, caller: Admin) -> TenantDeletionOut:
    """Delete your tenant with all its documents, keys and conversations. The receipt counts them.

    Its keys and tokens are refused at once, so you cannot repeat this request. If it is interrupted, the server
    finishes it by itself. The answer comes when everything is deleted.
    """
    async with rt.transaction() as session:
        its = await tenants.name_of(session)
    if name != its:
        raise Invalid("wrong_name", f"To delete this tenant, give its name: {its!r}.")
    return TenantDeletionOut.model_validate(await tenant_deletion.remove(rt, caller.tenant_id))
