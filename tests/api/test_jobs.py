"""Jobs as the API shows them."""

from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from sqlalchemy import func

from api.schemas.jobs import UNITS, Step
from footnote import jobs
from footnote.errors import RateLimited, Unavailable
from footnote.jobs import scheduling
from footnote.models import Job
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.conftest import Person
from tests.driving import job_of, set_job

pytestmark = pytest.mark.anyio
JOB_FIELDS = {
    *(
        "id",
        "document_id",
        "status",
        "anew",
        "reingestion",
        "step",
        "progress",
        "attempts",
        "retries",
        "waiting_for",
        "next_attempt_at",
    ),
    *("heartbeat_at", "lease_until", "error", "created_at", "updated_at", "finished_at"),
}


async def test_a_job_from_queued_to_succeeded(rt: Runtime, alice: Person) -> None:
    accepted = await driving.accept(rt, alice.tenant_id, "text")
    url = f"/v1/jobs/{accepted.details.job.id}"
    job = (await alice.client.get(url)).json()
    assert set(job) == JOB_FIELDS
    assert (job["status"], job["finished_at"]) == ("queued", None)
    await driving.run(rt, accepted.details.job.id)
    job = (await alice.client.get(url)).json()
    assert (job["status"], job["waiting_for"], job["error"]) == ("succeeded", None, None)
    assert job["finished_at"].endswith("Z")


def test_every_step_has_its_name_and_unit_on_the_wire() -> None:
    assert get_args(Step) == tuple(UNITS) == jobs.STEPS


AWAY = Unavailable("provider_unavailable", "The provider could not be reached.")
LIMITED = RateLimited("provider_unavailable", "The provider answered 429.", retry_after=77)


@pytest.mark.parametrize(("error", "reason"), [(AWAY, "another attempt"), (LIMITED, "the provider's rate limit")])
async def test_an_unfinished_job_says_what_it_waits_for_and_until_when_or_that_it_lives(
    rt: Runtime, alice: Person, error: Unavailable, reason: str
) -> None:
    accepted = await driving.accept(rt, alice.tenant_id, "text")
    job_id = accepted.details.job.id

    async def shown() -> dict[str, Any]:
        job = (await alice.client.get(f"/v1/jobs/{job_id}")).json()
        place = f"/v1/documents/{job['document_id']}"
        document, status = [(await alice.client.get(at)).json() for at in (place, f"{place}/status")]
        for name in ("step", "progress", "waiting_for", "next_attempt_at", "error"):
            assert job[name] == status[name] == document[name]
        for name in ("attempts", "retries", "heartbeat_at", "lease_until"):
            assert job[name] == status[name]
        return {**job, "started_at": status["started_at"]}

    def waits(job: dict[str, Any], status: str, reason: str) -> bool:
        seen = (job["status"], job["waiting_for"], job["lease_until"], job["heartbeat_at"])
        return seen == (status, reason, None, None) and job["next_attempt_at"].endswith("Z")

    assert waits(await shown(), "queued", "its turn")
    await set_job(rt, job_id, dispatched_at=func.now())
    assert waits(await shown(), "queued", "a free worker")

    held = await driving.claim(rt, job_id, lease_seconds=30)
    job = await shown()
    assert (job["status"], job["waiting_for"], job["next_attempt_at"]) == ("running", None, None)
    lease = datetime.fromisoformat(job["lease_until"]) - datetime.fromisoformat(job["heartbeat_at"])
    assert lease == timedelta(seconds=30)
    assert job["started_at"] == job["heartbeat_at"]
    assert (job["attempts"], job["retries"]) == (1, 0)

    async with rt.transaction() as session:
        assert await jobs.postpone(session, held, error, rt.settings)
    job = await shown()
    assert waits(job, "waiting", f"{reason}: {error.message}")
    assert job["error"] == {"code": error.code, "message": error.message}
    assert job["attempts"] == job["retries"] == (1 if error is AWAY else 0)
    await set_job(rt, job_id, dispatched_at=func.now(), next_attempt_at=func.now())
    assert waits(await shown(), "waiting", "a free worker")
    async with rt.transaction() as session:
        await scheduling.pause(session)
    assert waits(await shown(), "waiting", "the end of the pause")
    async with rt.transaction() as session:
        await scheduling.resume(session)
    assert waits(await shown(), "waiting", f"{reason}: {error.message}")

    held = await driving.claim(rt, job_id)
    async with rt.transaction() as session:
        await jobs.fail(session, held, "provider_rejected", "No.")
    job = await shown()
    over = (job["waiting_for"], job["next_attempt_at"], job["lease_until"], job["heartbeat_at"])
    assert (job["status"], over) == ("failed", (None,) * 4)


async def test_cancel_and_retry(rt: Runtime, alice: Person) -> None:
    accepted = await driving.accept(rt, alice.tenant_id, "text")
    url = f"/v1/jobs/{accepted.details.job.id}"
    assert (await alice.client.post(f"{url}/cancel")).json()["status"] == "cancelled"
    again = await alice.client.post(f"{url}/cancel")
    assert again.status_code in (200, 409)
    assert (await alice.client.post(f"{url}/retry")).json()["status"] == "queued"
    unfinished = await alice.client.post(f"{url}/retry")
    assert unfinished.status_code == 409
    await driving.run(rt, accepted.details.job.id)
    assert (await alice.client.get(url)).json()["status"] == "succeeded"
    for action in ("cancel", "retry"):
        done = await alice.client.post(f"{url}/{action}")
        assert done.status_code == 409
        assert done.headers["content-type"] == "application/problem+json"


async def test_the_dead_letters(rt: Runtime, alice: Person) -> None:
    scan = (SAMPLES / "no_text.pdf").read_bytes()
    failed = await driving.accept(rt, alice.tenant_id, scan, "scan.pdf")
    await driving.run(rt, failed.details.job.id)
    await driving.accept(rt, alice.tenant_id, "text")
    page = (await alice.client.get("/v1/jobs?status=failed")).json()
    assert page["next_cursor"] is None
    [job] = page["data"]
    assert set(job) == JOB_FIELDS | {"filename", "version", "superseded"}
    assert (job["id"], job["filename"]) == (failed.details.job.id, "scan.pdf")
    assert job["error"]["code"] == "no_text"


async def test_the_list_pages(rt: Runtime, alice: Person) -> None:
    made = [(await driving.accept(rt, alice.tenant_id, f"text {number}")).details.job.id for number in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        suffix = f"&cursor={cursor}" if cursor else ""
        page = (await alice.client.get(f"/v1/jobs?limit=2{suffix}")).json()
        seen, cursor = seen + [each["id"] for each in page["data"]], page["next_cursor"]
    assert seen == sorted(made, reverse=True)


async def failed(rt: Runtime, tenant_id: str, text: str, code: str = "provider_rejected", **options: Any) -> Job:
    """A job that failed in its second step."""
    job_id = (await driving.accept(rt, tenant_id, text, **options)).details.job.id
    held = await driving.claim(rt, job_id)
    async with rt.transaction() as session:
        await jobs.finish_step(session, held, {})
    held = await driving.claim(rt, job_id, "embed")
    async with rt.transaction() as session:
        await jobs.fail(session, held, code, "No.")
    return await job_of(rt, job_id)


async def test_the_filters(rt: Runtime, alice: Person) -> None:
    refused = await failed(rt, alice.tenant_id, "one", collection="a")
    crashed = await failed(rt, alice.tenant_id, "two", "worker_crashed", collection="b")
    queued = (await driving.accept(rt, alice.tenant_id, "three")).details.job
    for age, job in enumerate((queued, crashed, refused)):
        await set_job(rt, job.id, created_at=func.now() - timedelta(days=age))
    again = (await driving.accept(rt, alice.tenant_id, "two", collection="b")).details.job
    names = {refused.id: "refused", crashed.id: "crashed", queued.id: "queued", again.id: "again"}

    async def found(**query: Any) -> str:
        answer = await alice.client.get("/v1/jobs", params=query)
        assert answer.status_code == 200, answer.text
        return " ".join(names[each["id"]] for each in answer.json()["data"])

    assert await found() == "again queued crashed refused"
    assert await found(status=["failed", "queued"], step="chunk") == "again queued"
    assert await found(step=["embed", "upsert"]) == "crashed refused"
    assert await found(error_code="worker_crashed") == "crashed"
    assert await found(error_code=["worker_crashed", "provider_rejected"]) == "crashed refused"
    assert await found(error_code="no_text") == ""
    assert await found(document_id=crashed.document_id) == "again crashed"
    assert await found(collection="a") == "refused"
    assert await found(status="failed", superseded="false") == "refused"
    assert await found(superseded="true") == "crashed"
    day_before, moment_after = crashed_at(alice, names, -1), crashed_at(alice, names, 0)
    assert await found(created_after=await day_before, created_before=await moment_after) == "crashed"
    unknown = await alice.client.get("/v1/jobs?collection=none")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "collection_not_found")


async def crashed_at(alice: Person, names: dict[str, str], days: int) -> str:
    """An RFC 3339 time about the making of the job called `crashed`, in a zone that is not UTC."""
    (job_id,) = [each for each, name in names.items() if name == "crashed"]
    made = datetime.fromisoformat((await alice.client.get(f"/v1/jobs/{job_id}")).json()["created_at"])
    moved = made + timedelta(days=days, microseconds=1)
    return (moved + timedelta(hours=5)).replace(tzinfo=None).isoformat() + "+05:00"


@pytest.mark.parametrize(
    "bad",
    [
        *("status=ready", "step=parse", "errorcode=x", "created_after=yesterday", "created_after=2026-01-01T00:00:00"),
        *("superseded=perhaps", "limit=0", "limit=101", "error_code=%00", "collection=" + "x" * 65),
        "&".join(["error_code=x"] * 21),
    ],
)
async def test_filters_that_make_no_sense_are_refused(alice: Person, bad: str) -> None:
    answer = await alice.client.get(f"/v1/jobs?{bad}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "-1", "0"])
async def test_times_at_the_ends_of_the_calendar_are_no_error_of_ours(alice: Person, time: str) -> None:
    for name in ("created_after", "created_before"):
        answer = await alice.client.get("/v1/jobs", params={name: time})
        assert answer.status_code in (200, 422), answer.text
        answer = await alice.client.post("/v1/jobs/retry", json={name: time})
        assert answer.status_code in (200, 422), answer.text


async def test_what_failed_for_one_reason_is_driven_on_together(
    rt: Runtime, alice: Person, bob: Person, charlie: Person
) -> None:
    made = [await failed(rt, alice.tenant_id, f"text {number}") for number in range(5)]
    for age, job in enumerate(made):
        await set_job(rt, job.id, finished_at=func.now() - timedelta(minutes=age))
    crashed = await failed(rt, alice.tenant_id, "crashed", "worker_crashed")
    theirs = await failed(rt, charlie.tenant_id, "theirs")
    superseded = await failed(rt, alice.tenant_id, "superseded")
    newer = (await driving.accept(rt, alice.tenant_id, "superseded")).details.job
    cancelled = (await driving.accept(rt, alice.tenant_id, "cancelled")).details.job
    await alice.client.post(f"/v1/jobs/{cancelled.id}/cancel")

    async def states(*which: Job) -> list[str]:
        return [(await job_of(rt, job.id)).state for job in which]

    async def retry(**body: Any) -> tuple[int, int]:
        answer = await alice.client.post("/v1/jobs/retry", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["retried"], answer.json()["remaining"]

    assert await retry(error_code=["no_text"]) == (0, 0)
    assert await retry(error_code=["provider_rejected"], limit=2) == (2, 3)
    assert await states(*made) == ["failed"] * 3 + ["queued"] * 2, "the longest dead first"
    assert await retry(error_code=["provider_rejected"]) == (3, 0)
    assert await states(*made) == ["queued"] * 5
    assert await states(crashed, theirs, superseded, newer, cancelled) == [
        *("failed", "failed", "failed", "queued", "cancelled")
    ]
    assert await retry() == (1, 0)
    assert await retry(status=["cancelled"]) == (1, 0)
    assert await states(crashed, superseded, cancelled) == ["queued", "failed", "queued"]
    job = await job_of(rt, made[0].id)
    assert (job.step, job.attempts, job.retries, job.error_code, job.run) == ("embed", 0, 0, None, 2)
    assert await driving.step_states(rt, job.id) == {"chunk": "succeeded", "embed": "pending", "upsert": "pending"}
    for status in ("running", "succeeded"):
        assert (await alice.client.post("/v1/jobs/retry", json={"status": [status]})).status_code == 422
    misspelt = await alice.client.post("/v1/jobs/retry", json={"error_codes": ["provider_rejected"]})
    assert misspelt.status_code == 422, "a filter that is not understood must not choose everything"
    assert (await bob.client.post("/v1/jobs/retry", json={})).json()["code"] == "missing_scope"
