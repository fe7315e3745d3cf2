"""Runs all steps of a job under one claim; its cursor moves, is fenced and shown as with separate steps."""

import json
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import webhooks
from footnote.database.driver import driver
from footnote.database.leases import LeaseLost
from footnote.jobs import STEPS, Claim, statements


async def go_on(session: AsyncSession, claim: Claim, lease_seconds: float, counts: dict[str, Any]) -> Claim | None:
    """The claim, on the next step; None in a pause, in which no step begins. Raises LeaseLost.

    Nothing is stored of the step before but its `counts`: only the same worker can continue.
    """
    following = STEPS[STEPS.index(claim.step) + 1]
    values = (claim.step, following, counts["chunks"], json.dumps(counts), lease_seconds)
    row = await (await driver(session)).fetchrow(statements.GO_ON, claim.job_id, claim.token, *values)
    assert row is not None
    if not row["moved"] and not row["paused"]:
        raise LeaseLost(claim.job_id)
    return replace(claim, step=following) if row["moved"] else None


@dataclass(frozen=True)
class LockedJob:
    """A locked job: the embedding spaces of its collection, and whether the chunking is still that of the version."""

    space_id: int | None
    standby_space_id: int | None
    as_cut: bool
    paused: bool


async def hold(
    session: AsyncSession, claim: Claim, collection_id: str, chunking: dict[str, Any], language: str
) -> LockedJob:
    """Locks the collection, the document and the job, until the transaction ends. Raises LeaseLost."""
    ids = (collection_id, claim.document_id, claim.job_id, claim.token)
    row = await (await driver(session)).fetchrow(statements.HOLD, *ids, json.dumps(chunking), language)
    if row is None or not row["mine"]:
        raise LeaseLost(claim.job_id)
    return LockedJob(row["space_id"], row["standby_space_id"], row["as_cut"], row["paused"])


async def complete(session: AsyncSession, claim: Claim, embedded: dict[str, Any], stored: dict[str, Any]) -> None:
    """Ends the job, which the transaction holds, with the counts of its last two steps."""
    counts = (stored["chunks"], json.dumps(embedded), json.dumps(stored))
    connection = await driver(session)
    if await connection.fetchval(statements.COMPLETE, claim.job_id, *counts, claim.tenant_id):
        await webhooks.enqueue(session, [claim.job_id], "document.ready")
