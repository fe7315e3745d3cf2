"""Deleting a tenant over the API: only by its administrators, not by mistake, and at once."""

import pytest

from footnote.operations import tenant_deletion
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio


async def test_a_tenant_is_deleted_by_its_name(rt: Runtime, alice: Person, bob: Person, charlie: Person) -> None:
    await driving.ready(rt, alice.tenant_id, driving.paragraphs(2))
    problem(await bob.client.delete("/v1/tenant?name=ours"), 403, "missing_scope")
    problem(await alice.client.delete("/v1/tenant"), 422, "invalid_request")
    for name in ("theirs", alice.tenant_id, "our", ""):
        refused = await alice.client.delete("/v1/tenant", params={"name": name})
        problem(refused, 422, "wrong_name")
        assert "'ours'" in refused.json()["detail"]
    assert (await alice.client.get("/v1/documents")).json()["data"]

    begun = await alice.client.delete("/v1/tenant?name=ours")
    task = begun.json()
    assert (begun.status_code, task["kind"], task["subject_id"]) == (202, "tenant.delete", alice.tenant_id)
    assert task["progress"] == {"done": 0, "total": 1, "unit": "documents"}
    problem(await alice.client.get(f"/v1/tasks/{task['id']}"), 401, "invalid_api_key")
    await driving.work_off(rt)
    async with rt.transaction() as session:
        [receipt] = await tenant_deletion.receipts(session)
    assert (receipt.id, receipt.state, receipt.subject_name) == (task["id"], "completed", "ours")
    counts = receipt.counts
    assert (counts["documents"], counts["chunks"], counts["rows"]["api_key"]) == (1, 2, 2)
    for person in (alice, bob):
        problem(await person.client.get("/v1/documents"), 401, "invalid_api_key")
    assert (await charlie.client.get("/v1/documents")).status_code == 200
