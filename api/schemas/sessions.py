"""Sessions of browsers."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from api.schemas.common import In, Out
from api.schemas.fields import Plain
from api.schemas.keys import Scope


class SessionIn(In):
    """Either a code of `POST /v1/session/codes` or an API key."""

    code: Annotated[Plain | None, Field(min_length=1, max_length=200)] = None
    key: Annotated[Plain | None, Field(min_length=1, max_length=200)] = None

    @model_validator(mode="after")
    def _is_one(self) -> "SessionIn":
        if (self.code is None) == (self.key is None):
            raise ValueError("give either `code` or `key`")
        return self


class SessionCodeOut(Out):
    code: str
    expires_at: datetime


class ServerOut(Out):
    """Capabilities of the server."""

    version: str
    formats: Annotated[list[str], Field(description="Extensions of the supported file types.")]
    max_upload_bytes: int
    direct_uploads: Annotated[bool, Field(description="Whether `POST /v1/uploads` works here.")]
    embedder: str
    generator: Annotated[str, Field(description="`extractive` quotes sentences; the others are models that write.")]
    reranker: str | None


class SessionOut(Out):
    """The caller, and the capabilities of the server."""

    key_id: str
    key_name: Annotated[str | None, Field(description="Null for a person of the OIDC issuer.")]
    tenant_id: str
    tenant: str
    scopes: list[Scope]
    server: ServerOut


class SessionEndOut(Out):
    ended: Annotated[bool, Field(description="False if the request came with a key and no session.")]
