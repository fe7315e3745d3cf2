"""One reading of Retry-After for model providers, webhooks and fetched addresses; the client's own agrees with it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from footnote.client import session
from footnote.errors import RateLimited
from footnote.outbound.retry_after import LONGEST_SECONDS, retry_after
from footnote.providers.refusals import refusal


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("900", 900),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("0", 0),
        ("999999", LONGEST_SECONDS),
        ("9" * 400, LONGEST_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_SECONDS),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0),
        *[(nonsense, None) for nonsense in ("", "soon", "-1", "1e9", "1_000", "nan", "inf", "²", "٣", "Fri, 99 Foo")],
    ],
)
def test_seconds_fractions_and_dates(told: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": told}) == seconds
    read_by_the_client = session.retry_after({"retry-after": told})
    assert (read_by_the_client and min(read_by_the_client, LONGEST_SECONDS)) == seconds


def test_a_date_to_come() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    assert 500 < (retry_after({"retry-after": soon}) or 0) <= 600
    assert 500 < (session.retry_after({"retry-after": soon}) or 0) <= 600


def test_milliseconds_are_more_exact() -> None:
    assert retry_after({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5
    assert retry_after({"retry-after-ms": "x", "retry-after": "2"}) == 2
    assert retry_after({}) is None


def test_a_provider_that_names_a_date_is_waited_for() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    error = refusal(429, "Slow down.", {"retry-after": soon})
    assert isinstance(error, RateLimited)
    assert 500 < (error.retry_after or 0) <= 600
