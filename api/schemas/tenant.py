"""The tenant of the caller."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.schemas.common import Out


class TenantDeletionOut(Out):
    """The receipt: what was removed, without any of it."""

    tenant_id: str
    name: str
    began_at: datetime
    finished_at: datetime
    counts: Annotated[dict[str, Any], Field(description="Of documents; and `rows` of everything else, by table.")]
