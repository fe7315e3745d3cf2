"""The amount of pending work: jobs by lane for the metrics, and the worker slots that could be used now."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.jobs import Lane

MOST_OF_TENANT = 64  # due jobs of a tenant in a lane that count, so that no tenant alone asks for every machine
MOST = 256  # due jobs of a lane that count, at most
LOOKED_AT = 1000  # due jobs of all lanes, in the order of their time
TENANTS = 64  # of a lane, in any order, where more are due
SHARING = 8  # small documents that a slot works on at once
COUNTED = 10_000  # jobs of a lane that wait are counted, so that a backlog does not slow what looks at it


@dataclass(frozen=True)
class LaneBacklog:
    """Unfinished jobs of a lane: those that run, are due, or wait for a time; seconds since the first was due.

    Of those that do not run, `COUNTED` are counted and looked at; the one of all lanes that is due longest is always.
    """

    lane: Lane
    running: int
    due: int
    later: int
    oldest_due_seconds: float


_BACKLOG = """
SELECT large, count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state <> 'running' AND next_attempt_at <= now()) AS due,
       count(*) FILTER (WHERE state <> 'running' AND next_attempt_at > now()) AS later,
       CAST(coalesce(greatest(0, extract(epoch FROM now() - min(next_attempt_at) FILTER (WHERE state <> 'running'))), 0)
            AS float8) AS oldest
FROM (
    SELECT large, state, next_attempt_at FROM job WHERE state = 'running'
    UNION ALL
    SELECT waiting.* FROM (VALUES (true), (false)) AS lane(large) CROSS JOIN LATERAL (
        SELECT large, state, next_attempt_at FROM job WHERE state IN ('queued', 'waiting') AND job.large = lane.large
        ORDER BY tenant_id, level LIMIT $1
    ) AS waiting
) AS unfinished GROUP BY large
"""
_FIRST = """
SELECT large, CAST(greatest(0, extract(epoch FROM now() - next_attempt_at)) AS float8) AS seconds
FROM job WHERE state IN ('queued', 'waiting') ORDER BY next_attempt_at LIMIT 1
"""


async def backlog(session: AsyncSession) -> Sequence[LaneBacklog]:
    """By lane, over all tenants."""
    connection = await driver(session)
    found = {row["large"]: row for row in await connection.fetch(_BACKLOG, COUNTED)}
    first = {row["large"]: row["seconds"] for row in await connection.fetch(_FIRST)}
    backlogs = []
    for lane in Lane:
        large = lane is Lane.LARGE
        running, due, later, oldest = tuple(found[large])[1:] if large in found else (0, 0, 0, 0.0)
        backlogs.append(LaneBacklog(lane, running, due, later, max(oldest, first.get(large, 0.0))))
    return backlogs


# Of a lane: the tenants by a loose index scan, the first due jobs of each.
_LINE = """
(WITH RECURSIVE line AS (
    SELECT CAST(0 AS bigint) AS due, CAST('' AS varchar) AS tenant_id, 0 AS tenants
    UNION ALL
    SELECT line.due + (
        SELECT count(*) FROM (
            SELECT FROM job WHERE state IN ('queued', 'waiting') AND large = {large} AND tenant_id = following.tenant_id
            AND next_attempt_at <= now() LIMIT $1
        ) AS turn
    ), following.tenant_id, line.tenants + 1
    FROM line CROSS JOIN LATERAL (
        SELECT tenant_id FROM job WHERE state IN ('queued', 'waiting') AND large = {large}
        AND tenant_id > line.tenant_id ORDER BY tenant_id, level LIMIT 1
    ) AS following
    WHERE line.due < $2 AND line.tenants < $4
) SELECT max(due) FROM line)
"""
# All due jobs, if they are not more than are looked at. Else these, or those of the first tenants, if they are more:
# so the cost grows neither with the backlog nor with the tenants whose jobs wait for a time.
_DUE = """
(SELECT least($2, CASE WHEN seen.jobs < $2 AND seen.more THEN greatest(seen.jobs, {line}) ELSE seen.jobs END)
 FROM (SELECT CAST(coalesce(sum(jobs), 0) AS bigint) AS jobs, (SELECT count(*) FROM first) = $3 AS more
       FROM turn WHERE large = {large}) AS seen)
"""
_SLOTS = f"""
WITH first AS MATERIALIZED (
    SELECT large, tenant_id FROM job WHERE state IN ('queued', 'waiting') AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT $3
), turn AS MATERIALIZED (
    SELECT large, least(count(*), $1) AS jobs FROM first GROUP BY large, tenant_id
)
SELECT (SELECT count(*) FROM job WHERE state = 'running' AND large) AS large,
       (SELECT count(*) FROM job WHERE state = 'running' AND NOT large) AS small,
       (SELECT count(*) FROM query_batch WHERE state = 'running') AS batches,
       CASE WHEN paused.yes THEN 0 ELSE {_DUE.format(large="true", line=_LINE.format(large="true"))} END AS due_large,
       CASE WHEN paused.yes THEN 0 ELSE {_DUE.format(large="false", line=_LINE.format(large="false"))} END AS due_small,
       CASE WHEN paused.yes THEN 0 ELSE (
           SELECT count(*) FROM query_batch WHERE state IN ('queued', 'waiting') AND next_attempt_at <= now()
       ) END AS due_batches
FROM (SELECT EXISTS (SELECT FROM pause) AS yes) AS paused
"""  # noqa: S608  constants


async def slots_wanted(session: AsyncSession) -> int:
    """Slots of workers that could work now: on what runs and on what is due, each tenant's share of it limited.

    A large document and a batch of questions take a slot, and so do `SHARING` small documents.
    """
    row = await (await driver(session)).fetchrow(_SLOTS, MOST_OF_TENANT, MOST, LOOKED_AT, TENANTS)
    assert row is not None
    small = row["small"] + row["due_small"]
    return int(row["large"] + row["due_large"] + row["batches"] + row["due_batches"] + -(-small // SHARING))
