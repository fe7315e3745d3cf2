"""What has ended is removed after its time, and only that."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from sqlalchemy import func, insert, select, text, update

from footnote.answering import conversations
from footnote.database.clock import from_now
from footnote.jobs import retention
from footnote.models import Conversation, Job, JobCallback, JobStep, UsageOfDay
from footnote.runtime import Runtime
from footnote.tenancy import usage
from tests import driving
from tests.driving import paragraphs

pytestmark = pytest.mark.anyio
DAY = 24 * 3600.0


async def ended(rt: Runtime, tenant: str, days: Sequence[int]) -> list[str]:
    """Versions of one document, each with a job that ended so many days ago; the jobs, oldest first."""
    ids = []
    for number, ago in enumerate(days):
        accepted = await driving.accept(rt, tenant, paragraphs(1, f"word{number}"), external_id="e")
        job_id = accepted.details.job.id
        await rt.execute(
            update(Job).where(Job.id == job_id).values(state="succeeded", finished_at=from_now(-ago * DAY))
        )
        ids.append(job_id)
    return ids


async def jobs_left(rt: Runtime) -> list[str]:
    async with rt.transaction() as session:
        assert await session.scalar(select(func.count(JobStep.job_id.distinct()))) == await session.scalar(
            select(func.count(Job.id))
        )
        return list(await session.scalars(select(Job.id).order_by(Job.id)))


async def test_a_document_keeps_its_newest_job(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    first, second, third = await ended(rt, tenant, (40, 31, 31))
    await retention.purge(rt)
    assert await jobs_left(rt) == [first, third], "the first was passed over days ago, when it was the newest"
    (fourth,) = await ended(rt, tenant, (0,))
    await retention.purge(rt)
    assert await jobs_left(rt) == [fourth], second


async def test_jobs_stay_that_are_young_unfinished_or_have_a_callback(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    told, young, retried, _ = ids = await ended(rt, tenant, (40, 29, 31, 0))
    await rt.execute(insert(JobCallback).values(job_id=told, url="https://x.example", tenant_id=tenant))
    await rt.execute(update(Job).where(Job.id == retried).values(state="queued"))
    await retention.purge(rt)
    assert await jobs_left(rt) == ids, young


async def test_jobs_are_bounded_where_documents_are_replaced_each_day(rt: Runtime) -> None:
    """A simulated year, with a purge every third day."""
    tenant = await driving.new_tenant(rt)
    one, *_ = await ended(rt, tenant, (0,))
    copy = text(
        "INSERT INTO job (id, tenant_id, document_id, version_id, step, state, finished_at) "
        "SELECT 'job_a' || lpad(CAST(:day AS text), 4, '0') || n, tenant_id, document_id, version_id, step, "
        "'succeeded', now() FROM job, generate_series(1, 5) AS n WHERE id = :one"
    )
    most = 0
    for day in range(0, 365, 3):
        await rt.execute(copy.bindparams(day=day, one=one))
        await retention.purge(rt)
        async with rt.transaction() as session:
            most = max(most, await session.scalar(select(func.count(Job.id))) or 0)
        await rt.execute(text("UPDATE job SET finished_at = finished_at - interval '3 days' WHERE state = 'succeeded'"))
    assert most <= 5 * (30 // 3 + 2) + 1


async def test_conversations_end_after_their_last_question(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    old = {"tenant_id": tenant, "updated_at": from_now(-11 * DAY)}
    for name, values in {"old": {}, "asked": {"held_until": from_now(60)}, "new": {"updated_at": from_now(0)}}.items():
        await rt.execute(insert(Conversation).values(**{"id": name, **old, **values}))
    kept = "asked", "new"
    await conversations.purge(rt)  # by default they stay
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"conversation_days": 10.0}))
    await conversations.purge(rt)
    async with rt.transaction() as session:
        assert tuple(await session.scalars(select(Conversation.id).order_by(Conversation.id))) == kept


async def test_usage_of_two_months_stays_in_any_case(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    same = {"tenant_id": tenant, "key_id": "", "kind": "query", "provider": "", "model": "", "calls": 1}
    days = [date.today() - timedelta(days=ago) for ago in (0, 61, 70)]  # noqa: DTZ011  whole days
    for day in days:
        await rt.execute(insert(UsageOfDay).values(**same, day=day, prompt_tokens=0, completion_tokens=0))
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"usage_days": 5.0}))
    await usage.purge(rt)
    async with rt.transaction() as session:
        assert sorted(await session.scalars(select(UsageOfDay.day)), reverse=True) == days[:2]
