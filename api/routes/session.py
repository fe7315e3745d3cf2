"""The session of a browser, which acts for an API key by a cookie."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api import browser, parameters
from api.deps import Access, Anyone, OperatorDep, RuntimeDep, again_while_busy
from api.errors import request_id_of
from api.schemas.sessions import ServerOut, SessionCodeOut, SessionEndOut, SessionIn, SessionOut
from footnote import __version__, formats
from footnote.runtime import Runtime
from footnote.tenancy import keys, sessions
from footnote.tenancy.keys import Principal

router = APIRouter(prefix="/v1/session", tags=["session"])
Visitor = Annotated[Principal, Depends(Access(None, "read"))]


@router.post("", status_code=201, dependencies=[Depends(parameters.check)])
async def create_session(body: SessionIn, request: Request, response: Response, rt: OperatorDep) -> SessionOut:
    """Open a session: the answer sets a cookie, which acts for the key.

    Only a page from the same origin can do this. A session ends after 12 hours without a request, after 30 days, and
    with its key. A code can be used once.
    """
    browser.check_from_page(request)
    secret = await _opened(rt, body, request_id_of(request))
    principal = (await sessions.verify(rt, secret)).principal
    await browser.give(rt, request, response, secret)
    return await _session(rt.for_tenant(principal.tenant_id), principal)


async def _opened(rt: Runtime, body: SessionIn, request_id: str) -> str:
    if body.code is not None:
        return await sessions.open_by_code(rt.as_actor("", request_id), body.code)
    holder = (await keys.verify(rt, body.key or "")).principal
    async with rt.for_tenant(holder.tenant_id).as_actor(holder.key_id, request_id).transaction() as session:
        return await sessions.open_for(session, holder)


@router.get("")
async def get_session(rt: RuntimeDep, caller: Visitor) -> SessionOut:
    """Get the caller and its rights, and what the server supports."""
    return await _session(rt, caller)


async def _session(rt: Runtime, caller: Principal) -> SessionOut:
    async with rt.transaction() as session:
        tenant, key_name = await keys.names(session, caller.key_id)
    return SessionOut(
        key_id=caller.key_id,
        key_name=key_name,
        tenant_id=caller.tenant_id,
        tenant=tenant,
        scopes=[scope for scope in keys.SCOPES if scope in caller.scopes],
        server=_server(rt),
    )


def _server(rt: Runtime) -> ServerOut:
    return ServerOut(
        version=__version__,
        formats=sorted({ending for endings in formats.supported().values() for ending in endings}),
        max_upload_bytes=rt.settings.max_upload_bytes,
        direct_uploads=rt.store.parts is not None,
        embedder=f"{rt.embedder.provider}/{rt.embedder.model}",
        generator=f"{rt.generator.provider}/{rt.generator.model}",
        reranker=f"{rt.reranker.provider}/{rt.reranker.model}" if rt.reranker else None,
    )


@router.delete("")
async def delete_session(request: Request, response: Response, rt: RuntimeDep, caller: Visitor) -> SessionEndOut:
    """End the session of the cookie."""
    secret = await browser.secret_of(rt, request)
    if secret is None:
        return SessionEndOut(ended=False)
    async with rt.transaction() as session:
        ended = await sessions.end(session, secret)
    await browser.give(rt, request, response, "")
    return SessionEndOut(ended=ended)


@router.post("/codes", status_code=201)
@again_while_busy
async def create_session_code(rt: RuntimeDep, caller: Anyone) -> SessionCodeOut:
    """Create a code that opens a session for your key, once and within a minute. `footnote open` does this."""
    async with rt.transaction() as session:
        code, ends = await sessions.issue_code(session, caller)
    return SessionCodeOut(code=code, expires_at=ends)
