"""Questions of a batch, answered in the background: a turn's worth of them, several at once, each kept as it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from footnote import filters
from footnote.answering import Question, answer, question_batches, whole
from footnote.answering.question_batches import Claim, Ended, told_of
from footnote.errors import DatabaseAway, FootnoteError, Unavailable
from footnote.jobs import LeaseLost
from footnote.providers import Turn
from footnote.retrieval import Query
from footnote.runtime import Runtime
from footnote.telemetry import log
from footnote.tenancy import keys, quotas


def stored(question: Question, given_filter: dict[str, Any] | None) -> dict[str, Any]:
    """The question as JSON, with the filter as it was given; whose it is, the batch says."""
    fields = asdict(question)
    fields["query"]["filter"] = given_filter
    return fields


def restored(fields: dict[str, Any]) -> Question:
    """Raises Invalid for a filter that is none."""
    given = fields["query"]["filter"]
    where = {**fields["query"], "filter": None if given is None else filters.parse(given, "filters")}
    history = [Turn(**turn) for turn in fields["history"]]
    return Question(**{**fields, "query": Query(**where), "history": history})


@dataclass
class _Turn:
    """What a claim gives time for; `trouble` is a temporary error that ended it."""

    rt: Runtime
    claim: Claim
    items: Iterator[tuple[int, dict[str, Any]]]
    until: float
    patient: bool
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
                if error.retryable and (self.patient or isinstance(error, DatabaseAway)):
                    self.trouble = error
                    return
                ended = Ended(error=told_of(error))
            except Exception as error:
                log.error("question of a batch failed", batch_id=self.claim.batch_id, exc_info=error)
                ended = Ended(error=told_of(Unavailable("internal_error")))
            await self._keep(position, ended)
            if self.over():
                return

    async def _keep(self, position: int, ended: Ended) -> None:
        try:
            async with self.rt.transaction() as session:
                await question_batches.keep(session, self.claim, position, ended, self.rt.settings.lease_seconds)
        except LeaseLost:
            self.lost = True
        except DatabaseAway as error:
            self.trouble = error


async def run(rt: Runtime, batch_id: str, message: str | None = None) -> None:
    """Answers what a turn has time for, if the batch is due; then gives it back. Raises DatabaseAway."""
    async with rt.transaction() as session:
        claim = await question_batches.claim(session, batch_id, rt.settings.lease_seconds, message)
        if claim is None:
            return
        items, patient = (
            iter(await question_batches.pending(session, claim)),
            await question_batches.patient(session, claim),
        )
    rt = rt.for_tenant(claim.tenant_id)
    turn = _Turn(rt, claim, items, monotonic() + rt.settings.turn_seconds, patient)
    try:
        renewal = claim.renewal(rt.settings.lease_seconds)
        async with rt.repeating(renewal, rt.settings.heartbeat_seconds), asyncio.TaskGroup() as group:
            for _ in range(rt.settings.batch_concurrency):
                group.create_task(turn.work())
    except asyncio.CancelledError:  # the worker should end
        await _let_go(turn)
        raise
    # After any other error the lease runs out: whoever goes on counts that as a crash.
    await _let_go(turn)


async def _let_go(turn: _Turn) -> None:
    with suppress(LeaseLost):  # it has ended, too
        async with turn.rt.transaction() as session:
            if turn.trouble is not None:
                await question_batches.postpone(session, turn.claim, turn.trouble)
            else:
                await question_batches.release(session, turn.claim)


async def _ended(rt: Runtime, request: dict[str, Any]) -> Ended:
    question = restored(request)
    async with rt.transaction() as session:
        await keys.check_still(session, question.query.key_id)
        await quotas.check_left(session, rt.settings, adding=False)
    sources, done = await whole(answer(rt, question))
    told = asdict(done) | {
        "question_as_searched": sources.question_as_searched,
        "searched": asdict(sources.searched),
    }
    return Ended(answer=told, document_ids=told.pop("document_ids"))
