"""What calls raise."""

from typing import NamedTuple

from footnote.client.shapes import Json

NOT_NOW = {429, 502, 503, 504}


class WrongField(NamedTuple):
    """`field` is where the value is in the request: `body.top_k`."""

    field: str
    message: str


class ApiError(Exception):
    """A call failed. `code` is stable, see docs/errors.md; `message` is for a person.

    `status`, `request_id` and `fields` are what the server said, where it did; `field` is the first of the wrong ones.
    After `retry_after` seconds the same call may succeed.
    """

    status: int | None = None
    request_id: str | None = None
    fields: tuple[WrongField, ...] = ()
    retry_after: float | None = None
    temporary = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def field(self) -> str | None:
        return self.fields[0].field if self.fields else None


class ServerUnreachableError(ApiError):
    """Nothing could be connected to at the address: the server has not seen the request."""

    temporary = True


class ConnectionLostError(ApiError):
    """The connection ended, or was silent for too long, before the answer was complete."""

    temporary = True


class NotFootnoteError(ApiError):
    """The server at the address is not Footnote's API."""


class RefusedError(ApiError):
    """The API answered with a problem (RFC 9457), which `problem` has as it arrived."""

    def __init__(self, status: int, problem: Json, retry_after: float | None = None) -> None:
        fields = tuple(WrongField(str(e.get("field")), str(e.get("message"))) for e in problem.get("errors") or ())
        messages = "; ".join(f"{each.field}: {each.message}" for each in fields)
        super().__init__(
            str(problem.get("code") or status), messages or str(problem.get("detail") or "The server gave no reason.")
        )
        self.status, self.problem, self.fields = status, problem, fields
        self.request_id = problem.get("request_id")
        self.retry_after = retry_after if retry_after is not None else problem.get("retry_after")
        self.temporary = status in NOT_NOW or self.code == "request_in_flight"

    def __str__(self) -> str:
        """`message (code, request id)`."""
        origin = ", ".join(str(self.problem[name]) for name in ("code", "request_id") if self.problem.get(name))
        return f"{self.message} ({origin})" if origin else self.message


class AuthenticationError(RefusedError):
    """There is no key, or it is not valid."""


class PermissionDeniedError(RefusedError):
    """The key lacks a scope, or its budget or a quota is used up."""


class UnknownIdError(RefusedError):
    """The id is unknown, or not visible to the key."""


class ConflictError(RefusedError):
    """The state of the object does not allow it."""


class DeletedError(RefusedError):
    """It was there, and has been deleted."""


class UploadTooLargeError(RefusedError):
    """The file, or the request, is larger than is accepted."""


class UnsupportedTypeError(RefusedError):
    """This type of file cannot be read."""


class InvalidRequestError(RefusedError):
    """A value is wrong: see `fields`."""


class RateLimitError(RefusedError):
    """The key asks more often than it may: see `retry_after`."""


class ServerUnavailableError(RefusedError):
    """The server, or a part of it, is temporarily unavailable."""


BY_STATUS: dict[int, type[RefusedError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: UnknownIdError,
    409: ConflictError,
    410: DeletedError,
    413: UploadTooLargeError,
    415: UnsupportedTypeError,
    422: InvalidRequestError,
    429: RateLimitError,
    502: ServerUnavailableError,
    503: ServerUnavailableError,
    504: ServerUnavailableError,
}


def refusal(status: int, problem: Json, retry_after: float | None = None) -> RefusedError:
    return BY_STATUS.get(status, RefusedError)(status, problem, retry_after)


class DocumentFailedError(ApiError):
    """A document that was waited for has failed, or was cancelled. `code` says why."""

    def __init__(self, document_id: str, code: str, message: str) -> None:
        super().__init__(code, message)
        self.document_id = document_id


class WaitTimeoutError(ApiError, TimeoutError):
    """The document is not ready yet. Its ingestion continues."""
