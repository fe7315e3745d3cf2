"""What routes depend on, as types: the Runtime, and the caller: what for it may ask, how often and for how much."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial, wraps
from math import inf
from typing import Annotated, Any, ParamSpec, TypeVar, cast

import structlog
from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from api import parameters
from api.errors import request_id_of
from footnote import deadline, text
from footnote.errors import Forbidden, Unauthenticated
from footnote.runtime import Runtime
from footnote.settings import RouteClass
from footnote.tenancy import access_tokens, keys, oidc, quotas, rate_limits
from footnote.tenancy.keys import Principal

DELETION_SECONDS = 600.0  # of a document with hundred thousands of chunks

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="API key",
    description="`Authorization: Bearer` and an API key (`fn_...`), a token for one (`POST /v1/tokens`), or a token of "
    "the OIDC issuer where one is configured.",
)


async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _plain(value: str) -> str:
    """As it was cleaned when it was stored; NUL, which Postgres refuses, is no part of any name."""
    if "\x00" in value:
        raise ValueError("must not hold NUL")
    return text.clean(value)


# Names and ids as callers give them to look something up.
Plain = Annotated[str, AfterValidator(_plain)]


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


def _not_a_number(value: Any) -> Any:
    """A bare number would be taken for the seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().lstrip("+-").isdecimal()):
        raise ValueError("must be a time as RFC 3339 has it: 2026-01-31T12:00:00Z")
    return value


# As a string, which is all that JSON and a query have for it.
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_not_a_number), AfterValidator(_utc)]
OperatorDep = Annotated[Runtime, Depends(_runtime)]  # sees all tenants


def _presented(request: Request) -> str:
    """The key or token. Raises Unauthenticated, with what to send, where there is none."""
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
        raise Unauthenticated("invalid_api_key", f"The Authorization header has no key behind `Bearer`: {how}.")
    raise Unauthenticated("invalid_api_key", f"The Authorization header is not of the scheme Bearer: {how}.")


async def principal_of(rt: Runtime, request: Request) -> Principal:
    """Who is asking, as of now. Raises Unauthenticated; with a person's token also Forbidden and Unavailable."""
    presented = _presented(request)
    if rt.issuer is not None and access_tokens.issuer_of(presented) == rt.issuer.url:
        return await oidc.verify(rt, rt.issuer, presented)
    async with rt.transaction() as session:
        verify = access_tokens.verify if access_tokens.looks_like_one(presented) else keys.verify
        return await verify(session, presented)


async def _principal(
    rt: OperatorDep, request: Request, _shown_in_docs: Annotated[Any, Security(bearer)]
) -> AsyncIterator[Principal]:
    """Counted among the tenant's requests until the last of the answer is sent."""
    principal = await principal_of(rt, request)
    request.state.principal = principal  # for the log line of the request
    structlog.contextvars.bind_contextvars(tenant_id=principal.tenant_id, key_id=principal.key_id)
    with rate_limits.one_at_once(rt.in_flight, principal.tenant_id, rt.settings.requests_at_once):
        yield principal


async def _acting(rt: OperatorDep, request: Request, principal: Annotated[Principal, Depends(_principal)]) -> Runtime:
    return rt.for_tenant(principal.tenant_id).as_actor(principal.key_id, request_id_of(request))


RuntimeDep = Annotated[Runtime, Depends(_acting)]  # acts for the caller's tenant, at the caller's request


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def again_while_busy(route: Callable[Given, Awaitable[Answer]]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """For a route whose `rt` it writes with in one transaction: done again where others' locks had that rolled back."""

    @wraps(route)
    async def again(*args: Given.args, **given: Given.kwargs) -> Answer:
        return await cast(Runtime, given["rt"]).again_while_busy(partial(route, *args, **given))

    return again


class _Door:
    """Lets a caller in who has the scope, and has not asked too often; if it `costs`, one with money left."""

    def __init__(self, scope: str | None, route_class: RouteClass, *, costs: bool = False) -> None:
        self.scope = scope
        self.route_class = route_class
        self.costs = costs

    async def __call__(
        self, request: Request, rt: RuntimeDep, principal: Annotated[Principal, Depends(_principal)]
    ) -> Principal:
        if self.scope is not None and not principal.may(self.scope):
            raise Forbidden("missing_scope", f"The API key lacks the scope {self.scope!r}.")
        self._allow_time(request)
        await self._keep_pace(request, rt, principal)
        parameters.check(request)
        if self.costs:
            adding = self.route_class == "upload"
            async with rt.transaction() as session:
                await keys.check_budget(session, principal)
                await quotas.check_left(session, rt.settings, adding=adding)
        return principal

    def _allow_time(self, request: Request) -> None:
        """Most answers are due in a minute (`api.middleware`); these take longer where nothing is wrong."""
        if self.route_class in ("upload", "query"):
            deadline.allow(inf)  # the body, or the model, has limits of its own
        elif request.method == "DELETE":
            deadline.allow(DELETION_SECONDS)

    async def _keep_pace(self, request: Request, rt: Runtime, principal: Principal) -> None:
        limit = principal.rates.get(self.route_class, rt.settings.rates[self.route_class])
        standing = await rate_limits.take(rt.shared, principal.key_id, self.route_class, limit) if limit else None
        if standing is None:
            return
        # As draft-ietf-httpapi-ratelimit-headers-10 has it.
        said = {
            "ratelimit-policy": f'"{self.route_class}";q={standing.limit};w={rate_limits.WINDOW_SECONDS}',
            "ratelimit": f'"{self.route_class}";r={standing.left};t={standing.more}',
        }
        request.state.headers.update(said)
        if standing.wait:
            raise rate_limits.refusal(standing, self.route_class)


Anyone = Annotated[Principal, Depends(_Door(None, "write"))]
Reader = Annotated[Principal, Depends(_Door("read", "read"))]
Asker = Annotated[Principal, Depends(_Door("read", "query", costs=True))]
Writer = Annotated[Principal, Depends(_Door("write", "write"))]
Uploader = Annotated[Principal, Depends(_Door("write", "upload", costs=True))]
Admin = Annotated[Principal, Depends(_Door("admin", "write"))]
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
