"""Which errors an operation can answer with: derived from what it takes and does, by the tables below."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from footnote.errors import CODES

PROBLEM = "application/problem+json"
Failures = Mapping[int, str]  # codes by status, separated by blanks

EVERY: Failures = {400: "bad_request", 500: "internal_error", 503: "overloaded restarting"}
WITH_KEY: Failures = {
    401: "invalid_api_key",
    403: "no_tenant",
    410: "tenant_deleted",
    422: "invalid_request",
    429: "rate_limited too_many_at_once",
    503: "busy database_unavailable issuer_unavailable",
}
WITH_SCOPE: Failures = {403: "missing_scope"}
WITH_COSTS: Failures = {403: "quota_exceeded"}
WITH_BODY: Failures = {408: "body_timeout", 413: "too_large"}
_ONE_FILE: Failures = {
    415: "unsupported_type",
    422: "bad_encoding empty_file encrypted type_mismatch",
    503: "store_unavailable",
}
_PROVIDERS: Failures = {
    409: "embedding_model_changed",
    502: "model_missing model_weights_mismatch provider_rejected too_many_dimensions",
    503: "provider_bad_response provider_unavailable",
    504: "provider_timeout",
}
_SEARCHING: list[Failures] = [_PROVIDERS, {422: "no_reranker", 504: "search_too_slow"}]
_ASKING: list[Failures] = [*_SEARCHING, {504: "answer_timeout"}]
_ACCEPTING: list[Failures] = [{409: "embedding_model_changed", 422: "bad_collection_name"}]
_SWAPPING: list[Failures] = [
    _PROVIDERS,
    {409: "model_swap_needless model_swap_running", 422: "unknown_embedding_model unknown_provider"},
]
_OF_SWAP: Failures = {409: "model_swap_not_ready no_model_swap"}
_PICTURES: Failures = {
    415: "no_pictures",
    422: "corrupt_file object_missing too_complex too_large",
    503: "parser_unavailable store_unavailable",
}

BY_MEDIA_TYPE: dict[str, list[Failures]] = {
    "application/json": [{422: "invalid_json"}],
    "application/octet-stream": [_ONE_FILE, *_ACCEPTING],
    "multipart/form-data": [{422: "bad_multipart missing_file too_many_files"}, _ONE_FILE, *_ACCEPTING],
}
BY_INPUT: dict[str, Failures] = {
    "Idempotency-Key": {409: "document_deleted request_in_flight", 422: "idempotency_key_reused"},
    "callback_url": {422: "url_not_allowed"},
    "collection": {404: "collection_not_found", 422: "vector_store_expired"},
    "collection_id": {404: "collection_not_found"},
    "collections": {404: "collection_not_found", 422: "vector_store_expired"},
    "conversation_id": {404: "conversation_not_found"},
    "cursor": {422: "invalid_cursor"},
    "delivery_id": {404: "webhook_delivery_not_found"},
    "document_id": {404: "document_not_found"},
    "embedding": {422: "unknown_embedding_model unknown_provider"},
    "endpoint_id": {404: "webhook_endpoint_not_found"},
    "filter": {422: "invalid_filter"},
    "filters": {422: "invalid_filter"},
    "job_id": {404: "job_not_found"},
    "key_id": {404: "key_not_found"},
    "metadata": {413: "too_large"},
    "message_id": {404: "message_not_found"},
    "number": {404: "page_not_found"},
    "query_batch_id": {404: "query_batch_not_found"},
    "task_id": {404: "task_not_found"},
    "upload_id": {404: "upload_not_found"},
    "url": {422: "url_not_allowed"},
    "version": {410: "version_replaced"},
}
BY_OPERATION: dict[str, list[Failures]] = {
    "abort_direct_upload": [{409: "direct_upload_unavailable", 503: "store_unavailable"}],
    "ask": [*_ASKING, {409: "conversation_busy"}],
    "ask_batch": [{404: "collection_not_found"}],
    "ask_in_conversation": [*_ASKING, {409: "conversation_busy"}],
    "begin_model_swap": _SWAPPING,
    "cancel_job": [{409: "job_finished"}],
    "cancel_query_batch": [{409: "query_batch_finished"}],
    "check_readiness": [{422: "invalid_request"}],
    "complete_direct_upload": [
        _ONE_FILE,
        *_ACCEPTING,
        {
            404: "collection_not_found",
            409: "direct_upload_unavailable document_deleted request_in_flight upload_incomplete",
            413: "too_large",
            422: "checksum_mismatch size_mismatch",
        },
    ],
    "compare_models": [*_SEARCHING, _OF_SWAP],
    "create_access_token": [{403: "limited_key missing_scope"}],
    "create_api_key": [{403: "limited_key"}],
    "create_collection": [{409: "collection_exists", 422: "bad_collection_name"}],
    "create_direct_upload": [
        *_ACCEPTING,
        {
            409: "direct_upload_unavailable",
            415: "unsupported_type",
            422: "empty_file type_mismatch",
            503: "store_unavailable",
        },
    ],
    "create_session": [
        {401: "invalid_api_key", 403: "cross_origin", 422: "invalid_request", 503: "busy database_unavailable"},
    ],
    "create_webhook_endpoint": [{409: "too_many_webhook_endpoints"}],
    "delete_collection": [{503: "store_unavailable"}],
    "delete_document": [{503: "store_unavailable"}],
    "delete_tenant": [{422: "wrong_name", 503: "store_unavailable"}],
    "download_document": [{404: "content_not_found", 422: "object_missing", 503: "store_unavailable"}],
    "drop_model": [{409: "no_model_swap"}],
    "estimate_document": [
        {
            422: "archive_too_large corrupt_file no_text ocr_unusable too_complex too_large unsupported_type",
            502: "model_missing model_weights_mismatch provider_rejected",
            503: "parser_unavailable",
        }
    ],
    "estimate_model_swap": _SWAPPING,
    "get_document_page_highlights": [_PICTURES],
    "get_document_page_image": [_PICTURES],
    "move_documents": [{422: "bad_collection_name"}],
    "redeliver_failed_webhooks": [{409: "webhook_endpoint_disabled"}],
    "redeliver_webhook": [{409: "webhook_endpoint_disabled"}],
    "retry_job": [{409: "job_not_retryable job_superseded"}],
    "roll_back_model": [_OF_SWAP],
    "search": _SEARCHING,
    "switch_model": [_OF_SWAP],
    "update_collection": [
        {
            409: "collection_exists collection_not_empty embedding_model_changed model_swap_running",
            422: "bad_collection_name",
        }
    ],
    "update_document": [{409: "document_exists embedding_model_changed found_in_document", 422: "bad_collection_name"}],
    "upload_from_url": _ACCEPTING,
    "upload_text": [_ONE_FILE, *_ACCEPTING],
}

MEANINGS: dict[str, str] = {
    "bad_collection_name": "The name of the collection has characters that are not allowed.",
    "bad_multipart": "The multipart body is malformed or ends too early.",
    "bad_request": "The length of the request body is missing or ambiguous.",
    "body_timeout": "The body did not arrive in time.",
    "checksum_mismatch": "The uploaded file has another SHA-256 than announced.",
    "collection_exists": "A collection with this name already exists.",
    "collection_not_empty": "The collection has documents, so its embedding model cannot be changed.",
    "collection_not_found": "You have no collection of this name or id.",
    "cross_origin": "Only a page of the same origin may open a session.",
    "content_not_found": "The document has not been fetched from its address yet.",
    "conversation_busy": "The conversation is answering another question.",
    "conversation_not_found": "You have no conversation with this id.",
    "direct_upload_unavailable": "This server stores files on its own disk; upload through the API instead.",
    "document_deleted": "The document that was made with this Idempotency-Key has been deleted.",
    "document_exists": "The collection has a document with the same `external_id`, or made from the same file.",
    "document_not_found": "You have no document with this id.",
    "found_in_document": "The document was found in another one: move that one instead.",
    "idempotency_key_reused": "The Idempotency-Key was used for another request.",
    "invalid_api_key": "There is no API key in the request, or it is unknown, expired or revoked.",
    "invalid_cursor": "The cursor is not one of this list.",
    "invalid_filter": "The filter is invalid; `errors` names the condition.",
    "invalid_json": "The body is not JSON.",
    "invalid_request": "Fields or parameters are missing, unknown or wrong; `errors` names them.",
    "issuer_unavailable": "The OIDC issuer could not be reached.",
    "job_finished": "The job has already ended.",
    "job_not_found": "You have no job with this id.",
    "job_not_retryable": "The job has not failed and was not cancelled.",
    "job_superseded": "The document has a newer job.",
    "key_not_found": "You have no API key with this id.",
    "limited_key": "A key cannot create a key with more rights or a higher budget than its own.",
    "message_not_found": "The conversation has no message with this id.",
    "model_swap_needless": "The collection already has this model, or nothing in it is embedded.",
    "model_swap_not_ready": "The swap has another status, or some chunks have no vector of the other model yet.",
    "model_swap_running": "The model of the collection is being swapped already.",
    "missing_file": "The form has no part named `file`.",
    "missing_scope": "The API key lacks the scope that this operation needs.",
    "no_pictures": "Only pages of PDFs have images.",
    "no_reranker": "`rerank` is true, but the server has no reranker.",
    "no_model_swap": "The model of the collection is not being swapped.",
    "no_tenant": "The token belongs to no tenant.",
    "overloaded": "The server has too many requests at the moment.",
    "page_not_found": "The document has no page with this number.",
    "query_batch_finished": "The batch has already ended.",
    "query_batch_not_found": "You have no batch with this id.",
    "quota_exceeded": "The budget of the key, or a quota of the tenant, is used up.",
    "rate_limited": "The key exceeded its rate limit; wait `retry_after` seconds.",
    "request_in_flight": "An earlier request with this Idempotency-Key is still running.",
    "restarting": "The server is restarting; send the request again.",
    "search_too_slow": "The search took too long; narrow it to collections or documents.",
    "size_mismatch": "The uploaded parts have another total size than announced.",
    "task_not_found": "You have no background task with this id.",
    "tenant_deleted": "The tenant has been deleted.",
    "too_large": "The body, the file or its metadata is larger than allowed.",
    "too_many_at_once": "The tenant has too many requests running at the same time.",
    "too_many_files": "The form has more files than allowed.",
    "too_many_webhook_endpoints": "The tenant has reached the maximum number of webhook endpoints.",
    "unknown_embedding_model": "The server cannot use this embedding model.",
    "unknown_provider": "The server has no provider of this name.",
    "upload_incomplete": "Parts of the upload have not arrived yet.",
    "upload_not_found": "You have no upload with this id, or it has expired.",
    "url_not_allowed": "The address is not http or https, or it is on a private network.",
    "vector_store_expired": "The collection was not used for as many days as `expires_after` says.",
    "version_replaced": "The document has a newer version; the requested one was replaced.",
    "webhook_delivery_not_found": "The endpoint has no delivery with this id.",
    "webhook_endpoint_disabled": "The endpoint is disabled; enable it first.",
    "webhook_endpoint_not_found": "You have no webhook endpoint with this id.",
    "wrong_name": "This is not the name of the tenant.",
}


def meaning(code: str) -> str:
    return MEANINGS.get(code) or CODES[code]


def responses(operation: dict[str, Any], inputs: set[str], groups: list[Failures]) -> dict[str, Any]:
    """The error responses of an operation as OpenAPI has them. `groups` come from what guards it."""
    found: dict[int, set[str]] = {}
    for failures in (EVERY, *groups, *_of(operation, inputs)):
        for status, codes in failures.items():
            found.setdefault(status, set()).update(codes.split())
    return {str(status): _response(sorted(codes)) for status, codes in sorted(found.items())}


def _of(operation: dict[str, Any], inputs: set[str]) -> Iterator[Failures]:
    media_types = operation.get("requestBody", {}).get("content", {})
    if media_types:
        yield WITH_BODY
    for media_type in media_types:
        yield from BY_MEDIA_TYPE[media_type]
    yield from (BY_INPUT[name] for name in inputs if name in BY_INPUT)
    yield from BY_OPERATION.get(operation["operationId"], ())


def codes_of(response: dict[str, Any]) -> list[str]:
    return re.findall(r"^- `(\w+)`: ", response["description"], re.MULTILINE)


def _response(codes: list[str]) -> dict[str, Any]:
    return {
        "description": "\n".join(f"- `{code}`: {meaning(code)}" for code in codes),
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
    }
