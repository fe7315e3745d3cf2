"""What the OpenAPI document says about the API as a whole, and the names of its parts."""

from typing import Any

INTRODUCTION = """\
Footnote ingests your documents and answers questions about them. Every claim in an answer has a footnote that was
checked against the stored page.

A first walk: upload a file with `POST /v1/documents`, follow it with `GET /v1/documents/{document_id}/status` until
its status is `ready`, then ask with `POST /v1/query`.

## Authentication

Send an API key with every request, as `Authorization: Bearer fn_...` or as `X-API-Key: fn_...`. `footnote keys
create` and `POST /v1/keys` create keys. `POST /v1/tokens` gives you a short-lived token for a place that must not
hold a key, such as a browser; send it in the same way. If the server has an OIDC issuer, it also accepts that
issuer's tokens.

A key has scopes: `read` to look at documents and ask questions, `write` to add, change and delete documents, `admin`
for keys, webhooks, usage and the audit log. Each operation names the scope that it needs. A key sees the data of its
own tenant only: an id of another tenant is answered like an unknown one.

## Errors

Every error is `application/problem+json` (RFC 9457): `status`, `title`, `detail` for a person, `code` for a program,
and `request_id`. If fields of your request are wrong, `errors` names each of them. Branch on `code`: codes are
stable, texts are not. Each operation lists the codes that it can answer with. If `retry_after` (seconds) and the
header `Retry-After` are there, the same request can succeed later.

Unknown fields and unknown query parameters are refused with 422, so that a typing error does not pass unnoticed.
Every response has the header `X-Request-ID`. You can send your own; the server's log has it in every line about the
request.

## Offsets

`char_start` and `char_end` count Unicode code points, as Python does. JavaScript counts UTF-16 units: an emoji has two.
Cut a page's text there with

    const points = [...text];
    const quote = points.slice(charStart, charEnd).join("");

## Paging

A list answers with `data` and `next_cursor`. Send `next_cursor` as `cursor` to get the next page. It is `null` on the
last page. `limit` sets how many items a page has at most. Lists are ordered from new to old unless they say
otherwise. Items that are added while you read do not shift the pages.

## Idempotency

Send the header `Idempotency-Key` with an upload, and you can repeat the request safely: for 24 hours the same key and
request get the same reply with the header `Idempotent-Replayed: true`, and the work is done once. The same key with
another request is refused with 422, and with 409 while the first request is still running. Uploading the same bytes
to the same collection again never creates a second document, even without a key.

## Rate limits

Each key has a limit of requests a minute for each class of operation: `read`, `write`, `upload` and `query`. The
headers `RateLimit-Policy` and `RateLimit` say how much is allowed and how much is left. Over the limit the answer is
429 with `Retry-After`. A tenant also has a limit of requests that run at the same time.
"""

TAGS = [
    {
        "name": "documents",
        "description": "Upload documents, follow their ingestion, read and delete them.",
    },
    {"name": "events", "description": "One stream for everything that changes."},
    {"name": "query", "description": "Search, and questions with cited answers, one by one or in batches."},
    {"name": "conversations", "description": "Questions that build on each other, stored with their answers."},
    {"name": "collections", "description": "Groups of documents with a language, a chunking and an embedding model."},
    {
        "name": "tasks",
        "description": "Work on many documents, and deletions of collections and tenants, in the background.",
    },
    {"name": "jobs", "description": "The ingestion of one version of a document: its progress, its errors, retries."},
    {"name": "webhooks", "description": "Addresses that are notified of events, and the log of what was sent to them."},
    {"name": "keys", "description": "API keys, and short-lived tokens for them."},
    {
        "name": "session",
        "description": "The session of a browser, which acts for a key by a cookie; what the server is.",
    },
    {"name": "usage", "description": "What your tenant used, and what it cost."},
    {"name": "audit", "description": "Who did what, and when."},
    {"name": "tenant", "description": "Your tenant as a whole."},
    {"name": "operations", "description": "Whether the server is alive and ready. These need no API key."},
]

SERVERS = [
    {"url": "/", "description": "The server that this document comes from"},
    {"url": "http://127.0.0.1:8000", "description": "A server on your machine (`footnote up`)"},
]

SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`fn_...`), a token from `POST /v1/tokens`, or a token of the OIDC issuer if the "
        "server has one.",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same in another header, for clients that cannot send `Authorization`.",
    },
}

PARAMETERS = {
    "char_end": "Offset of the character after the last one in the page's text.",
    "collection": "Name or id of a collection.",
    "conversation_id": "Id of a conversation (`cnv_...`).",
    "created_after": "Only jobs that were created after this time.",
    "created_before": "Only jobs that were created before this time.",
    "delivery_id": "Id of a delivery, the `webhook-id` of its requests.",
    "document_id": "Id of a document (`doc_...`).",
    "endpoint_id": "Id of a webhook endpoint.",
    "explain": "Add to each hit its rank in each part of the search.",
    "external_id": "Your own id of the document.",
    "filename": "Name of the file. Its extension gives the type if the content does not.",
    "job_id": "Id of a job (`job_...`).",
    "callback_url": "An address that is notified when ingestion has ended.",
    "key_id": "Id of an API key.",
    "message_id": "Id of a message (`msg_...`).",
    "number": "Number of the page, from 1.",
    "query_batch_id": "Id of a batch of questions (`bat_...`).",
    "status": "Only those with one of these statuses. You can give it several times.",
    "upload_id": "Id of a direct upload.",
}


def _location(of: str) -> dict[str, Any]:
    return {"description": f"Path of {of}.", "schema": {"type": "string", "format": "uri-reference"}}


_JOB, _TASK = _location("the job"), _location("the task")
LOCATIONS = {
    "complete_direct_upload": _JOB,
    "create_collection": _location("the collection"),
    "create_conversation": _location("the conversation"),
    "create_webhook_endpoint": _location("the endpoint"),
    "delete_collection": _TASK,
    "delete_documents": _TASK,
    "delete_tenant": _TASK,
    "move_documents": _TASK,
    "reingest_documents": _TASK,
    "ask_batch": _location("the batch"),
    "upload_document": _JOB,
    "upload_raw_file": _JOB,
    "upload_from_url": _JOB,
    "upload_text": _JOB,
}


def summary(operation_id: str) -> str:
    """`create_api_key` as a title: Create API key."""
    words = operation_id.replace("_", " ").replace("api ", "API ").replace("url", "URL")
    return words[0].upper() + words[1:]
