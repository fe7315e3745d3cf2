"""The one error tree. The domain raises a *kind* with a stable code; what a kind means on the wire is the
API's business (`api/errors.py`), what it means for a job is `jobs`' business (`retryable`).

    FootnoteError
    ├── Invalid            the request or document cannot be accepted as it is
    ├── Unauthenticated    no key, or a key that is not ours
    ├── Forbidden          a good key without the scope, or with its budget or quota used up
    ├── NotFound           unknown id, or another tenant's
    ├── Gone               it existed and was deleted (TenantDeleted: the caller's tenant)
    ├── Conflict           the state does not allow it
    ├── TooLarge           over a size limit
    ├── Unsupported        a type we cannot read
    ├── DocumentRejected   the pipeline read the document and cannot use it (permanent)
    ├── ProviderRejected   the provider refuses for good: unknown model, ... (permanent; BatchTooLarge: in one call;
    │                      AccountRefused: a bad key, or nothing paid)
    ├── TooManyRequests    the caller asks more often than its key may
    ├── RateLimited        try again later, the other side said when
    ├── Unavailable        something we need is away; try again (DatabaseAway: it is Postgres, or, Busy, a lock in it;
    │                      CircuitOpen: a provider that keeps failing, and was not even asked; Crashed: it is ours)
    └── TimedOut           something we need is too slow; try again
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

# Every code a document or a job can fail with, and the sentence a person is shown.
# docs/errors.md is generated from this table.
CODES: dict[str, str] = {
    "answer_timeout": "The model did not come to an end with its answer in the time allowed.",
    "archive_too_large": "The archive inside the file expands beyond what is accepted.",
    "bad_encoding": "The text encoding of the file could not be recognised.",
    "busy": "Others are changing the same data; the same request may pass in a moment.",
    "corrupt_file": "The file is damaged and could not be read.",
    "database_unavailable": "The database was away for too long.",
    "embedding_model_changed": "The collection's embedding model cannot be asked any more, or makes other vectors now.",
    "empty_file": "The file is empty.",
    "encrypted": "The file is protected by a password.",
    "fetch_failed": "The address could not be reached, or answered with an error that may pass.",
    "fetch_refused": "The address does not give the file away.",
    "internal_error": "Something failed on our side; the log has the details under the request id.",
    "model_missing": "The local embedding model is not installed.",
    "model_swap_running": "The model of the collection is being swapped: drop that swap first.",
    "model_weights_mismatch": "The weights of the local embedding model are not the ones expected.",
    "no_text": "No text was found in the file: it is empty, or a scan that needs text recognition.",
    "object_missing": "The stored file is gone from the object store.",
    "ocr_unusable": "Text recognition does not work here: `tesseract --list-langs` fails.",
    "parser_unavailable": "The process that reads files was killed or did not start; another try may pass.",
    "provider_bad_response": "The model provider sent an answer that cannot be used.",
    "provider_rejected": "The model provider refused the request for good.",
    "provider_timeout": "The model provider took too long.",
    "provider_unavailable": "The model provider could not be reached or is overloaded.",
    "store_unavailable": "The object store could not be reached.",
    "too_complex": "Reading the file took more time or memory than is allowed.",
    "too_many_dimensions": "The embedding model makes longer vectors than can be indexed.",
    "too_large": "The file is larger than is accepted.",
    "type_mismatch": "The content of the file is not what its name says.",
    "unsupported_type": "This type of file is not supported.",
    "worker_crashed": "The worker died repeatedly while working on the document.",
}


class FootnoteError(Exception):
    """Base of everything raised on purpose.

    `code` is stable and machine readable, `message` is for a person, `retry_after` is in seconds. A job that meets
    a retryable error says that it `waits_for` something. Only what `is_failure` uses up its retries; what `is_crash` is
    counted with the crashes of workers, and few of these are allowed.
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
        """What is wrong with each `field`; the message has the first of them in words."""
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
    """While a request or a step was at work for it."""

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
    """Whatever is asked: the key is not good, or nothing is paid. Another provider may answer."""


class TooManyRequests(FootnoteError):
    kind = "too_many_requests"
    retryable = True


class RateLimited(FootnoteError):
    """`quota`: what the provider said of its limits, a `footnote.providers.throttle.Quota`."""

    quota: Any = None
    kind = "rate_limited"
    retryable = True
    is_failure = False
    waits_for = "the provider's rate limit"


class Unavailable(FootnoteError):
    kind = "unavailable"
    retryable = True


class Crashed(Unavailable):
    """One of our processes was killed, or an error was raised that nothing expects."""

    is_crash = True

    def __init__(self, code: str = "internal_error") -> None:
        super().__init__(code)


class ParserUnavailable(Crashed):
    """The parser did not start, or was killed by something other than its limits: a shutdown, a lack of memory.

    That says nothing about the document. `why` is for the log.
    """

    def __init__(self, why: str) -> None:
        super().__init__("parser_unavailable")
        self.add_note(why)


class DatabaseAway(Unavailable):
    """Postgres is unreachable, restarting or overloaded: the same work may succeed later."""

    def __init__(
        self, code: str = "database_unavailable", message: str = "The database is away, or has too much to do."
    ) -> None:
        super().__init__(code, message)


class DatabaseUnfit(DatabaseAway):
    """Postgres, or a pooler before it, is not what we can work with. `why` and `remedy` are for the operator."""

    def __init__(self, remedy: str, why: str = "") -> None:
        super().__init__()
        self.remedy, self.why = remedy, why

    @property
    def explanation(self) -> str:
        return f"{self.why} {self.remedy}".strip()


class Busy(DatabaseAway):
    """Postgres answers, and rolled the work back: a lock was not had in time, or two waited for each other.

    Who can do without the database for now can do without this, so that it is one kind of that; the same work may
    succeed at once.
    """

    is_failure = False
    waits_for = "others that change the same data"

    def __init__(self) -> None:
        super().__init__("busy", CODES["busy"])
        self.retry_after = 1.0


class CircuitOpen(Unavailable):
    """The provider failed too often to be asked now."""

    is_failure = False
    waits_for = "the provider to recover"


class TimedOut(FootnoteError):
    kind = "timed_out"
    retryable = True
