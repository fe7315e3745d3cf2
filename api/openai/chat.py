"""Chat completions: a question with its history, answered from documents."""

import time
from typing import Any

from fastapi import Request
from fastapi.sse import format_sse_event

from api.deps import Asker, RuntimeDep
from api.errors import openai_body
from api.openai import anchors, asking, errors
from api.openai.rendering import Json, marked, respond, written
from api.openai.routing import STREAMED, new_router
from api.openai.schemas.chat import ChatIn, CompletionOut
from footnote import answering
from footnote.answering import Citation, Delta, Done, Sources
from footnote.database.ids import new_id
from footnote.errors import FootnoteError
from footnote.providers import Usage

router = new_router()


@router.post("/chat/completions", response_model=CompletionOut, responses=STREAMED)
async def create_chat_completion(body: ChatIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """Answer the last message of the user from documents; the footnotes are annotations."""
    conversation = asking.conversation_input([(each.role, each.content) for each in body.messages], "messages")
    events = asking.answered(answering.answer(rt, asking.question_of(rt, body, conversation, caller)), body)
    answer = ChatAnswer(body.model, has_reader=rt.settings.ui == "on", with_usage=body.stream_options.include_usage)
    return await respond(request, events, answer, stream=body.stream)


class ChatAnswer:
    """A chat completion that grows. All annotations come in one chunk: clients cannot join two lists."""

    def __init__(self, model: str, *, has_reader: bool, with_usage: bool = False) -> None:
        self._head = {"id": f"chatcmpl-{new_id('x')[2:]}", "created": int(time.time()), "model": model}
        self._has_reader, self._with_usage = has_reader, with_usage
        self.text = ""
        self.annotations: list[Json] = []
        self.finish_reason = "stop"
        self.usage = usage_of(Usage(0, 0))

    async def frame(self, event: answering.Event) -> bytes:
        return b"".join(format_sse_event(data_str=each) for each in self._chunks(event))

    def failed(self, error: FootnoteError) -> bytes:
        return errors.event(openai_body(error))

    @property
    def complete(self) -> Json:
        message = {"role": "assistant", "content": self.text, "refusal": None, "annotations": self.annotations}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self.usage}

    def _chunks(self, event: answering.Event) -> list[str]:
        match event:
            case Sources():
                return [self._chunk({"role": "assistant", "content": ""})]
            case Delta(text):
                self.text += text
                return [self._chunk({"content": text})]
            case Citation():
                self.annotations.append(self._annotation(event))
                return []
            case Done():
                return self._end(event)

    def _end(self, done: Done) -> list[str]:
        self.finish_reason = "length" if done.truncated else "stop"
        self.usage = usage_of(done.usage)
        chunks = [self._chunk({"annotations": self.annotations})] if self.annotations else []
        chunks.append(self._chunk({}, self.finish_reason))
        if self._with_usage:
            chunks.append(written({**self._chunk_head, "choices": [], "usage": self.usage}))
        return [*chunks, "[DONE]"]

    @property
    def _chunk_head(self) -> Json:
        return {**self._head, "object": "chat.completion.chunk"}

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._with_usage else {}
        return written({**self._chunk_head, "choices": [choice], **usage})

    def _annotation(self, citation: Citation) -> Json:
        start, end = marked(self.text, citation.marker)
        location = {"title": citation.filename, "start_index": start, "end_index": end}
        cited = anchors.of_citation(citation, has_reader=self._has_reader) | location
        return {"type": "url_citation", "url_citation": cited}


def usage_of(usage: Usage) -> dict[str, int]:
    """Tokens that a provider did not count are 0, because clients expect numbers."""
    asked, answered = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
