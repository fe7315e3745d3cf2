"""The tree of errors. The domain raises a *kind* of error with a stable code. `api/errors.py` maps kinds to HTTP
statuses; `retryable` says whether a job is tried again.

    FootnoteError
    ├── Invalid            the request or document cannot be accepted as it is
    ├── Unauthenticated    no key, or an unknown key
    ├── Forbidden          a valid key without the scope, or whose budget or quota is used up
    ├── NotFound           unknown id, or another tenant's
    ├── Gone               it existed and was deleted (TenantDeleted: the caller's tenant)
    ├── Conflict           the current state does not allow it
    ├── TooLarge           over a size limit
    ├── Unsupported        a type we cannot read
    ├── DocumentRejected   the document was read but cannot be used (permanent)
    ├── ProviderRejected   the provider refuses permanently: unknown model, ... (permanent; BatchTooLarge: in one call;
    │                      AccountRefused: a bad key, or an unpaid account)
    ├── TooManyRequests    the caller exceeds the rate limit of its key
    ├── RateLimited        the provider's rate limit; it said when to try again
    ├── Unavailable        a part is unavailable; try again (DatabaseUnavailable: Postgres, or, Busy, a lock in it;
    │                      CircuitOpen: a failing provider that was not called; Crashed: one of our processes)
    └── TimedOut           a part is too slow; try again
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

# Every code with which a document or a job can fail, and the message for users.
# docs/errors.md is generated from this table.
CODES: dict[str, str] = {
    "answer_timeout": "The model did not complete its answer in the allowed time.",
    "archive_too_large": "The unpacked content of the file is larger than allowed.",
    "bad_encoding": "The text encoding of the file could not be recognised.",
    "busy": "Other requests are changing the same data; try again in a moment.",
    "corrupt_file": "The file is damaged and could not be read.",
    "database_unavailable": "The database was unavailable for too long.",
    "embedding_model_changed": "The collection's embedding model is unavailable, or now has vectors of another length.",
    "empty_file": "The file is empty.",
    "encrypted": "The file is protected by a password.",
    "fetch_failed": "The address could not be reached, or answered with a temporary error.",
    "fetch_refused": "The address refused to deliver the file.",
    "internal_error": "An unexpected error; the server's log has the details under the request id.",
    "model_missing": "The local embedding model is not installed.",
    "model_swap_running": "The model of the collection is being swapped: drop that swap first.",
    "model_weights_mismatch": "The weights of the local embedding model are not the expected ones.",
    "no_text": "No text was found in the file: it is empty, or a scan that needs text recognition.",
    "object_missing": "The stored file is missing in the object store.",
    "ocr_unusable": "Text recognition does not work here: `tesseract --list-langs` fails.",
    "parser_unavailable": "The parser process was killed or did not start; try again.",
    "provider_bad_response": "The model provider sent an answer that cannot be used.",
    "provider_rejected": "The model provider refused the request permanently.",
    "provider_timeout": "The model provider took too long.",
    "provider_unavailable": "The model provider could not be reached or is overloaded.",
    "store_unavailable": "The object store could not be reached.",
    "too_complex": "Reading the file took more time or memory than is allowed.",
    "too_many_dimensions": "The vectors of the embedding model are longer than can be indexed.",
    "too_large": "The file is larger than allowed.",
    "type_mismatch": "The content of the file has another type than its name says.",
    "unsupported_type": "This type of file is not supported.",
    "worker_crashed": "The worker died repeatedly while working on the document.",
}


class FootnoteError(Exception):
    """Base class of all expected errors.

    `code` is stable and machine readable, `message` is for a person, `retry_after` is in seconds. A job with a
    retryable error shows `waits_for` as its reason to wait. Only errors with `is_failure` use up its retries; errors
    with `is_crash` count as crashes of the worker, of which few are allowed.
    """

    kind: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    is_failure: ClassVar[bool] = True
    is_crash: ClassVar[bool] = False
    waits_for: ClassVar[str] = "another attempt"

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        fields: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.code = code
        self.message = message or CODES.get(code, code)
        self.retry_after = retry_after
        self.fields = list(fields)
        super().__init__(f"{code}: {self.message}")


class Invalid(FootnoteError):
    kind = "invalid"

    @classmethod
    def in_fields(cls, fields: Sequence[dict[str, Any]]) -> "Invalid":
        """`fields`: what is wrong with each field. The message describes the first ones."""
        return cls("invalid_request", in_words(fields), fields=fields)


def in_words(fields: Sequence[dict[str, Any]]) -> str:
    shown = " ".join(_sentence(f"{each['field']}: {each['message']}") for each in fields[:3])
    return f"{shown} And {len(fields) - 3} more." if len(fields) > 3 else shown


def _sentence(said: str) -> str:
    return said if said.endswith((".", "?")) else f"{said}."


class Unauthenticated(FootnoteError):
    kind = "unauthenticated"


class Forbidden(FootnoteError):
    kind = "forbidden"


class NotFound(FootnoteError):
    kind = "not_found"


class Gone(FootnoteError):
    kind = "gone"


class TenantDeleted(Gone):
    """The tenant was deleted during a request or a step."""

    def __init__(self) -> None:
        super().__init__("tenant_deleted", "The tenant has been deleted.")


class Conflict(FootnoteError):
    kind = "conflict"


class TooLarge(FootnoteError):
    kind = "too_large"


class Unsupported(FootnoteError):
    kind = "unsupported"


class DocumentRejected(FootnoteError):
    kind = "document_rejected"


class ProviderRejected(FootnoteError):
    kind = "provider_rejected"


class BatchTooLarge(ProviderRejected):
    """Too much for one call; a part of it may pass.

    `about`: too many texts, or one that is too long, where the provider says; `limit`: how much it takes.
    """

    about: Literal["texts", "length"] | None = None
    limit: int | None = None


class AccountRefused(ProviderRejected):
    """The provider refuses every request: the key is invalid, or the account is unpaid. Another provider may answer."""


class TooManyRequests(FootnoteError):
    kind = "too_many_requests"
    retryable = True


class RateLimited(FootnoteError):
    """`quota`: the limits that the provider reported, a `footnote.providers.throttle.Quota`."""

    quota: Any = None
    kind = "rate_limited"
    retryable = True
    is_failure = False
    waits_for = "the provider's rate limit"


class Unavailable(FootnoteError):
    kind = "unavailable"
    retryable = True


class Crashed(Unavailable):
    """One of our processes was killed, or an unexpected error was raised."""

    is_crash = True

    def __init__(self, code: str = "internal_error") -> None:
        super().__init__(code)


class ParserUnavailable(Crashed):
    """The parser did not start, or was killed for another reason than its limits: a shutdown, a lack of memory.

    The cause is not the document. `why` is for the log.
    """

    def __init__(self, why: str) -> None:
        super().__init__("parser_unavailable")
        self.add_note(why)


class DatabaseUnavailable(Unavailable):
    """Postgres is unreachable, restarting or overloaded: the same work may succeed later."""

    def __init__(
        self, code: str = "database_unavailable", message: str = "The database is unavailable or overloaded."
    ) -> None:
        super().__init__(code, message)


class DatabaseUnfit(DatabaseUnavailable):
    """Postgres, or a pooler in front of it, is unsuitable. `why` and `remedy` are for the operator."""

    def __init__(self, remedy: str, why: str = "") -> None:
        super().__init__()
        self.remedy, self.why = remedy, why

    @property
    def explanation(self) -> str:
        return f"{self.why} {self.remedy}".strip()


class Busy(DatabaseUnavailable):
    """Postgres answers, and rolled the work back: a lock was not granted in time, or there was a deadlock.

    It is a `DatabaseUnavailable`, because callers handle both in the same way; a retry may succeed immediately.
    """

    is_failure = False
    waits_for = "other changes of the same data"

    def __init__(self) -> None:
        super().__init__("busy", CODES["busy"])
        self.retry_after = 1.0


class CircuitOpen(Unavailable):
    """The provider failed too often and is not called for now."""

    is_failure = False
    waits_for = "the provider to recover"


class TimedOut(FootnoteError):
    kind = "timed_out"
    retryable = True
