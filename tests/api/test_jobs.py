"""Jobs as the API shows them."""

from pathlib import Path

import pytest

from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio
JOB_FIELDS = {
    *("id", "document_id", "status", "step", "progress", "attempts", "retries", "waiting_for", "next_attempt_at"),
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
    scan = (Path(__file__).parents[1] / "samples" / "no_text.pdf").read_bytes()
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
