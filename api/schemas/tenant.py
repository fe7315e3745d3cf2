"""The tenant of the caller."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.schemas.common import Out


class TenantDeletionOut(Out):
    """The receipt: counts of what was deleted."""

    tenant_id: str
    name: str
    began_at: datetime
    finished_at: datetime
    counts: Annotated[
        dict[str, Any],
        Field(description="Documents and what was made from them; `rows` counts everything else by table."),
    ]
