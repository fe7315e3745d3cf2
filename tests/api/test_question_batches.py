"""Many questions over HTTP, at once and in the background."""

import asyncio
import json
from typing import Any

import pytest

from api import answer_stream
from api.routes import batches
from footnote.answering import batch_runs
from footnote.errors import Unavailable
from footnote.providers.extractive import ExtractiveGenerator
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person

pytestmark = pytest.mark.anyio
LAMP = "The zircon lamp was lit by Agnes Tolmie in the year 1874."
GOOD: dict[str, Any] = {"question": "Who lit the zircon lamp?"}
BAD: list[dict[str, Any]] = [
    {},
    {**GOOD, "top_k": 0},
    {**GOOD, "stream": True},
    {**GOOD, "conversation_id": "cnv_1"},
    {**GOOD, "filters": {"type": "like"}},
    {**GOOD, "collections": ["nowhere"]},
]
STATUSES = [200, 422, 422, 422, 422, 422, 404, 200]


@pytest.fixture(autouse=True)
async def library(rt: Runtime, alice: Person) -> None:
    object.__setattr__(rt, "generator", ExtractiveGenerator())
    # There is one connection in these tests, for one question at a time.
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"batch_concurrency": 1}))
    await driving.ready(rt, alice.tenant_id, LAMP, metadata={"year": 1874})


async def ask(person: Person, questions: list[dict[str, Any]], status: int = 200, **more: Any) -> dict[str, Any]:
    answer = await person.client.post("/v1/query/batch", json={"questions": questions, **more})
    assert answer.status_code == status, answer.text
    if status == 202:
        assert answer.headers["Location"] == f"/v1/query/batches/{answer.json()['id']}"
    body: dict[str, Any] = answer.json()
    return body


async def test_each_question_has_its_result_in_order(bob: Person) -> None:
    results = (await ask(bob, [GOOD, *BAD, GOOD]))["data"]
    assert [each["index"] for each in results] == list(range(8))
    assert [each["status"] for each in results] == STATUSES
    for each in results:
        assert ("answer" in each) == (each["status"] == 200) == ("error" not in each)
    assert "Agnes Tolmie" in results[7]["answer"]["answer"]
    assert results[7]["answer"]["hits"]
    assert results[2]["error"]["errors"] == [{"field": "top_k", "message": results[2]["error"]["errors"][0]["message"]}]
    assert (results[5]["error"]["code"], results[6]["error"]["code"]) == ("invalid_filter", "collection_not_found")


async def test_an_unexpected_error_fails_one_question(bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = iter((ZeroDivisionError(), Unavailable("provider_unavailable")))
    collect = answer_stream.collect

    async def sometimes(events: Any) -> Any:
        if error := next(failing, None):
            raise error
        return await collect(events)

    monkeypatch.setattr(batches, "collect", sometimes)
    results = (await ask(bob, [GOOD] * 3))["data"]
    assert [each["status"] for each in results] == [500, 503, 200]
    assert results[1]["error"]["retry_after"] == 5


async def test_no_more_are_answered_at_once_than_the_setting_says(
    rt: Runtime, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"batch_concurrency": 3}))
    under_way, most = 0, 0

    async def slowly(events: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1
        raise Unavailable("provider_unavailable")

    monkeypatch.setattr(batches, "collect", slowly)
    await ask(bob, [GOOD] * 20)
    assert most == 3


async def test_defaults_hold_for_what_a_question_does_not_say(bob: Person) -> None:
    none = {"type": "eq", "key": "year", "value": 1}
    some = {"type": "eq", "key": "year", "value": 1874}
    questions = [GOOD, {**GOOD, "filters": some}]
    results = (await ask(bob, questions, defaults={"filters": none}))["data"]
    assert [len(each["answer"]["hits"]) for each in results] == [0, 1]


async def test_defaults_may_not_make_much_of_little(bob: Person) -> None:
    """A body of 100 kB would be 80 MB of questions."""
    said = [{"role": "user", "content": "Who?" * 2500}] * 8
    for background in (True, False):
        much = await ask(bob, [{}] * 1000, 413, defaults={"messages": said}, background=background)
        assert much["code"] == "too_large"
    few = await ask(bob, [{}] * 21, 202, defaults={"messages": said})
    assert few["failed"] == 21, "too long for a question, and so not by the batch"


async def test_in_the_background_the_results_are_the_same(rt: Runtime, bob: Person) -> None:
    questions = [GOOD, *BAD, {**GOOD, "filters": {"type": "eq", "key": "year", "value": 1874}}]
    at_once = (await ask(bob, questions))["data"]
    made = await ask(bob, questions, 202, background=True)
    assert (made["status"], made["total"], made["ended"], made["failed"]) == ("queued", 8, 5, 5)
    path = f"/v1/query/batches/{made['id']}"
    before = (await bob.client.get(path)).json()["results"]["data"]
    assert [each["status"] for each in before] == [None, 422, 422, 422, 422, 422, None, None]
    await batch_runs.run(rt, made["id"])
    done = (await bob.client.get(path)).json()
    assert (done["status"], done["ended"], done["failed"], done["results"]["next_cursor"]) == ("completed", 8, 6, None)
    for given, told in zip(at_once, done["results"]["data"], strict=True):
        assert told["status"] == given["status"]
        for name in ("answer", "answer_status", "citations", "unsupported", "model", "usage"):
            assert told.get("answer", {}).get(name) == given.get("answer", {}).get(name)
        assert {**told.get("error", {}), "request_id": ""} == {**given.get("error", {}), "request_id": ""}
    page = (await bob.client.get(path, params={"limit": 5})).json()["results"]
    rest = (await bob.client.get(path, params={"limit": 5, "cursor": page["next_cursor"]})).json()["results"]
    assert [each["index"] for each in page["data"] + rest["data"]] == list(range(8))
    problem(await bob.client.post(f"{path}/cancel"), 409, "query_batch_finished")


async def test_nothing_that_json_can_say_is_too_odd_to_be_kept(bob: Person) -> None:
    questions = []
    for odd in ("a\x00b", "a\ud800b", "a\x1bb"):
        condition = {"type": "eq", "key": "year", "value": odd}
        questions += [GOOD | {odd: odd}, {"question": odd}, GOOD | {"model": odd}, GOOD | {"filters": condition}]
        questions += [GOOD | {"filters": condition | {"type": odd}}, GOOD | {"filters": condition | {"key": odd}}]
    body = json.dumps({"questions": questions, "background": True})  # lone surrogates escaped
    made = await bob.client.post("/v1/query/batch", content=body, headers={"Content-Type": "application/json"})
    assert made.status_code == 202, made.text
    kept = (await bob.client.get(made.headers["Location"])).json()["results"]["data"]
    assert kept[0]["status"] == 422
    assert len(kept) == len(questions)


async def test_many_questions_go_into_the_background_and_can_be_cancelled(bob: Person) -> None:
    made = await ask(bob, [GOOD] * 21, 202)
    cancelled = (await bob.client.post(f"/v1/query/batches/{made['id']}/cancel")).json()
    assert (cancelled["status"], cancelled["ended"]) == ("cancelled", 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"questions": []}, "invalid_request"),
        ({"questions": [GOOD] * 1001}, "invalid_request"),
        ({"questions": ["Who?"]}, "invalid_request"),
        ({"questions": [GOOD], "stream": True}, "invalid_request"),
        ({"questions": [GOOD], "callback_url": "ftp://x"}, "url_not_allowed"),
    ],
)
async def test_what_is_no_batch_is_refused(bob: Person, body: dict[str, Any], code: str) -> None:
    answer = await bob.client.post("/v1/query/batch", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
