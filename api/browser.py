"""Requests of a browser: the cookie of its session, and whether a request comes from our own page.

A cookie comes with every request that a browser sends here, whichever page asked for it. So it counts only if the
browser says that our page did (`Sec-Fetch-Site`), and for changes only with a header that other pages cannot add
without a CORS preflight, which does not allow it.
"""

from urllib.parse import urlsplit

from fastapi import Request, Response

from footnote.errors import Forbidden, Unauthenticated
from footnote.runtime import Runtime
from footnote.tenancy import sessions

PAGE_HEADER = "x-footnote"
PAGE = "ui"
_READING = ("GET", "HEAD")


def is_from_page(request: Request) -> bool:
    """Whether our page sent the request. Browsers send `Sec-Fetch-Site` over https and to loopback; over http to
    other hosts an `Origin` or `Referer` must be ours."""
    site = request.headers.get("sec-fetch-site")
    if site is None:
        origin = request.headers.get("origin") or request.headers.get("referer", "")
        if not _is_ours(origin, request):
            return False
    elif site != "same-origin":
        return False
    return request.method in _READING or request.headers.get(PAGE_HEADER) == PAGE


def _is_ours(origin: str, request: Request) -> bool:
    try:
        named = urlsplit(origin)
    except ValueError:
        return False
    return named.scheme in ("http", "https") and named.netloc == request.headers.get("host")


def check_from_page(request: Request) -> None:
    """Raises Forbidden for a request of another page or program: it could log people in as another."""
    if not is_from_page(request):
        how = f"with the header `X-Footnote: {PAGE}` and from the same origin"
        raise Forbidden("cross_origin", f"Only Footnote's own page opens a session, {how}. Programs send a key.")


async def secret_of(rt: Runtime, request: Request) -> str | None:
    """The value of the session cookie; None without one, or if the request has a key.

    Raises Unauthenticated for a cookie that does not count.
    """
    if "authorization" in request.headers or "x-api-key" in request.headers or "footnote-" not in _cookies(request):
        return None
    secret = request.cookies.get(await _name(rt, request))
    if secret and not is_from_page(request):
        raise Unauthenticated("invalid_api_key", "A session is accepted only from Footnote's own page.")
    return secret or None


def _cookies(request: Request) -> str:
    return request.headers.get("cookie", "")


async def _name(rt: Runtime, request: Request) -> str:
    """With `__Host-` where a browser takes it. The name of the installation keeps two on one host apart."""
    state = request.app.state
    if not hasattr(state, "installation"):
        async with rt.operator.transaction() as session:
            state.installation = await sessions.installation(session)
    return f"{'__Host-' if _is_trustworthy(request) else ''}footnote-{state.installation}"


def _is_trustworthy(request: Request) -> bool:
    """Whether the browser reached us by https or on loopback, whatever a proxy changed: only then it says more."""
    return "sec-fetch-site" in request.headers or request.headers.get("origin", "").startswith("https:")


async def give(rt: Runtime, request: Request, response: Response, secret: str) -> None:
    """Sets the cookie. An empty secret deletes it."""
    response.set_cookie(
        await _name(rt, request),
        secret,
        max_age=sessions.LONGEST_SECONDS if secret else 0,
        path="/",
        secure=_is_trustworthy(request),
        httponly=True,
        samesite="strict",
    )
