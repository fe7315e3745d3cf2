"""The events of a streamed response, in OpenAI's order."""

from typing import Any

from fastapi.sse import format_sse_event

from api.errors import openai_body
from api.openai import ids
from api.openai.rendering import Json, written
from api.openai.response_state import ResponseState
from footnote import answering
from footnote.answering import Citation, Delta, Done, Sources
from footnote.answering.stored_responses import completed_at, hits_of, queries_of
from footnote.errors import FootnoteError
from footnote.runtime import Runtime

SEARCH, MESSAGE = 0, 1  # indexes of the two items in the output


class ResponseAnswer:
    """A response that grows; `asked` are the words of the question."""

    def __init__(self, rt: Runtime, state: ResponseState, asked: str) -> None:
        self._rt, self._state, self._asked = rt, state, asked
        self._number = 0

    @property
    def complete(self) -> Json:
        return self._state.complete

    async def frame(self, event: answering.Event) -> bytes:
        match event:
            case Sources():
                return await self._found(event)
            case Delta(text):
                self._state.text += text
                return self._in_part("response.output_text.delta", delta=text, logprobs=[])
            case Citation():
                return self._cited(event)
            case Done():
                return self._done(event)

    def failed(self, error: FootnoteError) -> bytes:
        body = openai_body(error)["error"]
        self._state.status, self._state.error = "failed", {name: body[name] for name in ("code", "message")}
        frame = self._event("error", **self._state.error, param=None)
        return frame + self._event("response.failed", response=self.complete)

    async def _found(self, sources: Sources) -> bytes:
        state = self._state
        state.queries = queries_of(self._asked, sources)
        begun = [
            self._event("response.created", response=self.complete),
            self._event("response.in_progress", response=self.complete),
            self._item("added", SEARCH, state.search("in_progress")),
            *(self._searching(step) for step in ("in_progress", "searching", "completed")),
        ]
        state.hits = hits_of(sources)
        state.file_ids = await ids.file_ids(self._rt, state.document_ids)
        found = [
            self._item("done", SEARCH, state.search()),
            self._item("added", MESSAGE, state.message()),
            self._in_part("response.content_part.added", part=state.part()),
        ]
        return b"".join((*begun, *found))

    def _cited(self, citation: Citation) -> bytes:
        self._state.citations.append(citation)
        fields = {"annotation_index": len(self._state.citations) - 1, "annotation": self._state.annotation(citation)}
        return self._in_part("response.output_text.annotation.added", **fields)

    def _done(self, done: Done) -> bytes:
        state = self._state
        state.status = "incomplete" if done.truncated else "completed"
        state.completed_at, state.usage = completed_at(state.asked_at, done), vars(done.usage)
        return b"".join(
            (
                self._in_part("response.output_text.done", text=state.text, logprobs=[]),
                self._in_part("response.content_part.done", part=state.part()),
                self._item("done", MESSAGE, state.message()),
                self._event(f"response.{state.status}", response=self.complete),
            )
        )

    def _searching(self, step: str) -> bytes:
        kind = f"response.file_search_call.{step}"
        return self._event(kind, output_index=SEARCH, item_id=self._state.search_id)

    def _item(self, step: str, output_index: int, item: Json) -> bytes:
        return self._event(f"response.output_item.{step}", output_index=output_index, item=item)

    def _in_part(self, kind: str, **fields: Any) -> bytes:
        """An event about the text of the message."""
        return self._event(kind, item_id=self._state.message_id, output_index=MESSAGE, content_index=0, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return format_sse_event(event=kind, data_str=written(body))
