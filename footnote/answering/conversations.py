"""Conversations: created, listed, shown, deleted; questions asked one at a time, and stored with their answers.

A question and its answer are stored together when the answer is complete; of one that broke off nothing is stored. A
request holds the conversation from before the question to the end of the answer (`hold`).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.answering import Done, Event, Question, Sources, answer
from footnote.answering.rewriting import fitting
from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.paging import newest_first
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import derived_answers
from footnote.errors import Conflict, NotFound
from footnote.models import Conversation, Message
from footnote.providers import Turn
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

HELD_SECONDS = 30.0  # after which a conversation is free again if the process that held it was killed
TITLE_CHARACTERS = 80
MOST_MESSAGES = 100  # read; fewer fit into a history


@dataclass(frozen=True)
class Hold:
    """The right to ask the next question of a conversation."""

    conversation_id: str
    tenant_id: str
    holder: str

    @property
    def held(self) -> ColumnElement[bool]:
        return and_(Conversation.id == self.conversation_id, Conversation.holder == self.holder)


@dataclass(frozen=True)
class StoredAnswer:
    """An answer as it is stored; `document_ids` as `Message` has them."""

    content: str
    question_as_searched: str | None
    citations: Sequence[dict[str, Any]]
    unsupported: Sequence[dict[str, Any]]
    answer_status: str
    model: str
    usage: dict[str, Any]
    details: dict[str, Any]
    document_ids: Sequence[str]


async def create(
    session: AsyncSession, title: str | None, metadata: dict[str, Any], defaults: dict[str, Any]
) -> Conversation:
    conversation = Conversation(
        id=new_id("cnv"), tenant_id=tenant_of(session), title=title, attributes=metadata, defaults=defaults, messages=0
    )
    session.add(conversation)
    await session.flush()
    await session.refresh(conversation)
    return conversation


async def get(session: AsyncSession, conversation_id: str) -> Conversation:
    """Raises NotFound."""
    found = await session.scalar(scoped(session, Conversation).where(Conversation.id == conversation_id))
    if found is None:
        raise NotFound("conversation_not_found", f"There is no conversation {conversation_id!r}.")
    return found


async def list_conversations(session: AsyncSession, *, limit: int, before: str | None) -> Sequence[Conversation]:
    """Newest first, `limit` at most, older than the id `before`."""
    query = scoped(session, Conversation).order_by(newest_first(Conversation.id)).limit(limit)
    if before:
        query = query.where(Conversation.id < before)
    return (await session.scalars(query)).all()


async def messages_of(
    session: AsyncSession, conversation: Conversation, *, limit: int | None = None, after: str | None = None
) -> Sequence[Message]:
    """Oldest first, those behind the message with the id `after`."""
    query = scoped(session, Message).where(Message.conversation_id == conversation.id)
    if after:
        behind = query.with_only_columns(Message.position).where(Message.id == after).scalar_subquery()
        query = query.where(Message.position > behind)
    return (await session.scalars(query.order_by(Message.position).limit(limit))).all()


async def newest_messages(session: AsyncSession, held: Hold, limit: int) -> Sequence[Message]:
    """The last `limit` messages, oldest first."""
    query = scoped(session, Message).where(Message.conversation_id == held.conversation_id)
    return (await session.scalars(query.order_by(Message.position.desc()).limit(limit))).all()[::-1]


async def message(session: AsyncSession, conversation_id: str, message_id: str) -> Message:
    """One message. Raises NotFound."""
    await get(session, conversation_id)
    chosen = scoped(session, Message).where(Message.conversation_id == conversation_id, Message.id == message_id)
    found = await session.scalar(chosen)
    if found is None:
        raise NotFound("message_not_found", f"There is no message {message_id!r} in the conversation.")
    return found


async def remove(session: AsyncSession, conversation_id: str) -> int:
    """Deletes the conversation with its messages; how many there were. Raises NotFound."""
    conversation = await get(session, conversation_id)
    await session.execute(delete(Conversation).where(Conversation.id == conversation.id))
    await audit_log.note(session, "conversation.deleted", conversation_id)
    return conversation.messages


# -- questions -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hold(rt: Runtime, conversation_id: str) -> AsyncIterator[Hold]:
    """Holds the conversation while the block asks in it. Raises NotFound, or Conflict while another request does."""
    taken = Hold(conversation_id, rt.tenant, new_id("req"))
    renewal = update(Conversation).where(taken.held).values(held_until=from_now(HELD_SECONDS))
    free = update(Conversation).where(taken.held).values(holder=None, held_until=None)
    async with rt.transaction() as session:
        await _take(session, taken)
    async with leases.held(rt, renewal, HELD_SECONDS / 3, release=partial(rt.execute, free)):
        yield taken


async def _take(session: AsyncSession, taken: Hold) -> None:
    named = and_(Conversation.tenant_id == taken.tenant_id, Conversation.id == taken.conversation_id)
    held = {"holder": taken.holder, "held_until": from_now(HELD_SECONDS)}
    free = leases.expired(Conversation.held_until)
    if await affected(session, update(Conversation).where(named, free).values(**held)) != 1:
        await get(session, taken.conversation_id)
        raise Conflict("conversation_busy", "Another question is being answered in this conversation.")


async def store(session: AsyncSession, taken: Hold, question: str, answer: StoredAnswer) -> str:
    """Stores the question and its answer; the id of the answer's message.

    Raises Conflict if the conversation is not held any more, NotFound if it is gone.
    """
    title = " ".join(question.split())[:TITLE_CHARACTERS]
    longer = {"messages": Conversation.messages + 2, "title": func.coalesce(Conversation.title, title)}
    after = await session.scalar(
        update(Conversation).where(taken.held).values(**longer, updated_at=func.now()).returning(Conversation.messages)
    )
    if after is None:
        await get(session, taken.conversation_id)
        raise Conflict("conversation_busy", "Another question took this one's place in the conversation.")
    position = after - 2
    owned = {"conversation_id": taken.conversation_id, "tenant_id": taken.tenant_id}
    asking = Message(id=new_id("msg"), position=position, role="user", content=question, **owned)
    answering = Message(id=new_id("msg"), position=position + 1, role="assistant", **vars(answer), **owned)
    session.add_all((asking, answering))
    await session.flush()
    if not await derived_answers.all_there(session, answer.document_ids):
        await session.execute(derived_answers.redacted_messages(Message.id == answering.id))
    return answering.id


async def ask(rt: Runtime, conversation_id: str, question: Question) -> AsyncGenerator[Event, None]:
    """As `answer`; Done comes when question and answer are stored. Raises NotFound; Conflict while another is asked.

    Nothing is stored of an answer that fails or that the client does not read to its end.
    """
    async with hold(rt, conversation_id) as held:
        async with rt.transaction() as session:
            before = await newest_messages(session, held, MOST_MESSAGES)
        said = [Turn(each.role, each.content) for each in before]
        history = fitting(said, rt.settings.history_tokens)
        used = before[len(before) - len(history) :]
        sources = Sources(())
        async with aclosing(answer(rt, replace(question, history=history))) as events:
            async for event in events:
                if isinstance(event, Done):
                    done = await _stored(rt, held, question.query.text, event, sources, used)
                    break
                if isinstance(event, Sources):
                    sources = event
                yield event
    yield done  # whose reader may ask again


async def _stored(rt: Runtime, held: Hold, asked: str, done: Done, sources: Sources, used: Sequence[Message]) -> Done:
    stored = StoredAnswer(
        content=done.answer,
        question_as_searched=sources.question_as_searched,
        citations=[asdict(each) for each in done.citations],
        unsupported=[asdict(each) for each in done.unsupported],
        answer_status=done.answer_status,
        model=done.model,
        usage=asdict(done.usage),
        details=_details(done, sources),
        document_ids=sorted(set(done.document_ids).union(*(each.document_ids for each in used))),
    )
    async with rt.transaction() as session:
        message_id = await store(session, held, asked, stored)
    return replace(done, conversation_id=held.conversation_id, message_id=message_id)


_PLACE = (
    "chunk_id",
    "document_id",
    "filename",
    "version",
    "page_start",
    "page_end",
    "char_start",
    "char_end",
    "heading",
)


def _details(done: Done, sources: Sources) -> dict[str, Any]:
    """What a reload would lose. Of passages only their places: the text stands in the document."""
    return {
        "searched": asdict(sources.searched),
        "passages": [{name: getattr(hit, name) for name in _PLACE} for hit in sources.hits],
        "timings": done.timings,
        "truncated": done.truncated,
        "cached": done.cached,
        "not_mentioned": list(done.not_mentioned),
        "parts": list(sources.parts),
        "searched_for": [asdict(each) for each in sources.searched_for],
    }
