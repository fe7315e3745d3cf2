"""DATABASE_URL as it comes from managed providers, and the settings every connection gets."""

import pytest

from footnote.errors import Invalid
from footnote.runtime import connect, database_dsn
from footnote.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgres://u:p%40@h:5432/d?sslmode=require", "postgresql://u:p%40@h:5432/d?sslmode=require"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d"),
        (
            "postgresql://h/d?connect_timeout=10&sslmode=disable&channel_binding=prefer",
            "postgresql://h/d?sslmode=disable",
        ),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=/run/pg"),
    ],
)
def test_urls_that_libpq_takes_are_taken(url: str, dsn: str) -> None:
    assert database_dsn(url) == dsn


@pytest.mark.parametrize("url", ["mysql://h/d", "postgresql", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="bad_setting"):
        database_dsn(url)


async def test_a_connection_gives_its_locks_back_when_its_process_freezes(settings: Settings) -> None:
    url = f"{settings.database_url}&connect_timeout=3&sslmode=disable"
    connection = await connect(settings.model_copy(update={"database_url": url}))
    try:
        shown = [
            await connection.fetchval(f"SHOW {name}") for name in ("idle_in_transaction_session_timeout", "timezone")
        ]
    finally:
        await connection.close()
    assert shown == ["30s", "UTC"]
