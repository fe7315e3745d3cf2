"""Tokens."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas.common import In, Out
from api.schemas.keys import Scope


class TokenIn(In):
    scopes: Annotated[
        list[Scope] | None,
        Field(min_length=1, max_length=3, description="Some of the key's scopes. Default: all of them."),
    ] = None


class TokenOut(Out):
    access_token: Annotated[str, Field(description="A JWT. Send it like an API key.")]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  RFC 6750's word, no secret
    expires_at: datetime
    scopes: list[Scope]
