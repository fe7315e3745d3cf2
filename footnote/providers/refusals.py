"""What a provider's refusal means: for good, for now, or for fewer texts at once."""

from collections.abc import Mapping

from footnote.errors import AccountRefused, BatchTooLarge, FootnoteError, ProviderRejected, RateLimited, Unavailable
from footnote.limits import Quota
from footnote.retry_after import LONGEST_SECONDS, retry_after


def refusal(
    status: int, reason: str, headers: Mapping[str, str], *, unpaid: bool = False, quota: Quota | None = None
) -> FootnoteError:
    """The error for an answer's status. `unpaid`: its 429 does not pass by waiting; `quota`: where headers differ."""
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
    if status in (401, 402, 403) or unpaid:
        return AccountRefused("provider_rejected", reason)
    return ProviderRejected("provider_rejected", reason)


def without_secrets(said: str, sent: Mapping[str, str]) -> str:
    """What a provider said, with the key of the request's headers taken out: some repeat what they were sent."""
    for name in ("authorization", "x-api-key"):
        secret = sent.get(name, "").removeprefix("Bearer ").strip()
        said = said.replace(secret, "***") if secret else said
    return said
