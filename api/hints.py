"""Hints in error messages: for an unknown name, a body of the wrong type, an unknown path."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from email.message import Message

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

# Names that other products use for the same thing.
_SAME = (
    {"question", "query", "q", "prompt", "input", "search"},
    {"top_k", "k", "limit", "n", "count", "size"},
    {"text", "content", "body"},
    {"cursor", "page", "offset", "after"},
    {"url", "uri", "link", "href"},
    {"callback_url", "callback", "webhook", "webhook_url", "url"},
    {"name", "title"},
)
MOST_NAMES = 12  # that a message lists
LONGEST_NAME = 64
ALIKE = 0.7  # `grp` is `group`; `sort` is not `cursor`
JSON = "application/json"


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """The message about an unknown name of a `what` (field, parameter), with the likely name or all known ones."""
    names = sorted(known)
    alike = [each for group in _SAME if name.lower() in group for each in names if each in group]
    alike = alike or get_close_matches(name.lower()[:LONGEST_NAME], names, n=1, cutoff=ALIKE)
    if alike:
        return f"There is no such {what}; did you mean `{alike[0]}`?"
    if not names:
        return f"There is no such {what}: this request takes none."
    more = ", ..." if len(names) > MOST_NAMES else ""
    return f"There is no such {what}; known: {', '.join(names[:MOST_NAMES])}{more}."


def media_type(content_type: str | None) -> str:
    """The media type in lower case, without parameters; empty if there is none."""
    if not content_type:
        return ""
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type()


def is_json(content_type: str | None) -> bool:
    kind, _, subtype = media_type(content_type).partition("/")
    return kind == "application" and (subtype == "json" or subtype.endswith("+json"))


def not_json(content_type: str | None) -> str:
    came = f"The body came as {media_type(content_type)}" if content_type else "The body has no Content-Type"
    return f"{came}: send JSON, with the header `Content-Type: {JSON}`."


def not_a_form(content_type: str | None) -> str:
    form = "Send multipart/form-data with a part named `file`, as `curl -F file=@report.pdf` does"
    if media_type(content_type) == "multipart/form-data":
        return "The Content-Type has no boundary: leave the header to your HTTP library, which sets both."
    if is_json(content_type):
        return f"{form}. A text as JSON goes to /v1/documents/text, an address to /v1/documents/url."
    if not content_type:
        return f"{form}; this body has no Content-Type."
    return f"{form}, not {media_type(content_type)}. The bare bytes of a file go to PUT /v1/uploads/NAME."


def allowed_at(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """The methods of all routes that match a path."""
    found = (route for route in routes if isinstance(route, APIRoute) and route.path_regex.match(path))
    return sorted({method for route in found for method in route.methods or ()})


def instead_of(routes: Sequence[BaseRoute], path: str) -> str:
    """The path that the caller may have meant; empty if there is no similar one."""
    bare = path.rstrip("/")
    for other in (bare, f"{path}/", f"/v1{path}", f"/v1{bare}", path.lower(), f"/openai{bare}", f"/openai/v1{bare}"):
        if other != path and allowed_at(routes, other):
            return other
    static = [route.path for route in routes if isinstance(route, APIRoute) and "{" not in route.path]
    return next(iter(get_close_matches(bare[:200], static, n=1, cutoff=0.8)), "")
