"""What routes depend on, as types: the Runtime, and the caller with a scope."""

from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator

from footnote import keys, text
from footnote.errors import Forbidden
from footnote.keys import Principal
from footnote.runtime import Runtime

bearer = HTTPBearer(auto_error=False, scheme_name="API key", description="`Authorization: Bearer fn_...`")


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _plain(value: str) -> str:
    """As it was cleaned when it was stored; NUL, which Postgres refuses, is no part of any name."""
    if "\x00" in value:
        raise ValueError("must not hold NUL")
    return text.clean(value)


# Names and ids as callers give them to look something up.
Plain = Annotated[str, AfterValidator(_plain)]
RuntimeDep = Annotated[Runtime, Depends(_runtime)]


async def _principal(rt: RuntimeDep, request: Request, _shown_in_docs: Annotated[Any, Security(bearer)]) -> Principal:
    kind, _, presented = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        presented = request.headers.get("x-api-key", "")
    async with rt.transaction() as session:
        return await keys.verify(session, presented.strip())


class _Scope:
    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, principal: Annotated[Principal, Depends(_principal)]) -> Principal:
        if not principal.may(self.scope):
            raise Forbidden("missing_scope", f"The API key lacks the scope {self.scope!r}.")
        return principal


Reader = Annotated[Principal, Depends(_Scope("read"))]
Writer = Annotated[Principal, Depends(_Scope("write"))]
Admin = Annotated[Principal, Depends(_Scope("admin"))]
Limit = Annotated[int, Query(ge=1, le=100, description="Items in one page.")]
Cursor = Annotated[Plain | None, Query(max_length=64, description="`next_cursor` of the page before.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[ -~]+$",
        description="The same key and request give the same reply for 24 hours, and are done once.",
    ),
]
