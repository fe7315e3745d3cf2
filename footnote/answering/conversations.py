"""Conversations: create, list, read, delete; questions are asked one at a time and stored with their answers.

A question and its answer are stored together when the answer is complete, or when its reader stopped it; of one that
was interrupted nothing is stored. A request holds the conversation from before the question to the end of the answer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from footnote.answering import Citation, Delta, Done, Event, Question, Sources, answer
from footnote.answering.rewriting import fitting
from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.database.paging import newest_first
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import derived_answers
from footnote.errors import Conflict, NotFound
from footnote.models import Conversation, Message
from footnote.providers import ChatMessage
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

HELD_SECONDS = 30.0  # after which the lease of a conversation expires, if its process was killed
TITLE_CHARACTERS = 80
MOST_MESSAGES = 100  # read; fewer fit into a history
LOOKED_AT = 1_000  # conversations whose titles are compared for one page of a search


@dataclass(frozen=True)
class ConversationLease:
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
    usage: dict[str, Any] | None
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
    return (await session.scalars(_listed(session, before).limit(limit))).all()


async def find_conversations(
    session: AsyncSession, words: str, *, limit: int, before: str | None
) -> tuple[Sequence[Conversation], str | None]:
    """As the list: those with `words` in the title, and where to continue; of the next `LOOKED_AT` only."""
    looked_at = _listed(session, before).limit(LOOKED_AT).subquery()
    one = aliased(Conversation, looked_at)  # no join, for which all of a tenant's would be read
    titled = select(one).where(one.title.icontains(words, autoescape=True))
    found = (await session.scalars(titled.order_by(one.id.desc()).limit(limit + 1))).all()
    if len(found) > limit:
        return found[:limit], found[limit - 1].id
    count, last = (await session.execute(select(func.count(), func.min(looked_at.c.id)))).one()
    return found, last if count == LOOKED_AT else None


def _listed(session: AsyncSession, before: str | None) -> Select[Conversation]:
    query = scoped(session, Conversation).order_by(newest_first(Conversation.id))
    return query.where(Conversation.id < before) if before else query


async def rename(session: AsyncSession, conversation_id: str, title: str) -> Conversation:
    """Raises NotFound."""
    conversation = await get(session, conversation_id)
    conversation.title = title
    await audit_log.note(session, "conversation.updated", conversation_id, changed=["title"])
    await session.flush()
    return conversation


async def messages_of(
    session: AsyncSession,
    conversation: Conversation,
    *,
    limit: int | None = None,
    after: str | None = None,
    newest_first: bool = False,
) -> Sequence[Message]:
    """Oldest first or newest first, those that come after the message with the id `after`."""
    query = scoped(session, Message).where(Message.conversation_id == conversation.id)
    if after:
        behind = query.with_only_columns(Message.position).where(Message.id == after).scalar_subquery()
        query = query.where(Message.position < behind if newest_first else Message.position > behind)
    order = Message.position.desc() if newest_first else Message.position
    return (await session.scalars(query.order_by(order).limit(limit))).all()


async def newest_messages(session: AsyncSession, held: ConversationLease, limit: int) -> Sequence[Message]:
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
    """Deletes the conversation with its messages; returns their number. Raises NotFound."""
    conversation = await get(session, conversation_id)
    await session.execute(delete(Conversation).where(Conversation.id == conversation.id))
    await audit_log.note(session, "conversation.deleted", conversation_id)
    return conversation.messages


# -- questions -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hold(rt: Runtime, conversation_id: str) -> AsyncIterator[ConversationLease]:
    """Locks the conversation while the block asks in it. Raises NotFound, or Conflict if another request does so."""
    taken = ConversationLease(conversation_id, rt.tenant, new_id("req"))
    renewal = update(Conversation).where(taken.held).values(held_until=from_now(HELD_SECONDS))
    free = update(Conversation).where(taken.held).values(holder=None, held_until=None)
    async with rt.transaction() as session:
        await _take(session, taken)
    async with leases.held(rt, renewal, HELD_SECONDS / 3, release=partial(rt.execute, free)):
        yield taken


async def _take(session: AsyncSession, taken: ConversationLease) -> None:
    named = and_(Conversation.tenant_id == taken.tenant_id, Conversation.id == taken.conversation_id)
    held = {"holder": taken.holder, "held_until": from_now(HELD_SECONDS)}
    free = leases.expired(Conversation.held_until)
    if await affected(session, update(Conversation).where(named, free).values(**held)) != 1:
        await get(session, taken.conversation_id)
        raise Conflict("conversation_busy", "Another question is being answered in this conversation.")


async def store(session: AsyncSession, taken: ConversationLease, question: str, answer: StoredAnswer) -> str:
    """Stores the question and its answer; returns the id of the answer's message.

    Raises Conflict if the conversation is not held any more, NotFound if it is gone.
    """
    title = " ".join(question.split())[:TITLE_CHARACTERS]
    longer = {"messages": Conversation.messages + 2, "title": func.coalesce(Conversation.title, title)}
    after = await session.scalar(
        update(Conversation).where(taken.held).values(**longer, updated_at=func.now()).returning(Conversation.messages)
    )
    if after is None:
        await get(session, taken.conversation_id)
        raise Conflict("conversation_busy", "Another question has replaced this one in the conversation.")
    position = after - 2
    owned = {"conversation_id": taken.conversation_id, "tenant_id": taken.tenant_id}
    asking = Message(id=new_id("msg"), position=position, role="user", content=question, **owned)
    answering = Message(id=new_id("msg"), position=position + 1, role="assistant", **vars(answer), **owned)
    session.add_all((asking, answering))
    await session.flush()
    if not await derived_answers.all_exist(session, answer.document_ids):
        await session.execute(derived_answers.redacted_messages(Message.id == answering.id))
    return answering.id


@dataclass
class _Asked:
    """A question of a conversation, and what has come of its answer; `used` are the messages that the model sees."""

    question: str
    model: str
    used: Sequence[Message]
    sources: Sources = field(default_factory=lambda: Sources(()))
    text: str = ""
    citations: list[Citation] = field(default_factory=list)

    def take(self, event: Event) -> None:
        match event:
            case Sources():
                self.sources = event
            case Delta(text):
                self.text += text
            case Citation():
                self.citations.append(event)


async def ask(
    rt: Runtime, conversation_id: str, question: Question, *, store_stopped: bool = False
) -> AsyncGenerator[Event, None]:
    """As `answer`; Done comes when question and answer are stored. Raises NotFound; Conflict while another is asked.

    Nothing is stored of an answer that fails. Of one that its reader stops, what came is, if it is shown as it comes:
    `store_stopped`.
    """
    async with hold(rt, conversation_id) as held:
        async with rt.transaction() as session:
            before = _with_answers(await newest_messages(session, held, MOST_MESSAGES))
        history = fitting([ChatMessage(each.role, each.content) for each in before], rt.settings.history_tokens)
        used = before[len(before) - len(history) :]
        asked = _Asked(question.query.text, question.model or rt.generator.model, used)
        try:
            async with aclosing(answer(rt, replace(question, history=history))) as events:
                async for event in events:
                    if isinstance(event, Done):
                        done = await _stored(rt, held, asked, event)
                        break
                    asked.take(event)
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            if store_stopped:  # the model has been stopped by now
                await _store_stopped(rt, held, asked)
            raise
    yield done  # whose reader may ask again


def _with_answers(messages: Sequence[Message]) -> Sequence[Message]:
    """Without questions whose answers were stopped before anything came: models refuse empty messages."""
    empty = {each.position for each in messages if not each.content}
    return [each for each in messages if not {each.position, each.position + 1} & empty]


async def _store_stopped(rt: Runtime, held: ConversationLease, asked: _Asked) -> None:
    """Stores what came of an answer, as `stopped`; nothing if the conversation is gone."""
    sources = asked.sources
    stored = StoredAnswer(
        content=asked.text.rstrip(),
        question_as_searched=sources.question_as_searched,
        citations=[asdict(each) for each in asked.citations],
        unsupported=[],
        answer_status="stopped",
        model=asked.model,
        usage=None,
        details=_of_sources(sources),
        document_ids=_used(asked, {hit.document_id for hit in sources.hits}),
    )
    with suppress(NotFound, Conflict):
        async with rt.transaction() as session:
            await store(session, held, asked.question, stored)


def _used(asked: _Asked, document_ids: Iterable[str]) -> Sequence[str]:
    return sorted(set(document_ids).union(*(each.document_ids for each in asked.used)))


async def _stored(rt: Runtime, held: ConversationLease, asked: _Asked, done: Done) -> Done:
    sources = asked.sources
    stored = StoredAnswer(
        content=done.answer,
        question_as_searched=sources.question_as_searched,
        citations=[asdict(each) for each in done.citations],
        unsupported=[asdict(each) for each in done.unsupported],
        answer_status=done.answer_status,
        model=done.model,
        usage=asdict(done.usage),
        details=_details(done, sources),
        document_ids=_used(asked, done.document_ids),
    )
    async with rt.transaction() as session:
        message_id = await store(session, held, asked.question, stored)
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
    """Data of an answer that only the stream has."""
    return _of_sources(sources) | {
        "timings": done.timings,
        "truncated": done.truncated,
        "cached": done.cached,
        "not_mentioned": list(done.not_mentioned),
        "evidence": asdict(done.evidence) if done.evidence else None,
    }


def _of_sources(sources: Sources) -> dict[str, Any]:
    """Of passages only their places: the text is in the document."""
    return {
        "searched": asdict(sources.searched),
        "passages": [{name: getattr(hit, name) for name in _PLACE} for hit in sources.hits],
        "parts": list(sources.parts),
        "searched_for": [asdict(each) for each in sources.searched_for],
    }


_PURGE = """
WITH gone AS (
    DELETE FROM conversation WHERE id IN (
        SELECT id FROM conversation
        WHERE updated_at < now() - $1::interval AND (held_until IS NULL OR held_until < now())
        ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING id
) SELECT count(*) FROM gone
"""
_PURGED_AT_ONCE = 100


async def purge(rt: Runtime) -> None:
    """Removes conversations in which nothing was asked for longer than configured, some in each transaction."""
    days = timedelta(days=rt.settings.conversation_days)
    more = bool(days)
    while more:
        async with rt.transaction() as session:
            more = await (await driver(session)).fetchval(_PURGE, days, _PURGED_AT_ONCE) == _PURGED_AT_ONCE
