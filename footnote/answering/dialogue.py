"""A question asked in a conversation: after what was said there, and kept with its answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace

from footnote.answering import Done, Event, Question, Sources, answer, conversations
from footnote.answering.conversations import Hold, Kept
from footnote.answering.rewriting import fitting
from footnote.models import Message
from footnote.providers import Turn
from footnote.runtime import Runtime

MOST_MESSAGES = 100  # looked at; fewer fit into a history


async def ask(rt: Runtime, conversation_id: str, question: Question) -> AsyncGenerator[Event, None]:
    """As `answer`; Done comes when question and answer are kept. Raises NotFound, and Conflict while another is asked.

    Nothing is kept of an answer that fails or that nobody reads to its end.
    """
    async with conversations.hold(rt, question.query.tenant_id, conversation_id) as held:
        async with rt.transaction() as session:
            before = await conversations.newest_messages(session, held, MOST_MESSAGES)
        said = [Turn(each.role, each.content) for each in before]
        history = fitting(said, rt.settings.history_tokens)
        used = before[len(before) - len(history) :]
        sources = Sources(())
        async with aclosing(answer(rt, replace(question, history=history))) as events:
            async for event in events:
                if isinstance(event, Done):
                    done = await _kept(rt, held, question.query.text, event, sources, used)
                    break
                if isinstance(event, Sources):
                    sources = event
                yield event
    yield done  # who sees it may ask again


async def _kept(rt: Runtime, held: Hold, asked: str, done: Done, sources: Sources, used: Sequence[Message]) -> Done:
    kept = Kept(
        content=done.answer,
        question_as_searched=sources.question_as_searched,
        citations=[asdict(each) for each in done.citations],
        unsupported=[asdict(each) for each in done.unsupported],
        answer_status=done.answer_status,
        model=done.model,
        usage=asdict(done.usage),
        document_ids=sorted(set(done.document_ids).union(*(each.document_ids for each in used))),
    )
    async with rt.transaction() as session:
        message_id = await conversations.keep(session, held, asked, kept)
    return replace(done, conversation_id=held.conversation_id, message_id=message_id)
