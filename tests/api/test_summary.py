"""The summary of a tenant's work: what waits and why, what failed and why, at what rate it goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from footnote import jobs
from footnote.database.redis_client import Shared
from footnote.errors import RateLimited
from footnote.jobs import scheduling, summary, workers
from footnote.models import Document, Job, JobStep
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person
from tests.driving import set_job

pytestmark = pytest.mark.anyio
LIMITED = RateLimited("provider_unavailable", "The provider answered 429.", retry_after=77)


async def told(person: Person) -> dict[str, Any]:
    answer = await person.client.get("/v1/summary")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_what_waits_and_what_failed_is_counted_by_its_cause(
    rt: Runtime, alice: Person, bob: Person, charlie: Person
) -> None:
    tenant = alice.tenant_id
    empty = await told(alice)
    assert (empty["documents"], empty["waiting"], empty["failed"]) == (
        dict.fromkeys(("total", "searchable", "queued", "running", "waiting", "ready", "failed", "cancelled"), 0),
        [],
        [],
    )
    await driving.ready(rt, tenant, "The lamp burns.")
    made = [(await driving.accept(rt, tenant, f"Text {number}.")).details.job.id for number in range(7)]
    await set_job(rt, made[0], dispatched_at=func.now())
    limited, refused, other, taken = [await driving.claim(rt, each) for each in made[1:5]]
    async with rt.transaction() as session:
        await jobs.postpone(session, limited, LIMITED, rt.settings)
        await jobs.fail(session, refused, "provider_rejected", "The provider refused the key.")
        await jobs.fail(session, other, "provider_rejected", "The provider refused the key.")
        again = select(Job.document_id).where(Job.id == other.job_id).scalar_subquery()
        await session.execute(update(Document).where(Document.id == again).values(job_id="job_of_a_newer_version"))
    assert taken.job_id
    found = await told(bob)
    assert found["documents"] == {
        "total": 8,
        "searchable": 1,
        "queued": 3,
        "running": 1,
        "waiting": 1,
        "ready": 2,  # one of them in the hands of a job that is not there
        "failed": 1,
        "cancelled": 0,
    }
    assert found["steps"] == {"chunk": 5}
    reasons = {each["waiting_for"]: each for each in found["waiting"]}
    assert {name: each["jobs"] for name, each in reasons.items()} == {
        jobs.FREE_WORKER: 1,
        jobs.ITS_TURN: 2,
        "the provider's rate limit": 1,
    }
    limit = reasons["the provider's rate limit"]
    assert (limit["code"], limit["message"]) == (LIMITED.code, LIMITED.message)
    assert limit["until"] is not None
    [failure] = found["failed"]
    assert (failure["step"], failure["code"], failure["jobs"]) == ("chunk", "provider_rejected", 1)
    assert failure["message"] == "The provider refused the key."
    assert (found["capped"], found["paused_since"]) == (False, None)
    cause = {"step": [failure["step"]], "error_code": [failure["code"]]}
    assert (await alice.client.post("/v1/jobs/retry", json=cause)).json() == {"retried": 1, "remaining": 0}
    assert (await told(alice))["failed"] == []
    assert (await told(charlie))["documents"]["total"] == 0, "of another tenant"


async def test_in_a_pause_all_wait_for_its_end(rt: Runtime, alice: Person) -> None:
    for number in range(2):
        await driving.accept(rt, alice.tenant_id, f"Text {number}.")
    async with rt.transaction() as session:
        await scheduling.pause(session)
    found = await told(alice)
    assert found["paused_since"]
    assert [(each["waiting_for"], each["jobs"]) for each in found["waiting"]] == [(jobs.PAUSE_ENDS, 2)]


async def test_the_rate_and_the_time_left(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await driving.ready(rt, alice.tenant_id, f"The lamp {number} burns.")
    for number in range(4):
        await driving.accept(rt, alice.tenant_id, f"Text {number}.")
    await_rate = (await told(alice))["rate"]
    assert await_rate == {"documents": 0.6, "passages": 0.6, "seconds_left": 7}  # three in the shortest time, 5 s
    monkeypatch.setattr(summary, "MOST", 2)
    found = await told(alice)
    assert found["capped"]
    assert found["documents"]["queued"] == 2
    assert "ready" not in found["documents"] or found["documents"]["ready"] is None
    assert found["rate"]["seconds_left"] == 7, "those that were never ready are known without counting"


async def test_a_large_document_takes_as_long_as_its_passages(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, "The lamp burns.")
    await driving.accept(rt, alice.tenant_id, "A log of many years.")
    async with rt.transaction() as session:
        job = await session.scalar(select(Job).where(Job.state == "queued"))
        assert job is not None
        job.state, job.step, job.progress_done, job.progress_total = "running", "embed", 100, 10_000
        began = datetime.now(UTC) - timedelta(seconds=50)
        its = (JobStep.job_id == job.id) & (JobStep.name == "embed")
        await session.execute(update(JobStep).where(its).values(started_at=began))
    rate = (await told(alice))["rate"]
    assert 2 <= rate["passages"] < 2.5, "two a second, and the one passage of the first document"
    assert 3_500 < rate["seconds_left"] < 5_000


async def test_workers_that_gave_a_sign_of_life_are_counted(rt: Runtime, alice: Person, redis_url: str) -> None:
    from redis import Redis

    with Redis.from_url(redis_url) as redis:
        redis.delete("footnote:workers")
        for _ in range(2):
            workers.say(redis, "one", 2)
        workers.say(redis, "two", 3)
        assert (await told(alice))["workers"] == {"alive": 2, "slots": 5}
        redis.zadd("footnote:workers", {"two 3": 1.0})
        assert await workers.alive(rt.shared) == workers.Workers(1, 2)
        redis.delete("footnote:workers")
    assert await workers.alive(Shared(None)) is None
