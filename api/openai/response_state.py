"""The state of a response: while it is being answered, and as stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.openai import anchors
from api.openai.rendering import Json, marked
from api.openai.schemas.common import seconds
from footnote.answering import Citation
from footnote.answering.stored_responses import PLACE
from footnote.documents.derived_answers import REMOVED
from footnote.models import StoredResponse

_SAME: Json = {
    "object": "response",
    "background": False,
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "top_logprobs": 0,
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
    "service_tier": "default",
}


@dataclass
class ResponseState:
    """`request` is as it is stored. `file_ids` are those of the documents that are cited or found."""

    id: str
    model: str
    request: Json
    previous_id: str | None
    asked_at: datetime
    has_reader: bool
    shows_results: bool
    status: str = "in_progress"
    completed_at: datetime | None = None
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    hits: Sequence[Json] = ()
    queries: Sequence[str] = ()
    usage: Mapping[str, Any] | None = None
    error: Json | None = None
    file_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> Json:
        asked, status = self.request, self.status
        return {
            **_SAME,
            "id": self.id,
            "created_at": seconds(self.asked_at),
            "completed_at": seconds(self.completed_at) if self.completed_at else None,
            "status": status,
            "error": self.error,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            **{name: asked[name] for name in ("instructions", "metadata", "tools", "tool_choice", "store")},
            **{name: asked[name] for name in ("temperature", "top_p", "max_output_tokens")},
            "model": self.model,
            "output": [self.search(), self.message()] if status in ("completed", "incomplete") else [],
            "previous_response_id": self.previous_id,
            "usage": None if self.usage is None else _usage(self.usage),
        }

    def search(self, status: str = "completed") -> Json:
        shown = [self._result(hit) for hit in self.hits] if self.shows_results and status == "completed" else None
        item = {"type": "file_search_call", "id": self.search_id, "status": status}
        return {**item, "queries": [*self.queries], "results": shown}

    def message(self) -> Json:
        item = {"type": "message", "id": self.message_id, "role": "assistant"}
        content = [] if self.status == "in_progress" else [self.part()]
        return {**item, "status": self.status, "content": content}

    def part(self) -> Json:
        annotations = [self.annotation(each) for each in self.citations]
        return {"type": "output_text", "text": self.text, "annotations": annotations, "logprobs": []}

    def annotation(self, citation: Citation) -> Json:
        annotation = {
            "type": "file_citation",
            "file_id": self.file_ids[citation.document_id],
            "filename": citation.filename,
            "index": marked(self.text, citation.marker)[0],
        }
        return annotation | anchors.of_citation(citation, has_reader=self.has_reader)

    def _result(self, hit: Json) -> Json:
        result = {"file_id": self.file_ids[hit["document_id"]], "attributes": anchors.attributes(hit["metadata"])}
        return result | {name: hit[name] for name in ("filename", "score", "text", *PLACE)}

    @property
    def search_id(self) -> str:
        return self.id.replace("resp_", "fs_", 1)

    @property
    def message_id(self) -> str:
        return self.id.replace("resp_", "msg_", 1)

    @property
    def document_ids(self) -> set[str]:
        return {each["document_id"] for each in self.hits} | {each.document_id for each in self.citations}


def stored(row: StoredResponse, *, has_reader: bool, shows_results: bool) -> ResponseState:
    """As it was stored, or what is left of it: nothing but a sentence once a document of it is deleted."""
    output = row.output
    return ResponseState(
        id=row.id,
        model=row.model,
        request=row.request,
        previous_id=row.previous_id,
        asked_at=row.created_at,
        has_reader=has_reader,
        shows_results=shows_results and bool(output),
        status=row.status,
        completed_at=row.completed_at,
        text=output.get("text", REMOVED),
        citations=[Citation(**each) for each in output.get("citations", ())],
        hits=output.get("hits", ()),
        queries=output.get("queries", ()),
        usage=row.usage,
    )


def _usage(usage: Mapping[str, Any]) -> Json:
    """What a provider did not count is 0."""
    asked, answered = usage["prompt_tokens"] or 0, usage["completion_tokens"] or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }
