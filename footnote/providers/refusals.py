"""What a provider's refusal means: permanent, temporary, or too many texts at once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from footnote.errors import AccountRefused, BatchTooLarge, FootnoteError, ProviderRejected, RateLimited, Unavailable
from footnote.outbound.retry_after import LONGEST_SECONDS, retry_after
from footnote.providers.throttle import Quota
from footnote.telemetry import log
from footnote.text import clean

LONGEST_SAID = 300  # characters of a provider's message that we repeat
SHORTEST_SECRET = 8  # characters; shorter keys such as `none` or `ollama` may be words of the message
_DEEPEST = 8  # levels of a body that are read
_WORDS = ("message", "msg", "detail", "error", "error_description", "reason", "title", "errors", "raw")
_PLACES = ("param", "loc", "field", "parameter", "property", "pointer", "path", "additionalProperty")
_CODES = ("code", "type")
_REPEATED = ("input", "ctx", "value", "body", "request")  # fields that repeat what was sent


@dataclass(frozen=True)
class ProviderMessage:
    """A refusal's own words, the fields of the request that it points at, and its codes."""

    words: str
    places: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @classmethod
    def read(cls, body: bytes) -> "ProviderMessage":
        """From JSON of any shape that servers use; otherwise the body is the words."""
        text = clean(body.decode("utf-8", "replace"))
        try:
            found = list(_strings(json.loads(text), "error", 0))
        except (ValueError, RecursionError):
            return cls(text)
        words, places, codes = (
            tuple(dict.fromkeys(said for key, said in found if key in kinds)) for kinds in (_WORDS, _PLACES, _CODES)
        )
        return cls("; ".join(words) or text, places, codes)


class ProviderRefusal(Exception):
    """An answer with an error status, before it is classified."""

    def __init__(self, status: int, said: ProviderMessage, response: httpx2.Response) -> None:
        self.status, self.said, self.headers = status, said, response.headers
        self.path = response.request.url.path
        places = f" ({', '.join(said.places)})" if said.places else ""
        self.words = without_secrets(f"{said.words}{places}", response.request.headers)[:LONGEST_SAID]
        super().__init__(f"The provider answered {status}: {self.words}")


def refusal(
    status: int, reason: str, headers: Mapping[str, str], *, unpaid: bool = False, quota: Quota | None = None
) -> FootnoteError:
    """The error for an answer's status. `unpaid`: its 429 does not end by waiting; `quota`: of other headers."""
    if status == 413:
        return BatchTooLarge("provider_rejected", reason)
    if status == 429 and not unpaid:
        limited = RateLimited("provider_unavailable", reason, retry_after=retry_after(headers))
        limited.quota = quota = quota or Quota.read(headers)
        if limited.retry_after is None and quota and quota.reset is not None:
            limited.retry_after = min(quota.reset, LONGEST_SECONDS)
        return limited
    if status in (408, 409, 425) or status >= 500:
        return Unavailable("provider_unavailable", reason, retry_after=retry_after(headers))
    log.warning("the provider refused", status=status, reason=reason)
    if status in (401, 402, 403) or unpaid:
        return AccountRefused("provider_rejected", reason)
    return ProviderRejected("provider_rejected", reason)


def without_secrets(said: str, sent: Mapping[str, str]) -> str:
    """A provider's message without the key of the request's headers: some providers repeat it."""
    for name in ("authorization", "x-api-key", "api-key"):
        secret = sent.get(name, "").removeprefix("Bearer ").strip()
        said = said.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else said
    return said


def _strings(value: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each text with its key; fields that repeat the request are left out."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name not in _REPEATED:
                yield from _strings(each, name, depth + 1)
    elif isinstance(value, list) and key in _PLACES:  # the path of one field
        yield key, ".".join(str(each) for each in value if isinstance(each, str | int))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, key, depth + 1)
    elif isinstance(value, str) and value.strip():
        yield key, value
