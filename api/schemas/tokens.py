"""Tokens."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas.common import In, Out
from api.schemas.keys import Scope


class TokenIn(In):
    scopes: Annotated[
        list[Scope] | None, Field(min_length=1, max_length=3, description="Fewer than the key's; default: the same.")
    ] = None


class TokenOut(Out):
    access_token: Annotated[str, Field(description="A JWT, to be sent as the API key is.")]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  RFC 6750's word, no secret
    expires_at: datetime
    scopes: list[Scope]
