"""Conversations: questions that build on each other, stored with their answers."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from api.answer_stream import STREAM, respond
from api.deps import Asker, Reader, RuntimeDep, Writer, again_while_busy
from api.paging import ConversationCursor, Limit, MessageCursor, page
from api.schemas.common import PageOf
from api.schemas.conversations import (
    ConversationDeletionOut,
    ConversationIn,
    ConversationOut,
    ConversationPatch,
    ConversationWithMessagesOut,
    MessageOut,
)
from api.schemas.fields import Plain
from api.schemas.questions import MessageIn
from api.schemas.search import AnswerOut
from footnote.answering import conversations
from footnote.collections.metadata import checked

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])
ConversationId = Annotated[Plain, Path(max_length=64)]
MessageId = Annotated[Plain, Path(max_length=64)]


@router.post("", status_code=201)
@again_while_busy
async def create_conversation(
    body: ConversationIn, response: Response, rt: RuntimeDep, caller: Reader
) -> ConversationOut:
    """Create a conversation. Without a title it gets the first question as its title."""
    metadata = checked(body.metadata or {})
    async with rt.transaction() as session:
        made = await conversations.create(session, body.title, metadata, body.defaults())
    response.headers["Location"] = f"/v1/conversations/{made.id}"
    return ConversationOut.of(made)


@router.get("")
async def list_conversations(
    rt: RuntimeDep,
    caller: Reader,
    limit: Limit = 50,
    cursor: ConversationCursor = None,
    q: Annotated[
        Plain | None, Query(min_length=1, max_length=200, description="Only those with these words in the title.")
    ] = None,
) -> PageOf[ConversationOut]:
    """List conversations, newest first.

    With `q`, a page has the matches among the next 1,000 conversations, which may be few or none: continue while there
    is a `next_cursor`.
    """
    async with rt.transaction() as session:
        if q is None:
            found = await conversations.list_conversations(session, limit=limit + 1, before=cursor)
            return page(found, limit, ConversationOut.of)
        found, more = await conversations.find_conversations(session, q, limit=limit, before=cursor)
    return PageOf(data=[ConversationOut.of(each) for each in found], next_cursor=more)


@router.get("/{conversation_id}")
async def get_conversation(
    conversation_id: ConversationId,
    rt: RuntimeDep,
    caller: Reader,
    limit: Limit = 50,
    cursor: MessageCursor = None,
    order: Annotated[Literal["oldest", "newest"], Query(description="Which messages come first.")] = "oldest",
) -> ConversationWithMessagesOut:
    """Get a conversation with its messages. `cursor` pages through the messages."""
    async with rt.transaction() as session:
        found = await conversations.get(session, conversation_id)
        messages = await conversations.messages_of(
            session, found, limit=limit + 1, after=cursor, newest_first=order == "newest"
        )
    return ConversationWithMessagesOut(
        **ConversationOut.fields_of(found), messages=page(messages, limit, MessageOut.of)
    )


@router.patch("/{conversation_id}")
@again_while_busy
async def update_conversation(
    conversation_id: ConversationId, body: ConversationPatch, rt: RuntimeDep, caller: Writer
) -> ConversationOut:
    """Change the title of a conversation."""
    async with rt.transaction() as session:
        return ConversationOut.of(await conversations.rename(session, conversation_id, body.title))


@router.get("/{conversation_id}/messages/{message_id}")
async def get_message(
    conversation_id: ConversationId, message_id: MessageId, rt: RuntimeDep, caller: Reader
) -> MessageOut:
    """Get a question or an answer of a conversation."""
    async with rt.transaction() as session:
        return MessageOut.of(await conversations.message(session, conversation_id, message_id))


@router.post("/{conversation_id}/messages", response_model=AnswerOut, responses=STREAM)
async def ask_in_conversation(
    conversation_id: ConversationId, body: MessageIn, request: Request, rt: RuntimeDep, caller: Asker
) -> Any:
    """Ask a question in a conversation. Question and answer are stored when the answer is complete.

    If you close the stream before, the text so far is stored as `stopped`. A conversation answers one question at a
    time; a second one gets 409.
    """
    async with rt.transaction() as session:
        conversation = await conversations.get(session, conversation_id)
    question = body.as_in(conversation).asking(body.question, [], caller)
    events = conversations.ask(rt, conversation.id, question, store_stopped=body.stream)
    return await respond(events, request, stream=body.stream)


@router.delete("/{conversation_id}")
@again_while_busy
async def delete_conversation(
    conversation_id: ConversationId, rt: RuntimeDep, caller: Writer
) -> ConversationDeletionOut:
    """Delete a conversation with its messages. A question that is being answered ends with an error."""
    async with rt.transaction() as session:
        removed = await conversations.remove(session, conversation_id)
    return ConversationDeletionOut(conversation_id=conversation_id, messages=removed)
