"""The header Retry-After, as servers and the proxies before them send it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 3600.0  # another server sends the header, and it may be nonsense


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: from a number, a fraction or an HTTP date (one that is past: 0); None without a usable header.

    `retry-after-ms`, which some model providers send, is more exact and comes first. `headers` are looked up in lower
    case.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_SECONDS)
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is None:
        seconds = _until(value)
    return None if seconds is None else min(seconds, LONGEST_SECONDS)


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", value.strip()) else None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        # A date in -0000 has no zone; HTTP's dates are all in UTC.
        wait = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0.0, wait)
