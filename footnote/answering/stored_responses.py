"""Responses: answers that are stored with their input, and that later questions may continue.

As all stored answers they end with the documents that they may have been made from (`documents.derived_answers`).
"""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.answering import Done, Event, Question, Sources, answer, gate
from footnote.answering.rewriting import fitting
from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import derived_answers
from footnote.errors import NotFound
from footnote.models import StoredResponse
from footnote.providers import ChatMessage
from footnote.runtime import Runtime
from footnote.tenancy import audit_log

DAYS = 30  # for which a response is stored
MOST_BEFORE = 50  # responses of a chain that are read, the newest
PLACE = ("document_id", "version", "page_start", "page_end", "char_start", "char_end")


@dataclass(frozen=True)
class Earlier:
    """An earlier response: its messages, and the documents that its answer may have been made from."""

    turns: Sequence[ChatMessage]
    document_ids: Sequence[str]


@dataclass(frozen=True)
class NewResponse:
    """What is stored with an answer. `document_ids`: of earlier answers that the request itself repeats."""

    id: str
    model: str
    request: dict[str, Any]
    previous_id: str | None = None
    document_ids: Sequence[str] = ()
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))


# -- asked ---------------------------------------------------------------------------------------------------


async def ask(
    rt: Runtime, question: Question, new: NewResponse, before: Sequence[Earlier], *, store: bool
) -> AsyncGenerator[Event, None]:
    """As `answer`, after what was said in the responses `before`; Done comes when the answer is stored.

    Nothing is stored of an answer that fails or that the client does not read to its end.
    """
    said = [turn for each in before for turn in each.turns]
    history = fitting([*said, *question.history], rt.settings.history_tokens)
    new = replace(new, document_ids=[*new.document_ids, *_used(before, len(history) - len(question.history))])
    sources = Sources(())
    async with aclosing(answer(rt, replace(question, history=history))) as events:
        async for event in events:
            if isinstance(event, Done):
                if store:
                    async with rt.transaction() as session:
                        await _store(session, new, question.query.text, sources, event)
                done = event
                break
            if isinstance(event, Sources):
                sources = event
            yield event
    yield done


def _used(before: Sequence[Earlier], turns: int) -> list[str]:
    """Documents of the responses that the last `turns` turns belong to."""
    used: list[str] = []
    for each in reversed(before):
        if turns <= 0:
            break
        used += each.document_ids
        turns -= len(each.turns)
    return used


def completed_at(asked_at: datetime, done: Done) -> datetime:
    return asked_at + timedelta(milliseconds=done.timings["total"])


def queries_of(asked: str, sources: Sources) -> list[str]:
    """The searched collections and documents."""
    return [*sources.parts] or [sources.question_as_searched or asked]


def hits_of(sources: Sources) -> list[dict[str, Any]]:
    """The stored data of the hits, the most relevant first."""
    scores = gate.relevance(sources.hits)
    return [
        {
            **{name: getattr(hit, name) for name in ("filename", "text", "metadata", *PLACE)},
            "score": round(score, 6),
        }
        for hit, score in zip(sources.hits, scores, strict=True)
    ]


_INSERT = """
INSERT INTO response (id, tenant_id, previous_id, request, output, status, model, usage, document_ids, created_at,
                      completed_at, expires_at)
VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6, $7, $8::jsonb, $9, $10, $11, now() + make_interval(days => $12))
"""


async def _store(session: AsyncSession, new: NewResponse, asked: str, sources: Sources, done: Done) -> None:
    """Stored empty if one of the documents was deleted meanwhile."""
    found = {hit.document_id for hit in sources.hits}
    document_ids = sorted(found.union(done.document_ids, new.document_ids))
    output = {
        "text": done.answer,
        "citations": [asdict(each) for each in done.citations],
        "hits": hits_of(sources),
        "queries": queries_of(asked, sources),
    }
    if not await derived_answers.all_exist(session, document_ids):
        output, document_ids = {}, []
    status = "incomplete" if done.truncated else "completed"
    connection, written = await driver(session), (new.request, output)
    given = (
        status,
        new.model,
        json.dumps(asdict(done.usage)),
        document_ids,
        new.asked_at,
        completed_at(new.asked_at, done),
        DAYS,
    )
    await connection.execute(_INSERT, new.id, tenant_of(session), new.previous_id, *map(json.dumps, written), *given)


# -- found ---------------------------------------------------------------------------------------------------

_CHAIN = """
WITH RECURSIVE chain AS (
    SELECT id, previous_id, request, output, document_ids, 1 AS place FROM response
    WHERE tenant_id = $1 AND id = $2 AND expires_at > now()
    UNION ALL
    SELECT r.id, r.previous_id, r.request, r.output, r.document_ids, place + 1
    FROM chain JOIN response r ON r.tenant_id = $1 AND r.id = chain.previous_id
    WHERE r.expires_at > now() AND place < $3
)
SELECT request -> 'said' AS said, output ->> 'text' AS text, document_ids FROM chain ORDER BY place DESC
"""


async def before(session: AsyncSession, response_id: str) -> list[Earlier]:
    """The response and its predecessors, oldest first. Raises NotFound."""
    rows = await (await driver(session)).fetch(_CHAIN, tenant_of(session), response_id, MOST_BEFORE)
    if not rows:
        raise unknown(response_id)
    return [Earlier(_turns(row["said"], row["text"]), row["document_ids"]) for row in rows]


def _turns(said: list[dict[str, str]], answered: str | None) -> list[ChatMessage]:
    asked = [ChatMessage("user", each["text"]) for each in said if each["role"] == "user"]
    return [*asked, ChatMessage("assistant", answered or derived_answers.REMOVED)]


def _there(session: AsyncSession) -> Select[StoredResponse]:
    return scoped(session, StoredResponse).where(StoredResponse.expires_at > func.now())


async def get(session: AsyncSession, response_id: str) -> StoredResponse:
    """Raises NotFound."""
    found = await session.scalar(_there(session).where(StoredResponse.id == response_id))
    if found is None:
        raise unknown(response_id)
    return found


async def among(session: AsyncSession, response_ids: Sequence[str]) -> dict[str, StoredResponse]:
    """The existing ones, by id."""
    found = await session.scalars(_there(session).where(StoredResponse.id.in_(response_ids)))
    return {each.id: each for each in found}


def unknown(response_id: str) -> NotFound:
    return NotFound("response_not_found", f"There is no response {response_id!r}.")


# -- removed -------------------------------------------------------------------------------------------------


async def remove(session: AsyncSession, response_id: str) -> None:
    """Raises NotFound. Later responses of the chain are kept."""
    await get(session, response_id)
    await session.execute(delete(StoredResponse).where(StoredResponse.id == response_id))
    await audit_log.note(session, "response.deleted", response_id)


async def purge(session: AsyncSession) -> None:
    """Removes expired responses."""
    await session.execute(delete(StoredResponse).where(StoredResponse.expires_at <= from_now(0)))
