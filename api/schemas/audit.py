"""The audit log."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.schemas.common import Out


class AuditEventOut(Out):
    id: str
    at: datetime
    actor: Annotated[
        str, Field(description="Id of an API key or a person, `operator` (a command on the server), or `system`.")
    ]
    request_id: Annotated[str | None, Field(description="`X-Request-ID` of the request that it was done with.")]
    action: Annotated[str, Field(description="`document.deleted`: the kind of the object, and what was done to it.")]
    object_id: str
    details: dict[str, Any]
