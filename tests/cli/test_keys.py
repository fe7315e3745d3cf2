"""`footnote keys` against a scripted server."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import Footnote, Reply, StubApi

KEY: dict[str, Any] = {
    "id": "key_1",
    "name": "ro\x1bbot",
    "prefix": "fn_0123",
    "scopes": ["read"],
    "last_used_at": "2026-11-20T10:00:00Z",
    "expires_at": None,
    "revoked_at": None,
}


def test_a_new_key_stands_alone_on_stdout(stub: StubApi, footnote: Footnote) -> None:
    stub.on("POST", "/v1/keys", Reply({**KEY, "secret": "fn_0123_secret"}, 201))
    done = footnote("keys", "create", "robot", "--scope", "read", "--days", "2", "--rate", "query=7", "--usd", "1.5")
    assert (done.code, done.out) == (0, "fn_0123_secret\n")
    [asked] = stub.to("POST", "/v1/keys")
    body = asked.json
    ends = datetime.fromisoformat(body.pop("expires_at"))
    assert timedelta(days=1.9) < ends - datetime.now(UTC) <= timedelta(days=2)
    assert body == {"name": "robot", "scopes": ["read"], "rates": {"query": 7}, "budget": {"usd": 1.5, "tokens": None}}


def test_a_token_stands_alone_on_stdout(stub: StubApi, footnote: Footnote) -> None:
    made = {"access_token": "a.b.c", "token_type": "Bearer", "scopes": ["read"], "expires_at": "2026-11-20T10:30:00Z"}
    stub.on("POST", "/v1/tokens", Reply(made, 201))
    assert footnote("keys", "token", "--scope", "read").out == "a.b.c\n"
    assert json.loads(footnote("keys", "token", "--json").out) == made
    assert [each.json for each in stub.to("POST", "/v1/tokens")] == [{"scopes": ["read"]}, {}]


def test_an_invalid_rate_is_refused(stub: StubApi, footnote: Footnote) -> None:
    done = footnote("keys", "create", "robot", "--rate", "query")
    assert done.code == 2
    assert stub.to("POST", "/v1/keys") == []


@pytest.mark.parametrize("as_json", [True, False])
def test_keys_are_listed_and_revoked(stub: StubApi, footnote: Footnote, as_json: bool) -> None:
    stub.on("GET", "/v1/keys", Reply({"data": [KEY], "next_cursor": None}))
    stub.on("DELETE", "/v1/keys/key_1", Reply({**KEY, "revoked_at": "2026-11-21T10:00:00Z"}))
    flags = ["--json"] if as_json else []
    listed, revoked = footnote("keys", "list", *flags), footnote("keys", "revoke", "key_1", *flags)
    assert (listed.code, revoked.code) == (0, 0)
    if as_json:
        assert json.loads(listed.out)["data"] == [KEY]
        assert json.loads(revoked.out)["revoked_at"]
    else:
        assert "key_1  fn_0123  read" in listed.out
        assert "\x1b" not in listed.out + revoked.out
        assert "is revoked" in revoked.out
