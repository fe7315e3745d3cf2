"""Every error as application/problem+json (RFC 9457), and the table from kinds to statuses.

Below `/openai/` the same errors have the form of `api.openai.errors`.
"""

import json
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import format_sse_event
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api import hints
from api.openai import errors as openai_errors
from footnote.errors import FootnoteError, Invalid, in_words
from footnote.telemetry import log
from footnote.text import clean

STATUS = {
    "conflict": 409,
    "document_rejected": 422,
    "forbidden": 403,
    "gone": 410,
    "internal": 500,
    "invalid": 422,
    "not_found": 404,
    "provider_rejected": 502,
    "rate_limited": 503,  # a provider's limit, not the caller's
    "timed_out": 504,
    "too_large": 413,
    "too_many_requests": 429,
    "unauthenticated": 401,
    "unavailable": 503,
    "unsupported": 415,
}
RETRY_SECONDS = 5.0
MOST_FIELDS = 20  # a body with a million wrong fields must not give an answer of that size


def refusal(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    *,
    fields: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error in the form that the clients of the path read."""
    if openai_errors.is_below(scope["path"]):
        return openai_errors.refusal(status, code, detail, fields=fields, headers=headers)
    return problem(scope["state"]["request_id"], status, code, detail, fields=fields, headers=headers)


def problem(
    request_id: str,
    status: int,
    code: str,
    detail: str,
    *,
    fields: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = _body(request_id, status, code, detail, fields)
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _body(request_id: str, status: int, code: str, detail: str, fields: list[dict[str, Any]] | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:footnote:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    return body | {"errors": fields} if fields else body


def problem_body(request_id: str, error: FootnoteError) -> dict[str, Any]:
    """The error as one of several results in a body, or as an event of a stream."""
    return stored_problem_body(request_id, vars(error) | {"kind": error.kind})


def stored_problem_body(request_id: str, stored: dict[str, Any]) -> dict[str, Any]:
    """The same from the stored fields of an error."""
    status = STATUS[stored["kind"]]
    body = _body(request_id, status, stored["code"], stored["message"], stored["fields"])
    if status in (429, 503, 504):
        body["retry_after"] = math.ceil(stored.get("retry_after") or RETRY_SECONDS)
    return body


def of_error(scope: Scope, error: FootnoteError) -> JSONResponse:
    """`Retry-After` is in the body of a problem, too: in a stream or a batch there is no header."""
    body = problem_body(scope["state"]["request_id"], error)
    headers = {}
    if "retry_after" in body:
        headers["Retry-After"] = str(body["retry_after"])
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if openai_errors.is_below(scope["path"]):
        return openai_errors.refusal(body["status"], error.code, error.message, fields=error.fields, headers=headers)
    return JSONResponse(body, body["status"], headers, media_type="application/problem+json")


def error_event(scope: Scope, error: FootnoteError) -> bytes:
    """The last event of a stream that fails."""
    if openai_errors.is_below(scope["path"]):
        return openai_errors.event(openai_body(error))
    return format_sse_event(event="error", data_str=json.dumps(problem_body(scope["state"]["request_id"], error)))


def openai_body(error: FootnoteError) -> dict[str, Any]:
    return openai_errors.body_of(STATUS[error.kind], error.code, error.message, error.fields)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _fields(error: RequestValidationError | ValidationError) -> list[dict[str, Any]]:
    """Field and message, without the input: it may hold NaN, which JSON cannot carry, or NUL, which jsonb cannot."""
    return [
        {"field": clean(".".join(map(str, each["loc"]))[:200]), "message": clean(_message(each)[:500])}
        for each in error.errors()[:MOST_FIELDS]
    ]


def _message(problem: Any) -> str:
    if problem["type"] == "json_invalid":  # the parser says what it expected
        return f"{problem['ctx']['error']} (character {problem['loc'][-1]})"
    return str(problem["msg"]).removeprefix("Value error, ")


async def _on_domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FootnoteError)
    return of_error(request.scope, error)


def invalid(error: ValidationError) -> Invalid:
    """The error of one of several requests in a body."""
    return Invalid.in_fields(_fields(error))


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = _fields(error)
    messages = " ".join(each["message"] for each in fields)
    of_body = any(each["loc"] == ("body",) for each in error.errors())
    content_type = request.headers.get("content-type")
    if any(each["type"] == "json_invalid" for each in error.errors()):
        code, detail = "invalid_json", f"The body is not JSON: {messages}."
    elif of_body and any(each["type"] == "missing" for each in error.errors()):
        code, detail = "invalid_request", "The request has no body: send JSON."
    elif of_body and not hints.is_json(content_type):
        code, detail = "invalid_request", hints.not_json(content_type)
        fields = [{"field": "header.content-type", "message": f"must be {hints.JSON}"}]
    else:
        code, detail = "invalid_request", in_words(fields)
    if code == "invalid_request" and openai_errors.is_below(request.scope["path"]):
        code = openai_errors.code_of(error.errors()[0]["type"])
    return refusal(request.scope, 422, code, detail, fields=fields)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI's answer to JSON that is nested too deeply, not UTF-8, ...
        return refusal(request.scope, 422, "invalid_json", "The body is not readable JSON.")
    code = HTTPStatus(error.status_code).name.lower()
    detail, headers = str(error.detail), dict(error.headers or {})
    path = request.url.path
    if error.status_code == 405:
        headers["Allow"] = ", ".join(hints.allowed_at(request.app.state.routes, path)) or headers.get("Allow", "")
        detail = f"{request.method} is not possible here; this path takes {headers['Allow']}."
    elif error.status_code == 404:
        other = hints.instead_of(request.app.state.routes, path)
        detail = f"This path does not exist; did you mean {other}?" if other else "This path does not exist."
        code = "unknown_url" if openai_errors.is_below(path) else code
    return refusal(request.scope, error.status_code, code, detail, headers=headers)


def of_unexpected(scope: Scope, error: Exception) -> JSONResponse:
    """For unexpected errors. The details go to the log only."""
    log.error("request failed", exc_info=error)
    return refusal(scope, 500, "internal_error", "An unexpected error; the server's log has the details.")


def install(app: FastAPI) -> None:
    app.add_exception_handler(FootnoteError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
