"""The naughty strings of `make security` are in requests that are otherwise valid."""

import json

import pytest

from tests.conftest import Person
from tests.system import security

pytestmark = pytest.mark.anyio


async def test_beside_the_naughty_string_a_request_is_in_order(alice: Person) -> None:
    described = (await alice.client.get("/openapi.json")).json()
    for method, address, given in security.samples(described, {}):
        answer = await alice.client.request(method, address, headers=security.JSON, **given)
        assert answer.status_code != 422, (method, address, answer.text)


def test_a_string_goes_wherever_one_may_stand() -> None:
    components = {
        "Turn": {"type": "object", "required": ["role"], "properties": {"role": {"enum": ["user"], "type": "string"}}},
        "Asked": {
            "type": "object",
            "required": ["query"],
            "properties": {
                "query": {"type": "string"},
                "messages": {"anyOf": [{"type": "array", "items": {"$ref": "#/x/Turn"}}, {"type": "null"}]},
                "metadata": {"type": "object"},
                "top_k": {"type": "integer"},
            },
        },
    }
    found = security.values({"$ref": "#/x/Asked"}, components, "\x00")
    free = [
        r'{"query": "\u0000"}',
        r'{"query": "lamp", "metadata": {"question": "\u0000"}}',
        r'{"query": "lamp", "metadata": {"\u0000": "x"}}',
    ]
    assert [json.dumps(each) for each in found] == free
    few = next(iter(security.FEW))
    assert {"query": "lamp", "messages": [{"role": few}]} in security.values({"$ref": "#/x/Asked"}, components, few)
