"""A summary of a tenant's work: unfinished, waiting and failed jobs with their causes.

Rows are counted up to a number, in the order of an index; documents come from their tally. So the cost does not grow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of
from footnote.jobs import FREE_WORKER, ITS_TURN, PAUSE_ENDS, scheduling
from footnote.tenancy import tallies

MOST = 1_000  # jobs of a state that are counted
MOST_FAILED = 500  # or cancelled: those that were replaced since are looked up, and left out
LATELY = 200  # jobs that ended last, from which the rate is computed
RATE_SECONDS = 60.0


@dataclass(frozen=True)
class Waiting:
    """Jobs that wait for the same thing; `until`: when the first of them is tried again, if that is later than now."""

    step: str
    waiting_for: str
    code: str | None
    message: str | None
    jobs: int
    until: datetime | None


@dataclass(frozen=True)
class Failure:
    """Documents whose newest job failed at the same step, for the same reason; a message of one of them."""

    step: str
    code: str
    message: str
    jobs: int
    last_at: datetime | None


@dataclass(frozen=True)
class Rate:
    """The recent throughput per second, and the seconds that the remaining work takes at that rate.

    The passages of a document that is being embedded count, too: a large one alone may take an hour.
    """

    documents: float
    passages: float
    seconds_left: int | None


@dataclass(frozen=True)
class Summary:
    """`documents` by status, `steps` unfinished jobs by step. Each count stops at `MOST`, or `MOST_FAILED`."""

    documents: Mapping[str, int]
    steps: Mapping[str, int]
    waiting: Sequence[Waiting]
    failed: Sequence[Failure]
    oldest_wait_seconds: float
    rate: Rate
    paused_since: datetime | None
    capped: bool


async def of_tenant(session: AsyncSession) -> Summary:
    tenant, connection = tenant_of(session), await driver(session)
    paused = await scheduling.paused(session)
    unfinished = await connection.fetch(_UNFINISHED, tenant, MOST, FREE_WORKER, ITS_TURN)
    failed = await connection.fetch(_FAILED, tenant, MOST_FAILED)
    cancelled = int(await connection.fetchval(_CANCELLED, tenant, MOST_FAILED) or 0)
    lately = await connection.fetchrow(_LATELY, tenant, LATELY, RATE_SECONDS)
    embedded = await connection.fetchrow(_EMBEDDED, tenant, MOST)
    tally = await tallies.of_tenant(session, tenant)

    states = {state: _sum(each for each in unfinished if each["state"] == state) for state in _STATES}
    ended = {"failed": _sum(failed), "cancelled": cancelled}
    capped = max(states.values()) >= MOST or max(ended.values()) >= MOST_FAILED
    open_ = sum(states.values())
    # Beyond what is counted, those that were never ready are known.
    rest = max(open_, tally.documents - tally.searchable - sum(ended.values())) if capped else open_
    counts = {"total": tally.documents, "searchable": tally.searchable, **states, **ended}
    return Summary(
        documents=counts if capped else counts | {"ready": max(0, tally.documents - open_ - sum(ended.values()))},
        steps=_by_step(unfinished),
        waiting=_waiting(unfinished, paused is not None),
        failed=[Failure(**each) for each in failed],
        oldest_wait_seconds=max((each["oldest"] for each in unfinished if each["state"] != "running"), default=0.0),
        rate=_rate(lately, embedded, rest),
        paused_since=paused,
        capped=capped,
    )


_STATES = ("queued", "running", "waiting")


def _sum(rows: Any) -> int:
    return sum(each["jobs"] for each in rows)


def _by_step(unfinished: Sequence[Any]) -> dict[str, int]:
    steps: dict[str, int] = {}
    for each in unfinished:
        steps[each["step"]] = steps.get(each["step"], 0) + each["jobs"]
    return steps


def _waiting(unfinished: Sequence[Any], paused: bool) -> list[Waiting]:
    """The most jobs first. In a pause all wait for its end."""
    found: dict[tuple[str, str], Waiting] = {}
    for each in unfinished:
        if each["state"] == "running":
            continue
        reason = PAUSE_ENDS if paused else each["reason"]
        key = each["step"], reason
        before = found[key].jobs if key in found else 0
        reported = (None, None, None) if paused else (each["error_code"], each["error_message"], each["until"])
        code, message, until = reported
        found[key] = Waiting(each["step"], reason, code, message, before + each["jobs"], until)
    return sorted(found.values(), key=lambda each: -each.jobs)


def _rate(lately: Any, embedded: Any, unfinished: int) -> Rate:
    documents = lately["documents"] / lately["seconds"] if lately["documents"] else 0.0
    passages = embedded["rate"] + (lately["passages"] / lately["seconds"] if lately["documents"] else 0.0)
    times = [unfinished / documents] if documents and unfinished else []
    times += [embedded["left"] / passages] if embedded["left"] and passages else []
    return Rate(round(documents, 2), round(passages, 1), math.ceil(max(times)) if times else None)


# The oldest of each state first: of these the wait is reported. An unfinished job is its document's newest one.
_UNFINISHED = """
SELECT state, step, reason, error_code, max(error_message) AS error_message, count(*) AS jobs,
       min(next_attempt_at) FILTER (WHERE next_attempt_at > now()) AS until,
       CAST(extract(epoch FROM now() - min(updated_at)) AS float) AS oldest
FROM (
    SELECT job.*, CASE WHEN dispatched_at IS NOT NULL THEN $3
                       ELSE coalesce(split_part(waiting_for, ':', 1), $4) END AS reason
    FROM unnest(ARRAY['queued', 'running', 'waiting']) AS each(state) CROSS JOIN LATERAL (
        SELECT * FROM job WHERE tenant_id = $1 AND job.state = each.state ORDER BY id NULLS FIRST LIMIT $2
    ) AS job
) AS unfinished
GROUP BY state, step, reason, error_code
"""
_FAILED = """
SELECT step, coalesce(error_code, '') AS code, count(*) AS jobs, max(finished_at) AS last_at,
       coalesce((array_agg(error_message ORDER BY id DESC))[1], '') AS message
FROM (SELECT * FROM job WHERE tenant_id = $1 AND state = 'failed' ORDER BY id DESC NULLS LAST LIMIT $2) AS failed
WHERE (SELECT TRUE FROM document WHERE document.id = failed.document_id AND document.job_id = failed.id)
GROUP BY step, error_code ORDER BY count(*) DESC, error_code
"""
_CANCELLED = """
SELECT count(*)
FROM (SELECT * FROM job WHERE tenant_id = $1 AND state = 'cancelled' ORDER BY id DESC NULLS LAST LIMIT $2) AS cancelled
WHERE (SELECT TRUE FROM document WHERE document.id = cancelled.document_id AND document.job_id = cancelled.id)
"""
# Of what is being embedded: the passages that are left, and those that were done for each second.
_EMBEDDED = """
SELECT CAST(coalesce(sum(job.progress_total - job.progress_done), 0) AS float) AS left,
       CAST(coalesce(sum(job.progress_done / greatest(1, extract(epoch FROM now() - began.started_at))), 0) AS float)
       AS rate
FROM (SELECT * FROM job WHERE tenant_id = $1 AND state = 'running' ORDER BY id DESC NULLS LAST LIMIT $2) AS job
JOIN job_step AS began ON began.job_id = job.id AND began.name = job.step
WHERE job.step = 'embed' AND job.progress_total IS NOT NULL
"""
# Older ones go first, so that those with the newest ids are the last that ended while a crowd of them is worked on.
_LATELY = """
SELECT count(*) AS documents, coalesce(sum(version.chunks), 0) AS passages,
       CAST(least($3, greatest(5, extract(epoch FROM now() - min(ended.finished_at)))) AS float) AS seconds
FROM (
    SELECT version_id, finished_at FROM job WHERE tenant_id = $1 AND state = 'succeeded'
    ORDER BY id DESC NULLS LAST LIMIT $2
) AS ended JOIN version ON version.id = ended.version_id
WHERE ended.finished_at > now() - make_interval(secs => $3)
"""
