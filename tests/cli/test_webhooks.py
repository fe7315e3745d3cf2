import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from footnote.tenancy.tenants import new_webhook_secret
from tests.cli.conftest import Footnote, Reply, StubApi

PATH = "/v1/webhook_endpoints"
ONE = f"{PATH}/whe_1"
SECRET = new_webhook_secret()


def endpoint(**changed: Any) -> dict[str, Any]:
    state = {"enabled": True, "disabled_reason": None, "failing_since": None, "description": None}
    return {"id": "whe_1", "url": "https://a.example/", "events": ["*"], **state, **changed}


def delivery(**changed: Any) -> dict[str, Any]:
    ended = {"response_status": 200, "error": None, "next_attempt_at": None}
    return {"id": "whd_1", "event": "document.ready", "status": "delivered", "attempts": 1, **ended, **changed}


def attempt(**changed: Any) -> dict[str, Any]:
    told = {"response_status": 200, "error": None, "excerpt": "fine\x1b[31m"}
    return {"number": 1, "started_at": "2026-01-02T10:00:00Z", "latency_ms": 12, **told, **changed}


def test_endpoints_are_made_listed_changed_and_deleted(stub: StubApi, footnote: Footnote) -> None:
    stub.on("POST", PATH, Reply(endpoint(secret=SECRET), 201))
    assert footnote("webhooks", "create", "https://a.example/", "--event", "document.ready").out == f"whe_1\n{SECRET}\n"
    assert stub.asked[-1].json == {"url": "https://a.example/", "events": ["document.ready"], "description": None}
    stub.on("GET", PATH, Reply({"data": [], "next_cursor": None}))
    assert "webhooks create" in footnote("webhooks", "list").out
    gone = endpoint(enabled=False, disabled_reason="gone")
    failing = endpoint(failing_since="2026-01-02T10:00:00Z")
    stub.on("GET", PATH, Reply({"data": [endpoint(), gone, failing], "next_cursor": None}))
    lines = footnote("webhooks", "list").out.splitlines()[1:]
    assert [line.split("  ")[1].split(" since")[0] for line in lines] == ["enabled", "disabled: gone", "failing"]
    stub.on("PATCH", ONE, Reply(endpoint(enabled=False, disabled_reason="requested")), Reply(endpoint()))
    assert footnote("webhooks", "disable", "whe_1").out == "disabled: requested\n"
    assert footnote("webhooks", "enable", "whe_1").out == "enabled\n"
    assert [each.json for each in stub.to("PATCH", ONE)] == [{"enabled": False}, {"enabled": True}]
    stub.on("PATCH", ONE, Reply(endpoint(events=["document.failed", "*"])))
    ran = footnote("webhooks", "update", "whe_1", "--url", "https://b.example/", "--event", "document.failed")
    assert ran.out == "enabled  document.failed,*  https://a.example/\n"
    assert stub.asked[-1].json == {"url": "https://b.example/", "events": ["document.failed"]}
    assert footnote("webhooks", "update", "whe_1").code == 2
    stub.on("POST", f"{ONE}/rotate", Reply(endpoint(secret="whsec_b")))
    assert footnote("webhooks", "rotate", "whe_1").out == "whsec_b\n"
    stub.on("DELETE", ONE, Reply({"webhook_endpoint_id": "whe_1", "deliveries": 0}))
    assert footnote("webhooks", "delete", "whe_1").out == "deleted  whe_1\n"


def test_deliveries_are_tested_listed_and_sent_again(stub: StubApi, footnote: Footnote) -> None:
    failed = delivery(status="failed", response_status=None, error="ConnectError: no", history=[attempt(excerpt=None)])
    stub.on("POST", f"{ONE}/test", Reply(delivery(history=[attempt()])), Reply(failed))
    ran = footnote("webhooks", "test", "whe_1")
    assert (ran.code, ran.out) == (0, "delivered  200  12 ms  fine[31m\n")
    assert footnote("webhooks", "test", "whe_1").code == 1
    stub.on("GET", f"{ONE}/deliveries", Reply({"data": [delivery(), failed], "next_cursor": None}))
    listed = footnote("webhooks", "deliveries", "whe_1", "--status", "failed").out.splitlines()
    assert listed[2].endswith("  ConnectError: no")
    assert stub.asked[-1].query["status"] == ["failed"]
    stub.on("GET", f"{ONE}/deliveries/whd_1", Reply(delivery(history=[attempt()])))
    assert footnote("webhooks", "deliveries", "whe_1", "whd_1").out.splitlines()[1].split()[-2:] == ["200", "fine[31m"]
    stub.on("POST", f"{ONE}/deliveries/whd_1/redeliver", Reply(delivery(status="pending"), 202))
    assert footnote("webhooks", "redeliver", "whe_1", "whd_1").out == "pending\n"
    stub.on("POST", f"{ONE}/redeliver", Reply({"redelivered": 3}, 202))
    assert footnote("webhooks", "redeliver", "whe_1", "--hours", "2").out == "3 redelivered\n"
    since = datetime.fromisoformat(stub.asked[-1].json["since"])
    assert timedelta(hours=2) <= datetime.now(UTC) - since < timedelta(hours=2, minutes=1)


def test_what_arrives_is_verified_and_printed(
    stub: StubApi, footnote: Footnote, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []

    def arrive(receiver: Any) -> None:
        body = json.dumps({"type": "document.ready", "data": {"filename": "a.txt\x1b"}})
        now = datetime.now(UTC)
        for secret in (SECRET, new_webhook_secret()):
            signed = {"webhook-id": "whd_1", "webhook-timestamp": str(int(now.timestamp()))}
            signed["webhook-signature"] = Webhook(secret).sign("whd_1", now, body)
            request = urllib.request.Request(receiver.url, body.encode(), signed)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    statuses.append(answer.status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)
                error.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("footnote.cli.receiver.EventReceiver.wait", arrive)
    stub.on("POST", PATH, Reply(endpoint(secret=SECRET), 201))
    stub.on("DELETE", ONE, Reply({"webhook_endpoint_id": "whe_1", "deliveries": 2}))
    ran = footnote("webhooks", "listen", "--answer", "204")
    assert ran.code == 130
    assert ran.out == 'document.ready  whd_1  {"filename": "a.txt\\u001b"}\n'
    assert statuses == [204, 400]
    assert stub.to("POST", PATH)[0].json["url"].startswith("http://127.0.0.1:")
    assert len(stub.to("DELETE", ONE)) == 1, "the endpoint is deleted"
