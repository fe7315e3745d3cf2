"""Questions of a batch, answered in the background: several at once, each answer is stored when it is complete."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from footnote import filters
from footnote.answering import Question, answer, collect, question_batches
from footnote.answering.question_batches import Ended, as_json
from footnote.database import leases
from footnote.database.leases import Lease, LeaseLost
from footnote.errors import DatabaseUnavailable, FootnoteError, Unavailable
from footnote.providers import ChatMessage
from footnote.retrieval import Query
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy import keys, quotas


def stored(question: Question, given_filter: dict[str, Any] | None) -> dict[str, Any]:
    """The question as JSON, with the filter as it was given; its tenant is the batch's."""
    fields = asdict(question)
    del fields["parts"]  # found when it is asked
    fields["query"]["filter"] = given_filter
    return fields


def restored(fields: dict[str, Any]) -> Question:
    """Raises Invalid for an unreadable filter."""
    given = fields["query"]["filter"]
    where = {**fields["query"], "filter": None if given is None else filters.parse(given, "filters")}
    history = [ChatMessage(**turn) for turn in fields["history"]]
    return Question(**{**fields, "query": Query(**where), "history": history})


@dataclass
class _Run:
    """Work on a claimed batch `until` it yields; `trouble` is a temporary error that ended it."""

    rt: Runtime
    lease: Lease
    items: Iterator[tuple[int, dict[str, Any]]]
    until: float
    may_postpone: bool
    trouble: FootnoteError | None = None
    lost: bool = False

    def over(self) -> bool:
        return self.lost or self.trouble is not None or monotonic() > self.until or self.rt.stopping.is_set()

    async def work(self) -> None:
        """Ends one item after the other; may run several times at once."""
        for position, request in self.items:
            try:
                ended = await _ended(self.rt, request)
            except FootnoteError as error:
                if error.retryable and (self.may_postpone or isinstance(error, DatabaseUnavailable)):
                    self.trouble = error
                    return
                ended = Ended(error=as_json(error))
            except Exception as error:
                log.error("question of a batch failed", batch_id=self.lease.id, exc_info=error)
                ended = Ended(error=as_json(Unavailable("internal_error")))
            await self._store(position, ended)
            if self.over():
                return

    async def _store(self, position: int, ended: Ended) -> None:
        try:
            async with self.rt.transaction() as session:
                await question_batches.store(session, self.lease, position, ended, self.rt.settings.lease_seconds)
        except LeaseLost:
            self.lost = True
        except DatabaseUnavailable as error:
            self.trouble = error


async def run(rt: Runtime, batch_id: str, message: str | None = None) -> None:
    """Answers questions until the batch yields, if it is due; then gives it back. Raises DatabaseUnavailable."""
    async with rt.transaction() as session:
        batch = await question_batches.claim(session, batch_id, rt.settings.lease_seconds, message)
        if batch is None:
            return
        lease = leases.lease_of(batch)
        items = iter(await question_batches.pending(session, batch))
        may_postpone = await question_batches.may_postpone(session, lease)
    rt = rt.for_tenant(batch.tenant_id)
    this = _Run(rt, lease, items, monotonic() + rt.settings.yield_seconds, may_postpone)
    renewal = lease.renewal(rt.settings.lease_seconds)
    try:
        async with leases.held(rt, renewal, rt.settings.heartbeat_seconds), asyncio.TaskGroup() as group:
            for _ in range(rt.settings.batch_concurrency):
                group.create_task(this.work())
    except asyncio.CancelledError:  # the worker should end
        await _give_back(this)
        raise
    # After any other error the lease runs out: the next claim counts that as a crash.
    await _give_back(this)


async def _give_back(this: _Run) -> None:
    with suppress(LeaseLost):  # it has ended, too
        async with this.rt.transaction() as session:
            if this.trouble is not None:
                await question_batches.postpone(session, this.lease, this.trouble)
            else:
                await question_batches.release(session, this.lease)


async def _ended(rt: Runtime, request: dict[str, Any]) -> Ended:
    question = restored(request)
    async with rt.transaction() as session:
        await keys.check_still(session, question.query.key_id)
        await quotas.check_left(session, rt.settings, adding=False)
    sources, done = await collect(answer(rt, question))
    stored_answer = asdict(done) | {
        "question_as_searched": sources.question_as_searched,
        "searched": asdict(sources.searched),
        "parts": list(sources.parts),
        "searched_for": [asdict(each) for each in sources.searched_for],
    }
    return Ended(answer=stored_answer, document_ids=stored_answer.pop("document_ids"))
