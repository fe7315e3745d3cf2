"""Responses: created, found again, deleted; each may follow an earlier one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query, Request

from api.deps import Asker, Reader, RuntimeDep, Writer, again_while_busy
from api.openai import asking, errors, ids, response_state
from api.openai.asking import ConversationInput
from api.openai.errors import wrong
from api.openai.events import ResponseAnswer
from api.openai.ids import ResponseId
from api.openai.paging import Windowed
from api.openai.rendering import Json, respond
from api.openai.response_state import ResponseState
from api.openai.routing import STREAMED, new_router
from api.openai.schemas.common import ListOf
from api.openai.schemas.responses import (
    RESULTS,
    InputItemOut,
    InputTextOut,
    ResponseDeletedOut,
    ResponseIn,
    ResponseOut,
)
from footnote.answering import stored_responses
from footnote.answering.stored_responses import Earlier, NewResponse
from footnote.database.ids import new_id
from footnote.errors import NotFound
from footnote.models import StoredResponse
from footnote.runtime import Runtime
from footnote.text import clean

router = new_router()
Include = Annotated[list[str] | None, Query(alias="include[]", description=f"`{RESULTS}`: with the hits.")]
ECHOED = ("instructions", "metadata", "tool_choice", "top_p", "max_output_tokens", "store")
ASKING = ("user", *asking.INSTRUCTING)
SPEAKING = (*ASKING, "assistant")


@router.post("/responses", response_model=ResponseOut, responses=STREAMED)
async def create_response(body: ResponseIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """Answer a question from documents, after an earlier response if `previous_response_id` names one."""
    repeated = await _repeated(rt, body)
    conversation = asking.conversation_input(_messages(body.input, repeated), "input")
    before = await _before(rt, body.previous_response_id)
    question = asking.question_of(rt, body, _instructed(conversation, body.instructions), caller)
    new = NewResponse(
        id=new_id("resp"),
        model=body.model,
        request=_stored(body, conversation),
        previous_id=body.previous_response_id,
        document_ids=[each for row in repeated.values() for each in row.document_ids],
    )
    events = stored_responses.ask(rt, question, new, before, store=body.store)
    state = ResponseState(
        id=new.id,
        model=new.model,
        request=new.request,
        previous_id=new.previous_id,
        asked_at=new.asked_at,
        has_reader=rt.settings.ui == "on",
        shows_results=body.shows_results,
    )
    answer = ResponseAnswer(rt, state, conversation.words)
    return await respond(request, asking.answered(events, body), answer, stream=body.stream)


@router.get("/responses/{response_id}")
async def get_response(
    response_id: ResponseId, rt: RuntimeDep, caller: Reader, include: Include = None, stream: bool = False
) -> ResponseOut:
    """Get a stored response. It is stored for 30 days, and emptied if one of its documents is deleted."""
    if stream:
        raise errors.unsupported("stream", "A stored response is not streamed again.")
    row = await _found(rt, response_id)
    state = response_state.stored(row, has_reader=rt.settings.ui == "on", shows_results=RESULTS in (include or ()))
    state.file_ids = await ids.file_ids(rt, state.document_ids)
    return ResponseOut.model_validate(state.complete)


@router.delete("/responses/{response_id}")
@again_while_busy
async def delete_response(response_id: ResponseId, rt: RuntimeDep, caller: Writer) -> ResponseDeletedOut:
    """Delete a stored response."""
    try:
        async with rt.transaction() as session:
            await stored_responses.remove(session, response_id)
    except NotFound as error:
        raise errors.unknown("response", response_id) from error
    return ResponseDeletedOut(id=response_id)


@router.get("/responses/{response_id}/input_items")
async def list_input_items(
    response_id: ResponseId, rt: RuntimeDep, caller: Reader, window: Windowed
) -> ListOf[InputItemOut]:
    """List the input of a response: the messages of the user, and its instructions."""
    row = await _found(rt, response_id)
    items = [
        InputItemOut(
            id=f"{row.id.replace('resp_', 'msg_', 1)}_{index:04}",
            role=each["role"],
            content=[InputTextOut(text=each["text"])],
        )
        for index, each in enumerate(row.request["said"])
    ]
    return window.page(window.among(items), lambda item: item)


async def _found(rt: Runtime, response_id: str) -> StoredResponse:
    try:
        async with rt.transaction() as session:
            return await stored_responses.get(session, response_id)
    except NotFound as error:
        raise errors.unknown("response", response_id) from error


async def _before(rt: Runtime, previous_id: str | None) -> Sequence[Earlier]:
    """What a response follows. Raises Invalid."""
    if previous_id is None:
        return ()
    try:
        async with rt.transaction() as session:
            return await stored_responses.before(session, previous_id)
    except NotFound as error:
        message = f"Previous response with id '{previous_id}' not found."
        raise wrong("previous_response_id", message, "previous_response_not_found") from error


async def _repeated(rt: Runtime, body: ResponseIn) -> dict[str, StoredResponse]:
    """The responses whose messages the input refers to by id."""
    given = body.input if isinstance(body.input, list) else []
    named = [each.get("id") for each in given if isinstance(each, dict) and each.get("type") == "item_reference"]
    wanted = [_response_of(each) for each in named if isinstance(each, str)]
    if not wanted:
        return {}
    async with rt.transaction() as session:
        return await stored_responses.among(session, wanted)


def _response_of(message_id: str) -> str:
    return clean(f"resp_{message_id.removeprefix('msg_')}")


def _messages(given: Any, repeated: dict[str, StoredResponse]) -> list[tuple[str, Any]]:
    """Role and content of each item; those that say nothing have none. Raises Invalid, and NotFound for a reference."""
    if isinstance(given, str):
        return [("user", given)]
    if not isinstance(given, list):
        raise wrong("input", "Invalid value for 'input': expected a string or a list of items.")
    return [_message(item, f"input.{index}", repeated) for index, item in enumerate(given)]


def _message(item: Any, param: str, repeated: dict[str, StoredResponse]) -> tuple[str, Any]:
    if not isinstance(item, dict):
        raise wrong(param, f"Invalid value for '{param}': expected an item.")
    kind = item.get("type", "message")
    if kind == "item_reference":
        return _referred(str(item.get("id", "")), repeated)
    if kind != "message":  # a call of a tool, its output, thoughts
        return "tool", None
    if item.get("role") not in SPEAKING:
        raise wrong(f"{param}.role", f"Invalid value for '{param}.role': expected one of {', '.join(SPEAKING)}.")
    return item["role"], item.get("content")


def _referred(item_id: str, repeated: dict[str, StoredResponse]) -> tuple[str, Any]:
    """An answer that is stored; the search that belongs to it says nothing."""
    if item_id.startswith("fs_"):
        return "tool", None
    row = repeated.get(_response_of(item_id)) if item_id.startswith("msg_") else None
    if row is None:
        raise errors.unknown("item", item_id)
    return "assistant", response_state.stored(row, has_reader=False, shows_results=False).text


def _instructed(conversation: ConversationInput, instructions: str | None) -> ConversationInput:
    return replace(conversation, instructions=[*filter(None, [instructions]), *conversation.instructions])


def _stored(body: ResponseIn, conversation: ConversationInput) -> Json:
    """What is stored of a request. Answers that it repeats are not: they may hold text of documents."""
    said = [{"role": turn.role, "text": turn.content} for turn in conversation.turns if turn.role in ASKING]
    return {
        **body.model_dump(include=set(ECHOED)),
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "tools": [tool.given for tool in body.tools],
        "said": said,
    }
