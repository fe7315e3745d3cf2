"""Stored answers that may have been made from a document: they are redacted when it is deleted."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Update, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of, unbound
from footnote.models import Document, Message, QueryBatchItem, StoredResponse

REMOVED = "This answer was removed with a document that it was made from."


def redacted_messages(which: ColumnElement[bool]) -> Update:
    nothing: dict[str, Any] = {"citations": [], "unsupported": [], "details": {}, "document_ids": []}
    return (
        update(Message)
        .where(which)
        .values(content=REMOVED, answer_status="removed", question_as_searched=None, **nothing)
    )


def redacted_items(which: ColumnElement[bool]) -> Update:
    error = {"kind": "gone", "code": "answer_removed", "message": REMOVED, "fields": []}
    return update(QueryBatchItem).where(which).values(answer=None, error=error, document_ids=[])


def redacted_responses(which: ColumnElement[bool]) -> Update:
    return update(StoredResponse).where(which).values(output={}, document_ids=[])


async def all_exist(session: AsyncSession, document_ids: Sequence[str]) -> bool:
    """Whether the documents exist. A deletion then waits for the end of this transaction, and sees its rows."""
    ids = sorted(set(document_ids))
    held = scoped(session, Document).with_only_columns(Document.id).where(Document.id.in_(ids))
    held = held.order_by(Document.id).with_for_update(read=True, key_share=True)
    return len((await session.scalars(held)).all()) == len(ids)


_TABLES: tuple[tuple[Any, Callable[[ColumnElement[bool]], Update]], ...] = (
    (Message, redacted_messages),
    (QueryBatchItem, redacted_items),
    (StoredResponse, redacted_responses),
)


async def redact_documents(session: AsyncSession, document_ids: Sequence[str]) -> int:
    """Redacts the answers that may have used the documents; returns how many. The caller holds the documents."""
    redacted = 0
    async with unbound(session):
        for table, redact in _TABLES:
            used = (table.tenant_id == tenant_of(session)) & table.document_ids.overlap(list(document_ids))
            redacted += await affected(session, redact(used))
    return redacted
