"""Deleting a tenant over the API: only by its administrators, not by mistake, and at once."""

import pytest

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

    receipt = (await alice.client.delete("/v1/tenant?name=ours")).json()
    assert (receipt["tenant_id"], receipt["name"]) == (alice.tenant_id, "ours")
    assert receipt["began_at"] <= receipt["finished_at"]
    counts = receipt["counts"]
    assert (counts["documents"], counts["chunks"], counts["rows"]["api_key"]) == (1, 2, 2)
    for person in (alice, bob):
        problem(await person.client.get("/v1/documents"), 401, "invalid_api_key")
    assert (await charlie.client.get("/v1/documents")).status_code == 200
