"""Responses through the official client: items and events, what is stored of them, and what a deletion leaves."""

import json
from typing import Any

import openai
import pytest
from sqlalchemy import select, update

from footnote import errors
from footnote.answering import Question, stored_responses
from footnote.answering.stored_responses import NewResponse
from footnote.citations import unmarked
from footnote.database.clock import from_now
from footnote.documents import deletion, derived_answers
from footnote.models import AuditEvent, StoredResponse
from footnote.operations import consistency
from footnote.providers import ChatMessage
from footnote.retrieval import Query
from footnote.runtime import Runtime
from tests import driving
from tests.api.openai_client import ASKED, FOG, LAMP, Quoting, client, page_text, refused, writer
from tests.api.test_documents import frames
from tests.conftest import Person

__all__ = ["client", "writer"]  # fixtures
pytestmark = pytest.mark.anyio
RESPONSES = "/openai/v1/responses"
RESULTS: Any = ["file_search_call.results"]
EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.file_search_call.in_progress",
    "response.file_search_call.searching",
    "response.file_search_call.completed",
    "response.output_item.done",
    "response.output_item.added",
    "response.content_part.added",
]
LAST = [
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def part_of(made: Any) -> Any:
    """The text of a response, with its footnotes."""
    return made.output[1].content[0]


@pytest.fixture
async def lamp(rt: Runtime, alice: Person) -> str:
    metadata = {"of": "light", "year": 1874, "lit": True, "tags": ["a"]}
    return await driving.ready(rt, alice.tenant_id, LAMP, "lamp.txt", metadata=metadata)


async def test_a_response_shows_the_search_and_the_answer(client: openai.AsyncOpenAI, alice: Person, lamp: str) -> None:
    made = await client.responses.create(model="footnote", input=ASKED, include=RESULTS, metadata={"a": "b"})
    search, message = made.output
    assert search.type == "file_search_call"
    assert (search.id[:3], search.status, search.queries) == ("fs_", "completed", [ASKED])
    assert search.results
    hit: Any = search.results[0]
    assert (hit.filename, hit.file_id) == ("lamp.txt", f"file-{lamp.removeprefix('doc_')}")
    assert hit.attributes == {"of": "light", "year": 1874, "lit": True}, "flat members only"
    assert 0 < hit.score <= 1
    assert await page_text(alice, hit) == hit.text == LAMP
    assert message.type == "message"
    assert (message.id[:4], message.role, message.status) == ("msg_", "assistant", "completed")
    part = message.content[0]
    assert part.type == "output_text"
    cited: Any = part.annotations[0]
    assert (cited.type, cited.filename, cited.file_id) == ("file_citation", "lamp.txt", hit.file_id)
    assert made.output_text[cited.index :].startswith(f"[{cited.marker}]")
    assert await page_text(alice, cited) == cited.quote
    assert cited.verified
    assert cited.url.startswith(f"http://footnote/d/{lamp}/p/1?v=1&from=")
    assert made.usage is not None
    assert made.usage.to_dict() == {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }
    told = made.to_dict()
    assert {name for name, value in told.items() if value is None} == {
        *("error", "incomplete_details", "instructions", "max_output_tokens", "previous_response_id")
    }
    same: dict[str, Any] = {
        "object": "response",
        "status": "completed",
        "model": "footnote",
        "metadata": {"a": "b"},
        "tools": [],
    }
    same |= {"tool_choice": "auto", "parallel_tool_calls": True, "truncation": "disabled", "temperature": 1.0}
    same |= {"top_p": 1.0, "text": {"format": {"type": "text"}}, "background": False, "service_tier": "default"}
    assert told == told | same | {"presence_penalty": 0, "frequency_penalty": 0, "top_logprobs": 0, "store": True}
    plain: Any = await client.responses.create(model="footnote", input=ASKED)
    assert plain.output[0].results is None


async def test_a_stream_has_every_event_in_order_and_adds_up(
    client: openai.AsyncOpenAI, alice: Person, lamp: str
) -> None:
    store = f"vs_{(await alice.client.get('/v1/collections/default')).json()['id'].removeprefix('col_')}"
    tool: Any = {"type": "file_search", "vector_store_ids": [store], "ranking_options": {"ranker": "auto"}}
    asked: dict[str, Any] = {"model": "footnote", "input": ASKED, "tools": [tool], "include": RESULTS}
    streamed = frames((await alice.client.post(RESPONSES, json=asked | {"stream": True})).text)
    names, bodies = [name for name, _ in streamed], [body for _, body in streamed]
    assert names == [body["type"] for body in bodies]
    assert [body["sequence_number"] for body in bodies] == list(range(len(bodies)))
    assert names[:9] == EVENTS
    assert names[-4:] == LAST
    between = names[9:-4]
    assert set(between) == {"response.output_text.delta", "response.output_text.annotation.added"}
    whole = bodies[-1]["response"]
    assert (bodies[0]["response"]["status"], bodies[0]["response"]["output"]) == ("in_progress", [])
    assert whole["tools"] == [tool]
    items = [body["item"] for body in bodies if "item" in body]
    assert [items[1], items[3]] == whole["output"]
    assert [(each["id"], each["type"]) for each in items[::2]] == [(each["id"], each["type"]) for each in items[1::2]]
    assert {body["item_id"] for body in bodies if "content_index" in body} == {whole["output"][1]["id"]}
    part = whole["output"][1]["content"][0]
    assert "".join(body["delta"] for body in bodies if "delta" in body) == part["text"] == bodies[-4]["text"]
    added = [body for body in bodies if "annotation" in body]
    assert [body["annotation_index"] for body in added] == list(range(len(added)))
    assert [body["annotation"] for body in added] == part["annotations"]
    assert bodies[-3]["part"] == part
    async with client.responses.stream(**asked) as stream:
        final = await stream.get_final_response()
    again = await client.responses.create(**asked)
    assert final.output_text == again.output_text == part["text"]


async def test_an_answer_that_ends_early_or_breaks_off_says_so(
    client: openai.AsyncOpenAI, writer: Quoting, alice: Person, lamp: str
) -> None:
    asked: dict[str, Any] = {"model": "footnote", "input": ASKED, "max_output_tokens": 20}
    writer.truncated = True
    made = await client.responses.create(**asked)
    assert (made.status, made.max_output_tokens, writer.requests[-1].max_tokens) == ("incomplete", 20, 20)
    assert made.incomplete_details is not None
    assert made.incomplete_details.reason == "max_output_tokens"
    assert frames((await alice.client.post(RESPONSES, json=asked | {"stream": True})).text)[-1][0] == (
        "response.incomplete"
    )
    writer.fails_late = errors.Unavailable("provider_unavailable", "It is away.")
    refused(await alice.client.post(RESPONSES, json=asked), 503, "provider_unavailable")
    (name, told), (last, failed) = frames((await alice.client.post(RESPONSES, json=asked | {"stream": True})).text)[-2:]
    assert (name, last) == ("error", "response.failed")
    assert (told["code"], told["message"], told["param"]) == ("provider_unavailable", "It is away.", None)
    assert (failed["response"]["status"], failed["sequence_number"]) == ("failed", told["sequence_number"] + 1)
    assert failed["response"]["error"] == {"code": "provider_unavailable", "message": "It is away."}


async def test_a_stored_response_is_found_again_and_deleted(
    rt: Runtime, client: openai.AsyncOpenAI, alice: Person, bob: Person, charlie: Person, lamp: str
) -> None:
    said: Any = [
        {"role": "system", "content": "Be brief."},
        {"type": "message", "role": "user", "content": "Hello."},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "A secret of a document."}]},
        {"role": "user", "content": [{"type": "input_text", "text": ASKED}]},
    ]
    made = await client.responses.create(model="footnote", input=said, instructions="Speak as a sailor.")
    again: Any = await client.responses.retrieve(made.id, include=RESULTS)
    assert again.output[0].results[0].text == LAMP
    again.output[0].results = None
    assert again.to_dict() == made.to_dict()
    assert (again.instructions, again.store) == ("Speak as a sailor.", True)

    listed: list[Any] = [each async for each in client.responses.input_items.list(made.id, limit=2, order="asc")]
    assert [(each.role, each.content[0].text) for each in listed] == [
        ("system", "Be brief."),
        ("user", "Hello."),
        ("user", ASKED),
    ]
    newest = await client.responses.input_items.list(made.id, limit=1)
    assert (newest.data[0].id, newest.has_more) == (listed[-1].id, True)

    path = f"{RESPONSES}/{made.id}"
    assert "secret" not in (await alice.client.get(path)).text
    refused(await alice.client.get(f"{path}?stream=true"), 400, "unsupported_parameter", "stream")
    refused(await alice.client.get(f"{RESPONSES}/msg_1"), 400, "invalid_value", "response_id")
    for answer in (await charlie.client.get(path), await charlie.client.delete(path)):
        assert refused(answer, 404, "not_found") == f"No response found with id '{made.id}'."
    refused(await charlie.client.get(f"{path}/input_items"), 404, "not_found")
    refused(await bob.client.delete(path), 403, "missing_scope")
    assert (await alice.client.delete(path)).json() == {"id": made.id, "object": "response", "deleted": True}
    for answer in (await alice.client.get(path), await alice.client.delete(path)):
        refused(answer, 404, "not_found")
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        audited = await session.scalars(select(AuditEvent.object_id).where(AuditEvent.action == "response.deleted"))
        assert [*audited] == [made.id]

    unstored: Any = await client.responses.create(model="footnote", input=ASKED, store=False)
    assert unstored.store is False
    refused(await alice.client.get(f"{RESPONSES}/{unstored.id}"), 404, "not_found")


async def test_a_response_follows_another(
    rt: Runtime, client: openai.AsyncOpenAI, writer: Quoting, alice: Person, charlie: Person, lamp: str
) -> None:
    first = await client.responses.create(model="footnote", input=ASKED, instructions="Rhyme.")
    second = await client.responses.create(model="footnote", input="And when?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    request = writer.requests[-1]
    assert request.history == [ChatMessage("user", ASKED), ChatMessage("assistant", unmarked(first.output_text))]
    assert request.system_prompt is None, "instructions do not carry over"
    third = await client.responses.create(model="footnote", input="Why?", previous_response_id=second.id, store=False)
    assert third.previous_response_id == second.id
    assert [turn.role for turn in writer.requests[-1].history] == ["user", "assistant"] * 2

    # A client that stores the conversation itself refers to answers by the ids of their messages.
    said = [{"type": "message", "role": "user", "content": ASKED}]
    said += [{"type": "item_reference", "id": each.id or ""} for each in first.output]
    said += [{"type": "message", "role": "user", "content": "And when?"}]
    await client.responses.create(model="footnote", input=said)  # type: ignore[arg-type]
    assert writer.requests[-1].history == request.history
    asked = {"model": "footnote", "input": [*said[:1], {"type": "item_reference", "id": "msg_0"}, *said[-1:]]}
    refused(await alice.client.post(RESPONSES, json=asked), 404, "not_found")

    for person, previous in ((alice, "resp_0"), (alice, "x"), (charlie, first.id)):
        asked = {"model": "footnote", "input": "Why?", "previous_response_id": previous}
        answer = await person.client.post(RESPONSES, json=asked)
        refused(answer, 400, "previous_response_not_found", "previous_response_id")

    async with rt.transaction() as session:  # thirty days later
        await session.execute(
            update(StoredResponse).where(StoredResponse.id == first.id).values(expires_at=from_now(-1))
        )
    refused(await alice.client.get(f"{RESPONSES}/{first.id}"), 404, "not_found")
    async with rt.transaction() as session:
        await stored_responses.purge(session)
        assert first.id not in (await session.scalars(select(StoredResponse.id))).all()
    asked = {"model": "footnote", "input": "Why?", "previous_response_id": second.id}
    assert (await alice.client.post(RESPONSES, json=asked)).status_code == 200, "the chain begins later"


async def test_a_deleted_document_leaves_all_responses(
    rt: Runtime, client: openai.AsyncOpenAI, writer: Quoting, alice: Person, lamp: str
) -> None:
    fog = await driving.ready(rt, alice.tenant_id, FOG, "fog.txt")
    first = await client.responses.create(model="footnote", input=ASKED)
    follows = await client.responses.create(
        model="footnote", input="Where does the fog siren stall?", previous_response_id=first.id
    )
    assert {each.filename for each in part_of(follows).annotations} >= {"fog.txt"}
    receipt = await deletion.remove(rt.for_tenant(alice.tenant_id), lamp)
    assert receipt.counts["answers"] == 2, "also the one that was made after it"
    for made in (first, follows):
        again = await client.responses.retrieve(made.id, include=RESULTS)
        assert again.output_text == derived_answers.REMOVED
        assert again.output[0].to_dict() == made.output[0].to_dict() | {"queries": [], "results": None}
        assert part_of(again).annotations == []
    assert [each async for each in client.responses.input_items.list(first.id)], "the user's words stay"
    async with rt.transaction() as session:
        left = json.dumps((await session.scalars(select(StoredResponse.output))).all())
    assert "zircon" not in left
    # One that is stored while a document of it is deleted is stored empty.
    acting = rt.for_tenant(alice.tenant_id)
    new = NewResponse("resp_x", "footnote", {"said": []})
    events = stored_responses.ask(acting, Question(Query("Where does the fog siren stall?")), new, (), store=True)
    await anext(events)
    await deletion.remove(acting, fog)
    assert [event async for event in events]
    async with acting.transaction() as session:
        stored = await stored_responses.get(session, "resp_x")
    assert (stored.output, stored.document_ids) == ({}, [])
    assert [each async for each in consistency.audit(rt, fix=False)] == []
    async with rt.transaction() as session:
        await session.execute(update(StoredResponse).values(document_ids=[lamp]))
    found = {each.kind async for each in consistency.audit(rt, fix=False)}
    assert found == {"response_without_document"}


async def test_links_begin_with_the_public_address_or_lead_to_the_text(
    rt: Runtime, client: openai.AsyncOpenAI, alice: Person, lamp: str
) -> None:
    answers = []
    for chosen in ({}, {"ui": "off"}):
        settings = rt.settings.model_copy(update=chosen)
        object.__setattr__(rt, "settings", settings)
        made = await client.responses.create(model="footnote", input=ASKED)
        answers.append(part_of(made).annotations[0].url)
    assert answers[0].startswith(f"http://footnote/d/{lamp}/p/1?v=1")
    assert answers[1] == f"http://footnote/v1/documents/{lamp}/pages/1?version=1"
    assert (await alice.client.get(answers[1])).json()["text"] == LAMP
