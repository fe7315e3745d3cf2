"""Requests of OpenAI's clients and calls of MCP tools to the tenant that has very many rows."""

from typing import Any

from tests.growth.crowd import numbered

_FILE = numbered("file", 7).replace("file_", "file-")
_OTHER, _NEW = (_FILE.replace("7", each) for each in "89")
_LATER = _FILE.replace("0000007", "0000507")
_PAGES = f"after={_LATER}&before={_FILE}"
# What stands for the parameters of paths; the vector store is the crowded collection.
SURFACE_IDS = {
    "file_id": _FILE,
    "batch_id": numbered("vsfb", 7),
    "upload_id": numbered("upload", 7),
    "response_id": numbered("resp", 207),
    "model": "footnote",
}
_ASKED: dict[str, Any] = {"model": "footnote", "input": "What burns?"}
_LISTS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    (f"?limit=100&order=asc&after={_FILE}", {}),
    (f"?limit=100&{_PAGES}", {}),
]
_BY_STATUS: list[tuple[str, dict[str, Any]]] = [
    (f"?limit=1&filter={each}", {}) for each in ("in_progress", "completed", "failed", "cancelled")
]
# As `requests.REQUESTS`.
SURFACE_REQUESTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "create_chat_completion": [
        ("", {"json": {"model": "footnote", "messages": [{"role": "user", "content": "Lamp?"}]}})
    ],
    "create_embeddings": [("", {"json": {"model": "footnote", "input": "lamp"}})],
    "list_files": [*_LISTS[1:], ("?limit=100", {}), ("?limit=5&purpose=assistants", {})],
    "create_file": [("", {"files": {"file": ("n.md", b"# New\n\nIt burns.")}, "data": {"purpose": "user_data"}})],
    "create_response": [
        ("", {"json": _ASKED}),
        ("", {"json": _ASKED | {"previous_response_id": SURFACE_IDS["response_id"]}}),
    ],
    "get_response": [("?include[]=file_search_call.results&stream=false", {})],
    "list_input_items": [("?limit=1&order=asc&after=msg_1&before=msg_2", {})],
    "create_upload": [
        ("", {"json": {"bytes": 3, "filename": "p.md", "mime_type": "text/markdown", "purpose": "assistants"}})
    ],
    "add_upload_part": [("", {"files": {"data": b"abc"}})],
    "complete_upload": [("", {"json": {"part_ids": ["part_0"]}})],
    "create_vector_store": [("", {"json": {"name": "Lamps", "file_ids": [_FILE]}})],
    "list_vector_stores": [("", {}), ("?limit=2&order=asc&after=vs_0&before=vs_z", {})],
    "update_vector_store": [("", {"json": {"name": "Lights", "metadata": {"of": "lamps"}}})],
    "create_file_batch": [("", {"json": {"file_ids": [_NEW, "file-unknown"]}})],
    "list_file_batch_files": [*_LISTS, *_BY_STATUS],
    "list_vector_store_files": [*_LISTS, *_BY_STATUS, ("?limit=100&filter=completed", {})],
    "attach_file": [("", {"json": {"file_id": _OTHER, "attributes": {"of": "lamps"}}})],
    "update_vector_store_file": [("", {"json": {"attributes": {"color": "green"}}})],
    "search_vector_store": [("", {"json": {"query": "lamp 17"}}), ("", {"json": {"query": ["lamp 17", "lamp 18"]}})],
}
# As `requests.REFUSED`.
SURFACE_REFUSED = {
    "complete_upload": 400,  # it has no such part
    "download_file": 400,  # its bytes are in no store
}
# As `requests.LAST`.
SURFACE_LAST = ("cancel_upload", "delete_response", "detach_file", "delete_file", "delete_vector_store")
# By tool, with each of its arguments.
TOOL_CALLS: dict[str, list[dict[str, Any]]] = {
    "search": [{"query": "lamp 17"}, {"query": "lamp", "collections": ["default"], "top_k": 50, "filter": None}],
    "fetch": [{"id": numbered("doc", 20)}, {"id": f"{numbered('doc', 20)}:1"}],
    "ask": [{"question": "What burns?", "collections": ["default"], "filter": None}],
    "list_documents": [
        {},
        {"collection": "default", "status": "ready", "limit": 100, "cursor": numbered("doc", 507), "filter": None},
        {"filter": {"type": "eq", "key": "color", "value": "blue"}},
    ],
    "list_collections": [{}, {"cursor": "col_" + 26 * "z"}],
    "add_text": [
        {"text": "A tool's lamp.", "filename": "t.md", "collection": "default", "metadata": {}, "external_id": "t"}
    ],
    "add_url": [{"url": "https://lamps.example/t.md", "collection": "default", "metadata": {}, "external_id": "u"}],
    "document_status": [{"document_id": numbered("doc", 20)}],
}
# What else an MCP client asks for.
READINGS: list[tuple[str, dict[str, Any]]] = [
    ("tools/list", {}),
    ("resources/list", {}),
    ("resources/list", {"cursor": numbered("doc", 507)}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": f"footnote://documents/{numbered('doc', 20)}"}),
    ("resources/read", {"uri": f"footnote://documents/{numbered('doc', 20)}/pages/1"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "cited_answer", "arguments": {"question": "What burns?"}}),
]
