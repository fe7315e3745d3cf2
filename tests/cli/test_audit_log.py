"""`footnote audit-log` against a scripted server."""

import json
from typing import Any

from tests.cli.conftest import Footnote, Reply, StubApi

EVENT: dict[str, Any] = {
    "id": "aud_2",
    "at": "2026-11-21T02:00:00Z",
    "actor": "key_1",
    "request_id": "req_1",
    "action": "document.deleted",
    "object_id": "doc_1",
    "details": {"deleted_with": "col_1"},
}


def test_events_are_listed_by_what_is_asked(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", "/v1/audit", Reply({"data": [EVENT], "next_cursor": None}))
    asked = (
        "--object",
        "doc_1",
        "--action",
        "document.deleted",
        "--action",
        "document.created",
        "--since",
        "2026-11-01",
    )
    done = footnote("audit-log", *asked)
    header, line = done.out.splitlines()
    assert header.split() == ["AT", "WHO", "DID", "TO", "DETAILS"]
    assert line.endswith('key_1  document.deleted  doc_1  {"deleted_with": "col_1"}')
    query = stub.to("GET", "/v1/audit")[0].query
    assert query.pop("since")[0].startswith("2026-11-01T00:00:00")
    assert query == {"object_id": ["doc_1"], "action": ["document.deleted", "document.created"], "limit": ["50"]}
    assert footnote("audit-log", "--json").json["data"] == [EVENT]


def test_an_export_is_every_event_a_line_page_by_page(stub: StubApi, footnote: Footnote) -> None:
    later = {**EVENT, "id": "aud_3", "actor": "system"}
    stub.on(
        *("GET", "/v1/audit"),
        Reply({"data": [EVENT], "next_cursor": "aud_2"}),
        Reply({"data": [later], "next_cursor": None}),
    )
    done = footnote("audit-log", "export", "--actor", "key_1")
    assert [json.loads(line) for line in done.out.splitlines()] == [EVENT, later]
    first, second = [each.query for each in stub.to("GET", "/v1/audit")]
    assert first == {"order": ["oldest"], "limit": ["1000"], "actor": ["key_1"]}
    assert second == first | {"cursor": ["aud_2"]}
