"""Errors as OpenAI's clients read them: what was refused, which member of the request is wrong, whether to retry."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse
from fastapi.sse import format_sse_event

from api.openai import BELOW
from footnote.errors import Invalid, NotFound

STATUS = {410: 404, 415: 400, 422: 400}  # of the native status; any other one is the same
UNKNOWN = ("model_not_found", "unknown_url")  # codes of 404; all other ones are `not_found`
_COLLECTION, _DOCUMENT = re.compile(r"(?<=')col_"), re.compile(r"(?<=')doc_")  # in quotes, as our messages name them
_LOCATIONS = ("body.", "query.", "path.", "header.")


def is_below(path: str) -> bool:
    """Whether the path belongs to the API for OpenAI's clients."""
    return path.startswith(BELOW)


def refusal(
    status: int,
    code: str,
    message: str,
    *,
    fields: Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response to an error, in OpenAI's format.

    Clients repeat 408, 409, 429 and 5xx unless `x-should-retry` says no: a conflict stays, and so does what a provider
    refused for good.
    """
    status = STATUS.get(status, status)
    lasting = {"x-should-retry": "false"} if status in (409, 502) else {}
    return JSONResponse(body_of(status, code, message, fields), status, {**(headers or {}), **lasting})


def body_of(status: int, code: str, message: str, fields: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The body. `param` is the first wrong member, without its location in the request."""
    param = _param(fields[0]["field"]) if fields and code != "invalid_json" else None
    message = outward(message)
    status = STATUS.get(status, status)
    kind = "invalid_request_error"
    if status == 404 and code not in UNKNOWN:
        code = "not_found"
    elif status == 401:
        code = "invalid_api_key"
    elif status == 429:
        kind, code = "rate_limit_error", "rate_limit_exceeded"
    elif status >= 500:
        kind = "server_error"
    elif status == 400:
        code = "invalid_value" if code == "invalid_request" else code
        if fields and message.startswith(_LOCATIONS):
            message = _in_words(code, param, str(fields[0]["message"]))
    return {"error": {"message": _with_their_ids(message), "type": kind, "param": param, "code": code}}


def outward(message: str) -> str:
    """The text with the ids of OpenAI's clients."""
    return message.replace("'col_", "'vs_").replace("'file_", "'file-")


def event(body: dict[str, Any]) -> bytes:
    """The last event of a stream that fails: without a name, so that clients raise it."""
    return format_sse_event(data_str=json.dumps(body))


def wrong(param: str, message: str, code: str = "invalid_value") -> Invalid:
    """The error about one member of a request, to be raised; `param` is its dotted name."""
    return Invalid(code, message, fields=[{"field": param, "message": message}])


def missing(param: str) -> Invalid:
    return wrong(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def unsupported(param: str, message: str) -> Invalid:
    """A parameter that cannot be ignored without surprising the client."""
    return wrong(param, message, "unsupported_parameter")


def unknown(what: str, given: str) -> NotFound:
    """For ids of another tenant, too."""
    return NotFound("not_found", f"No {what} found with id '{given}'.")


def code_of(kind: str) -> str:
    """The code for a type of validation error of pydantic."""
    return "missing_required_parameter" if kind == "missing" else "invalid_value"


def _with_their_ids(message: str) -> str:
    return _DOCUMENT.sub("file-", _COLLECTION.sub("vs_", message))


def _param(field: str) -> str | None:
    location = next((each for each in _LOCATIONS if field.startswith(each)), "")
    field = field.removeprefix(location)
    return None if field in ("", "body") else field


def _in_words(code: str, param: str | None, message: str) -> str:
    if code == "missing_required_parameter":
        return f"Missing required parameter: '{param}'."
    return f"Invalid value for '{param}': {message.rstrip('.')}."
