"""The audit log."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.schemas.common import Out


class AuditEventOut(Out):
    id: str
    at: datetime
    actor: Annotated[
        str, Field(description="Id of an API key or a person; `operator` for a command on the server; `system`.")
    ]
    request_id: Annotated[str | None, Field(description="`X-Request-ID` of the request.")]
    action: Annotated[str, Field(description="The kind of the object and the action: `document.deleted`.")]
    object_id: str
    details: dict[str, Any]
