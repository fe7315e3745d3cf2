"""What routes depend on, as types: the Runtime, and the caller with a scope."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer

from footnote import keys
from footnote.errors import Forbidden
from footnote.keys import Principal
from footnote.runtime import Runtime

bearer = HTTPBearer(auto_error=False, scheme_name="API key", description="`Authorization: Bearer fn_...`")


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


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
Limit = Annotated[int, Query(ge=1, le=100, description="Items in one page.")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before.")]
