"""A request of each operation, with each of its parameters, to a tenant that has very many rows."""

from typing import Any

from tests.growth.crowd import numbered

# What stands for the parameters of paths.
IDS = {
    "document_id": numbered("doc", 20),
    "number": "1",
    "collection_id": "default",
    "job_id": numbered("job", 20),
    "upload_id": numbered("upl", 7),
    "query_batch_id": numbered("bat", 7),
    "conversation_id": numbered("cnv", 7),
    "endpoint_id": "whe_a",
    "delivery_id": numbered("whd", 7),
    "key_id": numbered("key", 7),
    "filename": "raw.md",
    "message_id": numbered("msg", 7) + "0",
}
FILE = {"files": {"file": ("new.md", b"# A new lamp\n\nIt burns.")}}
ASKED = {"question": "What burns?"}
# By operation: what to put behind the path, and what else to send. One that is not here is asked as it is.
REQUESTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "upload_document": [("", FILE), ("?dry_run=true", FILE)],
    "list_documents": [
        ("?limit=1", {}),
        ("?limit=100", {}),
        ("?limit=100&cursor=doc_a0000000000000000000000500", {}),
        ("?collection=default", {}),
        ("?collection=beside", {}),
        *((f"?status={state}", {}) for state in ("queued", "running", "waiting", "ready", "failed", "cancelled")),
        ("?status=failed&status=ready&collection=default", {}),
        ("?external_id=external 0000000000000000000000004", {}),
        ("?external_id=unknown", {}),
        ("?sha256=" + "ab" * 32, {}),
        ("?parent_id=doc_a0000000000000000000000007", {}),
        ("?sort=oldest&limit=5&total=true", {}),
        ("?limit=5&offset=40", {}),
        ("?status=ready&limit=5&offset=40", {}),
        ("?collection=default&total=true&limit=5", {}),
        ("?sort=name&limit=5", {}),
        ("?sort=name&limit=5&cursor=doc_a0000000000000000000000500", {}),
        ("?sort=name&limit=5&cursor=doc_a0000000000000000000019000", {}),
        *((f"?limit=5&q={part}&total=true", {}) for part in ("lamp", "00012", "zz", "01999", "4 0")),
        ("?limit=5&q=.md", {}),
        ("?limit=5&q=md&offset=40&sort=oldest", {}),
        ("?limit=5&q=00012&sort=name", {}),
        ("?limit=5&q=00012&sort=name&status=ready&collection=default&total=true", {}),
        ("?limit=5&q=0&status=failed&sort=name&total=true", {}),
        ("?limit=5&q=00012&cursor=doc_a0000000000000000000000500", {}),
        ('?limit=5&filter={"type": "eq", "key": "color", "value": "blue"}', {}),
        ('?limit=5&filter={"type": "eq", "key": "n", "value": "none"}', {}),
    ],
    "estimate_document": [("", FILE)],
    "list_refused_uploads": [("", {}), ("?limit=100&cursor=ref_a0000000000000000000000500", {})],
    "upload_raw_file": [
        ("?collection=default&external_id=e&metadata={}&callback_url=http://127.0.0.1:9/", {"content": b"A raw lamp."})
    ],
    "create_direct_upload": [("", {"json": {"filename": "d.md", "size": 3}})],
    "complete_direct_upload": [("", {})],
    "abort_direct_upload": [("", {})],
    "upload_text": [("", {"json": {"text": "The lamp of a text."}})],
    "upload_from_url": [("", {"json": {"url": "https://lamps.example/lamp.md"}})],
    "upload_documents": [("", FILE)],
    "delete_documents": [("", {"json": {"ids": ["doc_x"]}})],
    "reingest_documents": [("", {"json": {"ids": ["doc_x"]}})],
    "move_documents": [("", {"json": {"where": {"q": "00012", "status": ["ready"]}, "collection": "beside"}})],
    "check_known_documents": [("", {"json": {"sha256": ["ab" * 32]}})],
    "list_suggestions": [("?limit=5", {})],
    "update_document": [
        ("", {"json": {"metadata": {"color": "green"}}}),
        ("", {"json": {"collection": "beside"}}),
        ("", {"json": {"collection": "default"}}),
    ],
    "get_document_page": [("?version=1", {}), ("?char_start=3&char_end=9&around=2", {})],
    "get_document_page_image": [("?width=400&version=1", {})],
    "get_document_page_highlights": [("?char_start=0&char_end=3&version=1", {})],
    "list_document_chunks": [("?limit=1", {}), ("?cursor=0", {})],
    "create_collection": [("", {"json": {"name": "another"}})],
    "list_collections": [("", {}), ("?limit=2&cursor=col_" + 26 * "z", {})],
    "update_collection": [("", {"json": {"metadata": {"of": "lamps"}}})],
    **{each: [("", {"json": {"provider": "fake"}})] for each in ("estimate_model_swap", "begin_model_swap")},
    "compare_models": [("", {"json": {}})],
    "list_jobs": [
        ("?limit=1", {}),
        ("?limit=100&cursor=job_a0000000000000000000000500", {}),
        *((f"?status={state}", {}) for state in ("queued", "running", "waiting", "succeeded", "failed", "cancelled")),
        ("?status=failed&status=cancelled&error_code=unreadable", {}),
        ("?status=failed&error_code=unknown&step=chunk", {}),
        ("?status=failed&superseded=false&collection=default", {}),
        ("?document_id=doc_a0000000000000000000000007", {}),
        ("?limit=1&created_after=2020-01-01T00:00:00Z", {}),
        ("?limit=1&created_before=2099-01-01T00:00:00Z", {}),
    ],
    "retry_jobs": [("", {"json": {"status": ["failed"], "limit": 2}})],
    "search": [("?explain=true", {"json": {"query": "lamp 17"}})],
    "ask": [("", {"json": ASKED})],
    "ask_batch": [("", {"json": {"questions": [ASKED]}}), ("", {"json": {"questions": [ASKED] * 20}})],
    "get_query_batch": [("?limit=1", {}), ("?cursor=0", {})],
    "create_conversation": [("", {"json": {}})],
    "list_conversations": [
        ("", {}),
        ("?limit=100&cursor=cnv_a0000000000000000000000500", {}),
        ("?q=amps", {}),
        ("?q=none%25", {}),
    ],
    "get_conversation": [
        ("?limit=1", {}),
        ("?cursor=msg_a0000000000000000000000070", {}),
        ("?order=newest&limit=1", {}),
    ],
    "update_conversation": [("", {"json": {"title": "Wicks"}})],
    "ask_in_conversation": [("", {"json": ASKED})],
    "create_webhook_endpoint": [("", {"json": {"url": "http://127.0.0.1:9/hook", "events": ["document.deleted"]}})],
    "list_webhook_endpoints": [("", {}), ("?limit=2&cursor=whe_" + 26 * "z", {})],
    "update_webhook_endpoint": [("", {"json": {"description": "of lamps"}})],
    "test_webhook_endpoint": [("", {})],
    "list_webhook_deliveries": [
        ("?limit=1", {}),
        ("?limit=100&cursor=whd_a0000000000000000000000500", {}),
        *((f"?status={status}", {}) for status in ("pending", "delivered", "failed")),
        ("?state=failed", {}),
    ],
    "redeliver_failed_webhooks": [("", {"json": {"since": "2020-01-01T00:00:00Z"}})],
    "get_usage": [("?from=2026-01-01&to=2026-02-01&group=day&group=key&group=model", {})],
    "create_session": [
        ("", {"json": {"key": "fn_a_b"}, "headers": {"Sec-Fetch-Site": "same-origin", "X-Footnote": "ui"}})
    ],
    "create_api_key": [("", {"json": {"name": "bob"}})],
    "list_api_keys": [("", {}), ("?limit=100&cursor=key_a0000000000000000000000500", {})],
    "list_audit_events": [
        ("?limit=1", {}),
        ("?limit=100&cursor=aud_a0000000000000000000000500", {}),
        ("?action=document.created&limit=1", {}),
        ("?actor=operator&limit=1", {}),
        ("?object_id=doc_a0000000000000000000000007", {}),
        ("?since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z&order=oldest&limit=1", {}),
    ],
    "delete_tenant": [("?name=another", {})],
    "check_readiness": [("?strict=true", {})],
}
# The answers of those that refuse what the tenant has here; they have read it by then.
REFUSED = {
    "create_session": 401,  # a wrong key
    "cancel_job": 409,  # it has ended
    "cancel_query_batch": 409,
    "complete_direct_upload": 409,  # of another store
    "create_direct_upload": 409,
    "abort_direct_upload": 404,
    "delete_tenant": 422,  # by another name
    "download_document": 422,  # its bytes are in no store
    "get_document_page_image": 415,
    "get_document_page_highlights": 415,
    "retry_job": 409,
    "begin_model_swap": 409,  # it has the model
    "estimate_model_swap": 409,
    **dict.fromkeys(("switch_model", "roll_back_model", "drop_model", "compare_models"), 409),  # no swap
}
# Deletions come last, those that end the others' objects after all.
LAST = ("delete_document", "delete_conversation", "delete_webhook_endpoint", "delete_collection", "delete_tenant")
# The one reads what the status reads until the client leaves, the other what has changed.
NOT_ASKED = {"stream_document_status", "stream_events"}
