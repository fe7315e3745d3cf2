"""Conversations: questions that may lean on those before them, kept with their answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from api.deps import Asker, Cursor, Limit, Plain, Reader, RuntimeDep, Writer, again_while_busy
from api.rendering import STREAM, respond
from api.schemas.common import PageOf
from api.schemas.conversations import (
    ConversationDeletionOut,
    ConversationIn,
    ConversationOut,
    ConversationWithMessagesOut,
    MessageOut,
)
from api.schemas.questions import MessageIn
from api.schemas.search import AnswerOut
from footnote.answering import conversations
from footnote.collections.metadata import checked

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])
ConversationId = Annotated[Plain, Path(max_length=64)]


@router.post("", status_code=201, operation_id="conversations_create")
@again_while_busy
async def create(body: ConversationIn, response: Response, rt: RuntimeDep, caller: Reader) -> ConversationOut:
    """Whoever may ask may make one. Without a title it gets the first question's."""
    metadata = checked(body.metadata or {})
    async with rt.transaction() as session:
        made = await conversations.create(session, body.title, metadata, body.defaults())
    response.headers["Location"] = f"/v1/conversations/{made.id}"
    return ConversationOut.of(made)


@router.get("", operation_id="conversations_list")
async def list_conversations(
    rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[ConversationOut]:
    """Conversations, newest first."""
    async with rt.transaction() as session:
        found = await conversations.list_conversations(session, limit=limit + 1, before=cursor)
    more = found[limit - 1].id if len(found) > limit else None
    return PageOf(data=[ConversationOut.of(each) for each in found[:limit]], next_cursor=more)


@router.get("/{conversation_id}", operation_id="conversations_get")
async def get(
    conversation_id: ConversationId, rt: RuntimeDep, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> ConversationWithMessagesOut:
    """A conversation with its messages, oldest first; `cursor` is that of the page of messages before."""
    async with rt.transaction() as session:
        found = await conversations.get(session, conversation_id)
        messages = await conversations.messages_of(session, found, limit=limit + 1, after=cursor)
    more = messages[limit - 1].id if len(messages) > limit else None
    page = PageOf[MessageOut](data=[MessageOut.of(each) for each in messages[:limit]], next_cursor=more)
    return ConversationWithMessagesOut(**ConversationOut.fields_of(found), messages=page)


@router.post(
    "/{conversation_id}/messages", operation_id="conversations_ask", response_model=AnswerOut, responses=STREAM
)
async def ask(conversation_id: ConversationId, body: MessageIn, request: Request, rt: RuntimeDep, caller: Asker) -> Any:
    """Asks a question in the conversation; when the answer is whole, both are kept. One at a time: else 409."""
    async with rt.transaction() as session:
        conversation = await conversations.get(session, conversation_id)
    question = body.as_in(conversation).asking(body.question, [], caller)
    return await respond(conversations.ask(rt, conversation.id, question), request, stream=body.stream)


@router.delete("/{conversation_id}", operation_id="conversations_delete")
@again_while_busy
async def delete(conversation_id: ConversationId, rt: RuntimeDep, caller: Writer) -> ConversationDeletionOut:
    """Removes the conversation with its messages, at any moment: a question under way then ends in an error."""
    async with rt.transaction() as session:
        removed = await conversations.remove(session, conversation_id)
    return ConversationDeletionOut(conversation_id=conversation_id, messages=removed)
