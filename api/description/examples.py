"""Examples for every body and every answer. An answer is put together from the examples of its fields."""

import json
from typing import Any

from api.description.whole_answers import ANSWERS
from footnote import __version__

Json = dict[str, Any]

_DOC = "doc_01m8mwspmx3ajbj4jnvp3pxh3d"
_JOB = "job_01m8mwspp0pppjt72vmngjxm4q"
_KEY = "key_01m8mwr5d2c4nq6x0v7h9k3b1t"
_CONVERSATION = "cnv_01m8mx0q5w8z2t6r4y1n3c7v9k"
_TENANT = "ten_01m8mwp1b3d5f7h9k1m3p5r7t9"
_REQUEST = "req_01m8mwspk4e6g8j0m2p4r6t8v0"
_ENDPOINT = "whe_01m8mx7h3j5k7m9p1r3t5v7x9z"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_TEXT = "The notice period is three months to the end of a quarter."
_QUESTION = "How long is the notice period?"
_ANSWER = "The notice period is three months to the end of a quarter [1]."
_CODE = "Zx3kq1V9mJ0w8c2R5t7yB4n6Q1s3D5f7G9h1J3k5L7o"
_TIME = "2026-03-02T09:30:00Z"
_LATER = "2026-03-02T09:30:12Z"

BODIES: dict[str, Any] = {
    "CollectionIn": {"name": "policies", "language": "auto", "chunking": {"size": 1200, "overlap": 150}},
    "CollectionPatch": {"metadata": {"owner": "legal"}},
    "ConversationPatch": {"title": "Leaving the company"},
    "ConversationIn": {"title": "Leaving the company", "collections": ["policies"]},
    "DirectIn": {"filename": "handbook.pdf", "size": 734003200, "collection": "policies"},
    "DocumentPatch": {"metadata": {"department": "legal", "draft": None}},
    "EndpointIn": {"url": "https://app.example/footnote", "events": ["document.ready", "document.failed"]},
    "EndpointPatch": {"enabled": True},
    "KeyIn": {"name": "web shop", "scopes": ["read"], "budget": {"usd": 20}},
    "MessageIn": {"question": "And during probation?"},
    "QueryIn": {"question": _QUESTION, "collections": ["policies"], "top_k": 8},
    "QuestionsIn": {
        "questions": [{"question": _QUESTION}, {"question": "Who approves travel?"}],
        "defaults": {"collections": ["policies"]},
    },
    "RedeliverIn": {"since": "2026-03-01T00:00:00Z"},
    "RetryIn": {"error_code": ["provider_unavailable"], "limit": 100},
    "SearchIn": {"query": "notice", "filters": {"type": "eq", "key": "department", "value": "legal"}, "top_k": 5},
    "TextIn": {"text": "# Notice\n\n" + _TEXT, "filename": "notice.md", "collection": "policies"},
    "SessionIn": {"code": _CODE},
    "TokenIn": {"scopes": ["read"]},
    "UrlIn": {"url": "https://www.example/handbook.pdf", "collection": "policies"},
}
_FORM = {"collection": "policies", "metadata": '{"department": "legal"}'}
_FILE = "(the bytes of handbook.pdf)"
OTHER_BODIES: dict[str, Any] = {
    "upload_document": {"file": _FILE, **_FORM},
    "estimate_document": {"file": _FILE, **_FORM},
    "upload_documents": {"file": [_FILE, "(the bytes of travel.docx)"], **_FORM},
    "upload_raw_file": _FILE,
}

# By field, or by `Model.field` where the same name means something else.
VALUES: dict[str, Any] = {
    "AttemptOut.error": None,
    "AttemptOut.number": 1,
    "AuditEventOut.action": "document.deleted",
    "AuditEventOut.details": {"version": 1},
    "AuditEventOut.id": "evt_01m8mx9b1d3f5h7k9m1p3r5t7v",
    "BatchItemOut.error": None,
    "BudgetOut.tokens": None,
    "CitationOut.score": 0.83,
    "CitationOut.url": f"/v1/documents/{_DOC}/pages/2?version=1",
    "CollectionDeletionOut.name": "policies",
    "CollectionOut.id": "col_01m8mwq0a2c4e6g8j0m2p4r6t8",
    "CollectionOut.name": "policies",
    "ConversationDeletionOut.messages": 4,
    "ConversationOut.id": _CONVERSATION,
    "ConversationWithMessagesOut.id": _CONVERSATION,
    "DeliveryOut.attempts": 1,
    "DeliveryOut.error": None,
    "DeliveryOut.id": "whd_01m8mx8c4d6f8h0k2m4p6r8t0v",
    "DeliveryWithAttemptsOut.attempts": 1,
    "DeliveryWithAttemptsOut.error": None,
    "DeliveryWithAttemptsOut.id": "whd_01m8mx8c4d6f8h0k2m4p6r8t0v",
    "DirectUploadOut.expires_at": "2026-03-03T09:30:00Z",
    "DocumentOut.id": _DOC,
    "DocumentOut.status": "queued",
    "EndpointDeletionOut.deliveries": 12,
    "EndpointOut.id": _ENDPOINT,
    "EndpointOut.url": "https://app.example/footnote",
    "EndpointSecretOut.id": _ENDPOINT,
    "EndpointSecretOut.secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "EndpointSecretOut.url": "https://app.example/footnote",
    "JobOut.id": _JOB,
    "JobOut.status": "queued",
    "KeyOut.id": _KEY,
    "KeyOut.name": "web shop",
    "ListedJobOut.id": _JOB,
    "ListedJobOut.status": "failed",
    "MessageOut.id": "msg_01m8mx0r7y9b1d3f5h7k9m1p3r",
    "NewKeyOut.id": _KEY,
    "NewKeyOut.name": "web shop",
    "NewKeyOut.secret": "fn_k3b1t7h9_x0v7h9k3b1tc4nq6d2r5m8mw",
    "PageOut.page": 2,
    "PartOut.number": 1,
    "PartOut.size": 67108864,
    "PartOut.url": "https://store.example/footnote/ten_1/obj_1?partNumber=1&X-Amz-Signature=...",
    "QueryBatchOut.ended": 0,
    "QueryBatchOut.id": "bat_01m8mx2d4f6h8k0m2p4r6t8v0x",
    "QueryBatchOut.total": 2,
    "QueryBatchWithResultsOut.id": "bat_01m8mx2d4f6h8k0m2p4r6t8v0x",
    "QueryBatchWithResultsOut.total": 2,
    "QuotasOut.bytes": {"used": 734003200, "quota": None, "left": None},
    "QuotasOut.documents": {"used": 12, "quota": 1000, "left": 988},
    "QuotasOut.tokens": {"used": 48210, "quota": None, "left": None},
    "QuotasOut.usd": {"used": 1.92, "quota": 50, "left": 48.08},
    "RefusedUploadOut.code": "encrypted",
    "RefusedUploadOut.id": "ref_01m8mx5a7c9e1g3j5m7p9r1t3v",
    "RefusedUploadOut.message": "The file is protected by a password.",
    "SessionEndOut.ended": True,
    "ServerOut.version": __version__,
    "ReportOut.documents": 0,
    "ReportOut.pages": 3,
    "ReportOut.status": "ready",
    "ResultOut.error": None,
    "ResultOut.status": 200,
    "StatusOut.status": "running",
    "StepOut.counts": {"pages": 3, "chunks": 7},
    "StepOut.name": "chunk",
    "StepOut.state": "succeeded",
    "StepTimeOut.name": "chunk",
    "TaskOut.id": "tsk_01m8mx3e5g7j9m1p3r5t7v9x1z",
    "TaskOut.kind": "collection.delete",
    "TaskOut.progress": {"done": 3, "total": 12, "unit": "documents"},
    "TaskOut.status": "running",
    "TaskOut.subject_id": "col_01m8mwq0a2c4e6g8j0m2p4r6t8",
    "UsageRowOut.documents": 12,
    "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJrZXlfMDEifQ.Zx3kq1V9",
    "actor": _KEY,
    "AnswerOut.answer": _ANSWER,
    "answer_kind": "generated",
    "answer_status": "supported",
    "answers": 1,
    "attempts": 1,
    "bm25": 7.42,
    "boxes": [[0.12, 0.31, 0.84, 0.33]],
    "bytes": 48211,
    "char_end": 458,
    "char_start": 400,
    "characters": 6120,
    "chunk_id": "chk_01m8mwspny6s2w4z8c0f3h5k7m_4",
    "chunks": 7,
    "code": _CODE,
    "collection": "policies",
    "collection_id": "col_01m8mwq0a2c4e6g8j0m2p4r6t8",
    "collections": ["policies"],
    "completion_tokens": 38,
    "content": _ANSWER,
    "context": "Handbook > Leaving",
    "conversation_id": _CONVERSATION,
    "cost": 0.0004,
    "coverage": 1.0,
    "HitOut.context": None,
    "day": "2026-03-02",
    "deduplicated": False,
    "delivered_at": _LATER,
    "description": "The web shop",
    "dimensions": 384,
    "disabled_at": None,
    "disabled_reason": None,
    "document_id": _DOC,
    "documents": 1,
    "done": 3,
    "embedded": 7,
    "embedding_tokens": 1530,
    "embeddings": 7,
    "empty_pages": [],
    "embedder": "local/all-MiniLM-L6-v2",
    "enabled": True,
    "ended": 2,
    "endpoint_id": _ENDPOINT,
    "error": None,
    "event": "document.ready",
    "events": ["document.ready", "document.failed"],
    "excerpt": "ok",
    "KeyOut.expires_at": None,
    "NewKeyOut.expires_at": None,
    "explain": None,
    "evidence": None,
    "external_id": "handbook",
    "failed": 0,
    "failing_since": None,
    "filename": "handbook.pdf",
    "filters": None,
    "formats": [".docx", ".md", ".pdf"],
    "fused_rank": 1,
    "generator": "openai/gpt-4.1-mini",
    "heading": "Handbook > Leaving",
    "heartbeat_at": None,
    "highlights_url": f"/v1/documents/{_DOC}/pages/2/highlights?char_start=400&char_end=458&version=1",
    "id": "ans_01m8mx1c3e5g7j9m1p3r5t7v9x",
    "index": 0,
    "job_id": _JOB,
    "jobs": 1,
    "key_id": _KEY,
    "key_name": "web shop",
    "keyword_rank": 1,
    "language": "auto",
    "last_used_at": _TIME,
    "latency_ms": 84,
    "lease_until": None,
    "marker": 1,
    "max_upload_bytes": 1073741824,
    "media_type": "application/pdf",
    "message_count": 2,
    "message_id": "msg_01m8mx0r7y9b1d3f5h7k9m1p3r",
    "metadata": {"department": "legal"},
    "model": "all-MiniLM-L6-v2",
    "AnswerOut.model": "gpt-4.1-mini",
    "MessageOut.model": "gpt-4.1-mini",
    "exact_matches": 0,
    "needles": 0,
    "reingestion": False,
    "new_tokens": 1530,
    "next_attempt_at": None,
    "next_cursor": None,
    "not_mentioned": ["Apple"],
    "object_id": _DOC,
    "objects": 1,
    "ocr_languages": "",
    "ocr_pages": 0,
    "offset": 0,
    "overlap": 150,
    "page_end": 2,
    "page_start": 2,
    "page": 2,
    "pages": 3,
    "pages_without_text": 0,
    "passages": 84,
    "MessageOut.passages": None,
    "parent_id": None,
    "parts": [],
    "payload": {"type": "document.ready", "timestamp": _LATER, "data": {"id": _DOC}},
    "position": 4,
    "prefix": "fn_k3b1t7h9",
    "previous_secret_until": None,
    "prompt_tokens": 812,
    "provider": "local",
    "queries": 40,
    "question_as_searched": None,
    "quote": "three months to the end of a quarter",
    "rates": {"query": 30},
    "reader_path": f"/d/{_DOC}/p/2?v=1&from=400&to=458",
    "redelivered": 3,
    "reingesting": 0,
    "remaining": 0,
    "relatedness": 0.71,
    "replaced_characters": 0,
    "request_id": _REQUEST,
    "reranker": None,
    "rerank_failure": None,
    "rerank_score": None,
    "reranked": None,
    "response_status": 200,
    "retried": 5,
    "retries": 0,
    "revoked_at": None,
    "score": 0.83,
    "scopes": ["read"],
    "seconds": 1.8,
    "searched_for": [],
    "SearchOut.searched_for": [{"word": "notise", "searched": ["notice"]}],
    "sha256": _SHA256,
    "similarity": 0.71,
    "size": 1200,
    "skipped": 0,
    "skipped_files": [],
    "source_url": None,
    "split_chunks": 0,
    "step": "chunk",
    "superseded": False,
    "system_prompt": None,
    "tenant": "acme",
    "tenant_id": _TENANT,
    "text": _TEXT,
    "timings": {"retrieve": 41.5, "total": 912.4},
    "title": "Leaving the company",
    "tokens": 1530,
    "total": 3,
    "truncated": False,
    "unfinished": 0,
    "unit": "pages",
    "ChunkingOut.unit": "characters",
    "unsupported": [],
    "UnsupportedOut.missing": ["four months"],
    "UnsupportedOut.reason": "not_in_quote",
    "upload_id": "upl_01m8mx6b8d0f2h4k6m8p0r2t4v",
    "word": "notise",
    "CorrectionOut.searched": ["notice"],
    "usd": 20,
    "UsageReportOut.total": {
        "documents": 12,
        "queries": 40,
        "embedding_tokens": 1530,
        "prompt_tokens": 32480,
        "completion_tokens": 1520,
        "cost": 0.016,
        "estimated": False,
    },
    "vector_rank": 1,
    "verified": True,
    "version": 1,
    "versions": 1,
    "waiting_for": None,
    "warnings": [],
    "webhook_endpoint_id": _ENDPOINT,
    "finished_at": None,
    "CollectionDeletionOut.counts": {
        "documents": 2,
        "versions": 2,
        "pages": 6,
        "chunks": 14,
        "embeddings": 14,
        "jobs": 2,
        "answers": 1,
        "objects": 4,
        "bytes": 96422,
    },
    "StepOut.finished_at": _LATER,
    "StepOut.attempts": 1,
}


def add(operation: Json, components: dict[str, Json]) -> None:
    """Puts an example beside the schema of the body and of each success answer that has a text form."""
    name = operation["operationId"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schemas = content["schema"].get("anyOf", [content["schema"]])
        models = [schema["$ref"].rpartition("/")[2] for schema in schemas if "$ref" in schema]
        content["example"] = BODIES[models[0]] if models else OTHER_BODIES[name]
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            if media_type == "application/json" and (status < "3" or name in ANSWERS):
                content["example"] = ANSWERS.get(name) or _value(content["schema"], components, "", name)
            elif media_type == "text/event-stream":
                content |= _events(name, components)
                content.pop("itemSchema", None)  # OpenAPI 3.2 has it


def _events(name: str, components: dict[str, Json]) -> Json:
    if name == "stream_document_status":
        sent = {"status": _value({"$ref": "StatusOut"}, components, "", "")}
    else:
        sent = {"delta": {"text": "The notice period is "}, "done": _value({"$ref": "AnswerOut"}, components, "", "")}
    frames = "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in sent.items())
    return {"schema": {"type": "string"}, "example": frames}


def _object(schema: Json, components: dict[str, Json], model: str) -> Json:
    """Without optional fields that are null: most answers do not have them."""
    values = {name: _value(each, components, model, name) for name, each in schema["properties"].items()}
    return {name: value for name, value in values.items() if value is not None or name in schema["required"]}


def _value(schema: Json, components: dict[str, Json], model: str, name: str) -> Any:
    """The example of a field `name` of a model, or of a whole model. Raises KeyError for a field without a value."""
    for key in (f"{model}.{name}", name):
        if key in VALUES:
            return VALUES[key]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if "$ref" in schema:
        inner = schema["$ref"].rpartition("/")[2]
        return _object(components[inner], components, inner)
    if schema.get("type") == "array":
        return [_value(schema["items"], components, model, "")]
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    if schema.get("format") == "date-time":
        return _TIME
    if schema.get("type") == "boolean":
        return False
    raise KeyError(f"no example for {model}.{name}")
