"""Dependencies of routes: the Runtime, and the caller with its scope, rate limit and budget."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial, wraps
from math import inf
from typing import Annotated, Any, ParamSpec, TypeVar, cast

import structlog
from fastapi import Depends, Header, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from api import browser, parameters
from api.errors import request_id_of
from footnote import deadline
from footnote.errors import Forbidden, Unauthenticated
from footnote.runtime import Runtime
from footnote.settings import RouteClass
from footnote.tenancy import access_tokens, keys, oidc, quotas, rate_limits, sessions, usage
from footnote.tenancy.keys import Principal, Verified

DELETION_SECONDS = 600.0  # for a document with hundreds of thousands of chunks

bearer = HTTPBearer(auto_error=False, scheme_name="bearer")


async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


OperatorDep = Annotated[Runtime, Depends(_runtime)]  # sees all tenants


def _presented(request: Request) -> str:
    """The key or token. Raises Unauthenticated, which says what to send, if there is none."""
    given = request.headers.get("authorization", "").strip()
    kind, _, bearer = given.partition(" ")
    if kind.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    if key := request.headers.get("x-api-key", "").strip():
        return key
    how = "send the header `Authorization: Bearer fn_...`, or `X-API-Key: fn_...`"
    if not given:
        raise Unauthenticated("invalid_api_key", f"No API key was given: {how}.")
    if kind.lower() == "bearer":
        raise Unauthenticated("invalid_api_key", f"The Authorization header has no key after `Bearer`: {how}.")
    raise Unauthenticated("invalid_api_key", f"The Authorization header does not have the scheme Bearer: {how}.")


async def principal_of(rt: Runtime, request: Request) -> Principal:
    """The present caller. Raises Unauthenticated; for an OIDC token also Forbidden and Unavailable."""
    costs = _costs(request)
    if (secret := await browser.secret_of(rt, request)) is not None:
        return await _known(rt, request, sessions.verify, secret, costs=costs)
    return await program_of(rt, request, costs=costs)


async def program_of(rt: Runtime, request: Request, *, costs: bool) -> Principal:
    """The caller by its key or token alone, without a browser's cookie. Raises what `principal_of` does."""
    presented = _presented(request)
    if rt.issuer is not None and access_tokens.issuer_of(presented) == rt.issuer.url:
        return await oidc.verify(rt, rt.issuer, presented)
    verify = access_tokens.verify if access_tokens.looks_like_token(presented) else keys.verify
    return await _known(rt, request, verify, presented, costs=costs)


async def _known(
    rt: Runtime, request: Request, verify: Callable[..., Awaitable[Verified]], presented: str, *, costs: bool
) -> Principal:
    """The caller whom the request presents something of; if the request `costs`, with what it spent of its limits."""
    found = await verify(rt, presented)
    if costs and _is_limited(rt, found):
        await usage.write_counted(rt.for_tenant(found.principal.tenant_id))
        found = await verify(rt, presented, to_spend=True)
    request.state.verified = found  # for `Access`, which checks what is left
    return found.principal


def _is_limited(rt: Runtime, found: Verified) -> bool:
    """Whether the caller has a budget or quota."""
    limits = quotas.among(rt.settings, found.quotas)
    return bool(found.principal.budget or limits.keys() & {"tokens", "usd"})


# FastAPI looks through all that a dependency depends on wherever it stands, though it calls it once: hence few of them.
async def _principal(request: Request, _shown_in_docs: Annotated[Any, Security(bearer)]) -> AsyncIterator[Principal]:
    """Counts the request as running for its tenant until the answer is sent completely."""
    rt = await _runtime(request)
    principal = await principal_of(rt, request)
    request.state.principal = principal  # for the log line of the request
    structlog.contextvars.bind_contextvars(tenant_id=principal.tenant_id, key_id=principal.key_id)
    with rate_limits.counted_in_flight(rt.in_flight, principal.tenant_id, rt.settings.requests_at_once):
        yield principal


async def _acting(request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Runtime:
    rt = await _runtime(request)
    return rt.for_tenant(principal.tenant_id).as_actor(principal.key_id, request_id_of(request))


RuntimeDep = Annotated[Runtime, Depends(_acting)]  # acts for the caller's tenant, on the caller's behalf


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def again_while_busy(route: Callable[Given, Awaitable[Answer]]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """For a route that writes in one transaction of its `rt`: repeats it if locks of others rolled it back."""

    @wraps(route)
    async def again(*args: Given.args, **given: Given.kwargs) -> Answer:
        return await cast(Runtime, given["rt"]).again_while_busy(partial(route, *args, **given))

    return again


class Access:
    """Checks the scope and the rate limit of the caller; if the route `costs`, also its remaining budget."""

    def __init__(self, scope: str | None, route_class: RouteClass, *, costs: bool = False) -> None:
        self.scope = scope
        self.route_class = route_class
        self.costs = costs

    async def __call__(self, request: Request, rt: RuntimeDep) -> Principal:
        principal = await self.admit(request, rt)
        parameters.check(request)
        return principal

    async def admit(self, request: Request, rt: Runtime) -> Principal:
        """The caller, for whom `rt` acts. Raises Forbidden and TooManyRequests."""
        principal: Principal = request.state.principal
        if self.scope is not None and not principal.may(self.scope):
            raise Forbidden("missing_scope", f"The API key lacks the scope {self.scope!r}.")
        self._allow_time(request)
        await self._check_rate(request, rt, principal)
        if self.costs:
            await self._check_left(request, rt, principal)
        return principal

    async def _check_left(self, request: Request, rt: Runtime, principal: Principal) -> None:
        """By what was read with the key; what is stored, and the token of an OIDC issuer, is asked for now."""
        adding = self.route_class == "upload"
        found: Verified | None = getattr(request.state, "verified", None)
        if found is None:
            await usage.write_counted(rt)
            async with rt.transaction() as session:
                return await quotas.check_left(session, rt.settings, adding=adding)
        keys.check_budget(principal, found.spent)
        limits = quotas.among(rt.settings, found.quotas)
        if adding and quotas.limits_storage(limits):
            async with rt.transaction() as session:
                await quotas.check_storage(session, limits)
        quotas.check_spending(limits, found.spent_by_tenant)

    def _allow_time(self, request: Request) -> None:
        """Most answers are due in a minute (`api.middleware`); these may take longer."""
        if self.route_class in ("upload", "query"):
            deadline.allow(inf)  # the body or the model has its own limits
        elif request.method == "DELETE":
            deadline.allow(DELETION_SECONDS)

    async def _check_rate(self, request: Request, rt: Runtime, principal: Principal) -> None:
        limit = principal.rates.get(self.route_class, rt.settings.rates[self.route_class])
        allowance = (
            await rate_limits.count_request(rt.shared, principal.key_id, self.route_class, limit) if limit else None
        )
        if allowance is None:
            return
        # As in draft-ietf-httpapi-ratelimit-headers-10.
        said = {
            "ratelimit-policy": f'"{self.route_class}";q={allowance.limit};w={rate_limits.WINDOW_SECONDS}',
            "ratelimit": f'"{self.route_class}";r={allowance.left};t={allowance.more}',
        }
        request.state.headers.update(said)
        if allowance.wait:
            raise rate_limits.refusal(allowance, self.route_class)


def _costs(request: Request) -> bool:
    """Whether the requested route has a cost."""
    access = access_of(request.scope["route"])
    return access is not None and access.costs


def access_of(route: APIRoute) -> Access | None:
    """The scope that the route needs; None if it needs no key."""
    return next((each.call for each in route.dependant.dependencies if isinstance(each.call, Access)), None)


Anyone = Annotated[Principal, Depends(Access(None, "write"))]
Reader = Annotated[Principal, Depends(Access("read", "read"))]
Asker = Annotated[Principal, Depends(Access("read", "query", costs=True))]
Writer = Annotated[Principal, Depends(Access("write", "write"))]
Uploader = Annotated[Principal, Depends(Access("write", "upload", costs=True))]
Admin = Annotated[Principal, Depends(Access("admin", "write"))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[ -~]+$",
        description="For 24 hours, the same key and request get the same reply, and the request is processed once.",
    ),
]
