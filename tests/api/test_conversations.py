"""Conversations over HTTP: what is stored, who can ask when, and what a deletion leaves."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import select, update

from footnote.answering import Citation, Delta, Done, Question, Sources, conversations
from footnote.database.clock import from_now
from footnote.documents import deletion, derived_answers
from footnote.errors import RateLimited, Unavailable
from footnote.models import Conversation, Message
from footnote.operations import consistency
from footnote.providers import ChatMessage, GenerationRequest, GeneratorEvent, Token, Usage
from footnote.providers.extractive import ExtractiveGenerator
from footnote.retrieval import Query
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_documents import frames
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
LAMP = "The zircon lamp was lit by Agnes Tolmie in the year 1874. The zircon lamp burns paraffin oil."
FOG = "The fog siren stalls at 2.1 bar of pressure."


class Chat(FakeGenerator):
    """Rewrites as it is told, and answers with a quote of the first source."""

    def __init__(self) -> None:
        super().__init__()
        self.rewritten: str | Exception = ""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        if request.passages:
            yield Token(f'It says so [1: "{request.passages[0].text[:40]}"].')
        elif isinstance(self.rewritten, Exception):
            raise self.rewritten
        else:
            yield Token(self.rewritten)
        yield Usage(11, 7)


@pytest.fixture
async def chat(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> Chat:
    generator = Chat()
    object.__setattr__(rt, "generator", generator)
    return generator


@pytest.fixture
async def lamp(rt: Runtime, alice: Person) -> str:
    return await driving.ready(rt, alice.tenant_id, LAMP, "lamp.txt", collection="light")


async def made(person: Person, **given: Any) -> str:
    answer = await person.client.post("/v1/conversations", json=given)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/v1/conversations/{answer.json()['id']}"
    return str(answer.json()["id"])


async def ask(person: Person, conversation_id: str, question: str, **more: Any) -> dict[str, Any]:
    answer = await person.client.post(
        f"/v1/conversations/{conversation_id}/messages", json={"question": question, **more}
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def show(person: Person, conversation_id: str, **page: Any) -> dict[str, Any]:
    body: dict[str, Any] = (await person.client.get(f"/v1/conversations/{conversation_id}", params=page)).json()
    return body


async def test_questions_and_answers_are_kept_in_order(rt: Runtime, bob: Person, lamp: str) -> None:
    object.__setattr__(rt, "generator", ExtractiveGenerator())
    first = await made(bob, metadata={"a": 1})
    answer = await ask(bob, first, "Who lit the zircon lamp?")
    assert (answer["conversation_id"], answer["answer_status"]) == (first, "supported")
    assert "question_as_searched" not in answer
    follow_up = await ask(bob, first, "What does it burn?")
    assert follow_up["question_as_searched"] == "What does it burn? (zircon lamp)"
    assert "paraffin" in follow_up["answer"]
    shown = await show(bob, first)
    assert (shown["title"], shown["metadata"], shown["message_count"]) == ("Who lit the zircon lamp?", {"a": 1}, 4)
    messages = shown["messages"]["data"]
    assert [each["role"] for each in messages] == ["user", "assistant"] * 2
    assert [each["content"] for each in messages[::2]] == ["Who lit the zircon lamp?", "What does it burn?"]
    for message, given in zip(messages[1::2], (answer, follow_up), strict=True):
        assert message["id"] == given["message_id"]
        assert message["content"] == given["answer"]
        for name in ("citations", "unsupported", "answer_status", "answer_kind", "model", "usage"):
            assert message[name] == given[name]
    assert messages[3]["question_as_searched"] == follow_up["question_as_searched"]
    page = await show(bob, first, limit=3)
    rest = await show(bob, first, limit=3, cursor=page["messages"]["next_cursor"])
    assert page["messages"]["data"] + rest["messages"]["data"] == messages
    assert rest["messages"]["next_cursor"] is None


async def test_a_list_of_conversations_and_their_end(alice: Person, bob: Person) -> None:
    ids = [await made(bob, title=f"No {number}") for number in range(3)]
    page = (await bob.client.get("/v1/conversations?limit=2")).json()
    rest = (await bob.client.get(f"/v1/conversations?limit=2&cursor={page['next_cursor']}")).json()
    assert [each["id"] for each in page["data"] + rest["data"]] == ids[::-1]
    path = f"/v1/conversations/{ids[0]}"
    assert (await bob.client.delete(path)).status_code == 403, "asking needs no more than reading; deleting does"
    assert (await alice.client.delete(path)).json() == {"conversation_id": ids[0], "messages": 0}
    for answer in (await alice.client.get(path), await alice.client.delete(path)):
        problem(answer, 404, "conversation_not_found")


async def test_a_conversation_is_renamed_and_found_by_its_title(
    alice: Person, bob: Person, charlie: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await made(bob, title=title) for title in ("Lamps of 100 %", "Fog", "More lamps", "Lenses")]
    path = f"/v1/conversations/{ids[1]}"
    problem(await charlie.client.patch(path, json={"title": "Theirs"}), 404, "conversation_not_found")
    problem(await bob.client.patch(path, json={"title": "Read only"}), 403, "missing_scope")
    problem(await alice.client.patch(path, json={"title": ""}), 422, "invalid_request")
    assert (await alice.client.patch(path, json={"title": "Fog and LAMPS"})).json()["title"] == "Fog and LAMPS"

    async def found(words: str, **more: Any) -> tuple[list[str], str | None]:
        page = (await bob.client.get("/v1/conversations", params={"q": words, **more})).json()
        return [each["id"] for each in page["data"]], page["next_cursor"]

    assert await found("lamps") == ([ids[2], ids[1], ids[0]], None)
    assert await found("100 %") == ([ids[0]], None)
    assert await found("%") == ([ids[0]], None), "no pattern"
    assert await found("lamps", limit=2) == ([ids[2], ids[1]], ids[1])
    assert await found("lamps", limit=2, cursor=ids[1]) == ([ids[0]], None)
    monkeypatch.setattr(conversations, "LOOKED_AT", 2)
    assert await found("fog") == ([], ids[2]), "a page comes of so many, and says where to go on"
    assert await found("fog", cursor=ids[2]) == ([ids[1]], ids[0])


async def test_messages_newest_first(chat: Chat, alice: Person, lamp: str) -> None:
    here = await made(alice)
    for question in ("Who lit the zircon lamp?", "What does the zircon lamp burn?"):
        await ask(alice, here, question)
    oldest = (await show(alice, here))["messages"]["data"]
    page = (await show(alice, here, order="newest", limit=3))["messages"]
    rest = (await show(alice, here, order="newest", limit=3, cursor=page["next_cursor"]))["messages"]
    assert page["data"] + rest["data"] == oldest[::-1]
    assert rest["next_cursor"] is None


async def test_of_a_stopped_answer_what_came_is_stored(rt: Runtime, chat: Chat, alice: Person, lamp: str) -> None:
    """Stopped before anything, while it is written, and not at all if the client did not see it come."""
    of_alice, here = rt.for_tenant(alice.tenant_id), await made(alice)

    async def stopped(after: type, *, store: bool = True) -> None:
        asked = Question(Query("Who lit the zircon lamp?"))
        events = conversations.ask(of_alice, here, asked, store_stopped=store)
        async for event in events:
            if isinstance(event, after):
                break
        await events.aclose()

    await stopped(Delta, store=False)
    assert (await show(alice, here))["message_count"] == 0
    await stopped(Sources)
    await stopped(Citation)
    chat.requests.clear()
    await ask(alice, here, "What does the zircon lamp burn?")
    shown = (await show(alice, here))["messages"]["data"]
    assert [each["answer_status"] for each in shown[1::2]] == ["stopped", "stopped", "supported"]
    assert (shown[1]["content"], shown[1]["citations"], shown[1]["usage"]) == ("", [], None)
    assert shown[3]["content"] == "It says so [1]"
    assert [each["verified"] for each in shown[3]["citations"]] == [True]
    assert shown[1]["passages"][0]["document_id"] == shown[3]["passages"][0]["document_id"] == lamp
    said = [ChatMessage("user", "Who lit the zircon lamp?"), ChatMessage("assistant", "It says so")]
    assert list(chat.requests[-1].history) == said, "nothing is said of what holds nothing"
    await deletion.remove(of_alice, lamp)
    assert {each["answer_status"] for each in (await show(alice, here))["messages"]["data"][1::2]} == {"removed"}


async def test_defaults_of_a_conversation_hold_until_a_question_says_otherwise(
    rt: Runtime, chat: Chat, alice: Person, lamp: str
) -> None:
    fog = await driving.ready(rt, alice.tenant_id, FOG, "fog.txt", collection="sound")
    given = {"type": "eq", "key": "$filename", "value": "lamp.txt"}
    here = await made(alice, collections=["light", "sound"], filters=given, system_prompt="Be brief.")
    shown = await show(alice, here)
    assert (shown["collections"], shown["filters"], shown["system_prompt"]) == (["light", "sound"], given, "Be brief.")
    question = "When was the zircon lamp lit, and when does the fog siren stall?"
    assert {hit["document_id"] for hit in (await ask(alice, here, question))["hits"]} == {lamp}
    assert chat.requests[-1].system_prompt == "Be brief."
    otherwise = await ask(alice, here, question, filters=None)
    assert {hit["document_id"] for hit in otherwise["hits"]} == {lamp, fog}
    wrong = await alice.client.post("/v1/conversations", json={"filters": {"type": "like"}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_filter")


async def test_a_query_in_a_conversation_is_kept_there(chat: Chat, alice: Person, charlie: Person, lamp: str) -> None:
    here = await made(alice)
    body = {"question": "Who lit the zircon lamp?", "conversation_id": here}
    answer = (await alice.client.post("/v1/query", json=body)).json()
    assert (answer["conversation_id"], (await show(alice, here))["message_count"]) == (here, 2)
    for stream in (True, False):
        problem(await charlie.client.post("/v1/query", json={**body, "stream": stream}), 404, "conversation_not_found")


async def test_a_streamed_answer_is_kept_when_it_is_done(chat: Chat, alice: Person, lamp: str) -> None:
    here = await made(alice)
    body = {"question": "Who lit the zircon lamp?", "stream": True}
    answer = await alice.client.post(f"/v1/conversations/{here}/messages", json=body)
    told = frames(answer.text)
    assert told[-1][0] == "done"
    assert told[-1][1]["message_id"] == (await show(alice, here))["messages"]["data"][1]["id"]


async def test_who_sees_the_end_may_ask_again(rt: Runtime, chat: Chat, alice: Person, lamp: str) -> None:
    here = await made(alice)
    async for event in conversations.ask(
        rt.for_tenant(alice.tenant_id), here, Question(Query("Who lit the zircon lamp?"))
    ):
        async with rt.sessions() as session:
            holder = (await session.get_one(Conversation, here)).holder
        assert (holder is None) == isinstance(event, Done)


async def test_of_an_answer_that_broke_off_nothing_is_kept(
    rt: Runtime, chat: Chat, alice: Person, lamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await made(alice)

    async def breaking(request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        yield Token("Half an ")
        raise Unavailable("provider_unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(chat, "generate", breaking)
        answer = await alice.client.post(f"/v1/conversations/{here}/messages", json={"question": "Who lit the lamp?"})
        problem(answer, 503, "provider_unavailable")
    assert (await show(alice, here))["message_count"] == 0
    await ask(alice, here, "Who lit the zircon lamp?")  # it is free again
    assert (await show(alice, here))["message_count"] == 2


async def test_one_question_at_a_time(rt: Runtime, chat: Chat, alice: Person, lamp: str) -> None:
    here = await made(alice)
    async with conversations.hold(rt.for_tenant(alice.tenant_id), here):
        path, body = f"/v1/conversations/{here}/messages", {"question": "Who lit the zircon lamp?"}
        problem(await alice.client.post(path, json=body), 409, "conversation_busy")
        async with rt.transaction() as session:  # its holder is dead
            await session.execute(update(Conversation).values(held_until=from_now(-1)))
        await ask(alice, here, "Who lit the zircon lamp?")
    assert (await show(alice, here))["message_count"] == 2


async def test_who_lost_the_conversation_keeps_nothing(rt: Runtime, chat: Chat, alice: Person, lamp: str) -> None:
    here = await made(alice)
    original = chat.generate

    async def slowly(request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        async with rt.transaction() as session:
            await session.execute(update(Conversation).values(holder="another"))
        async for event in original(request):
            yield event

    chat.generate = slowly  # type: ignore[method-assign]
    path, body = f"/v1/conversations/{here}/messages", {"question": "Who lit the zircon lamp?"}
    problem(await alice.client.post(path, json=body), 409, "conversation_busy")
    assert (await show(alice, here))["message_count"] == 0
    async with rt.sessions() as session:
        assert (await session.get_one(Conversation, here)).holder == "another", "it is not ours to free"


# -- what was said before ------------------------------------------------------------------------------------


async def test_the_model_rewrites_and_sees_what_was_said(chat: Chat, alice: Person, lamp: str) -> None:
    here = await made(alice)
    await ask(alice, here, "Who lit the zircon lamp?")
    chat.requests.clear()
    chat.rewritten = '"What oil does the zircon lamp burn?"\n'
    answer = await ask(alice, here, "And what does it burn?")
    rewriting, answering = chat.requests
    assert answer["question_as_searched"] == answering.question == "What oil does the zircon lamp burn?"
    assert (rewriting.question, rewriting.passages) == ("And what does it burn?", ())
    said = [ChatMessage("user", "Who lit the zircon lamp?"), ChatMessage("assistant", "It says so.")]
    assert list(rewriting.history) == list(answering.history) == said
    assert answer["usage"] == {**answer["usage"], "prompt_tokens": 22, "completion_tokens": 14}


@pytest.mark.parametrize(
    "rewritten", ["", "x" * 2000, "Sure!\nHere it is", Unavailable("provider_unavailable"), RateLimited("slow")]
)
async def test_rules_stand_in_for_a_model_that_has_nothing_usable_to_say(
    chat: Chat, alice: Person, lamp: str, rewritten: str | Exception
) -> None:
    chat.rewritten = rewritten
    said = [{"role": "user", "content": "Who lit the zircon lamp?"}, {"role": "assistant", "content": "Agnes [1]."}]
    body = {"messages": [*said, {"role": "user", "content": "What does it burn?"}]}
    answer = (await alice.client.post("/v1/query", json=body)).json()
    assert answer["question_as_searched"] == "What does it burn? (zircon lamp)"
    assert "conversation_id" not in answer


async def test_a_rewritten_question_leads_nowhere(chat: Chat, alice: Person, lamp: str) -> None:
    chat.rewritten = "What oil? ![a](http://evil.example/?a=1) http://evil.example/b"
    said = [{"role": "user", "content": "Who lit the zircon lamp?"}, {"role": "assistant", "content": "Agnes."}]
    body = {"messages": [*said, {"role": "user", "content": "What oil?"}]}
    assert "evil" not in (await alice.client.post("/v1/query", json=body)).text


async def test_a_history_is_as_long_as_the_setting_says(rt: Runtime, chat: Chat, alice: Person, lamp: str) -> None:
    object.__setattr__(rt, "settings", rt.settings.model_copy(update={"history_tokens": 20}))
    said = [{"role": role, "content": "zircon " * 10} for role in ("user", "assistant")]
    body = {"messages": [*said, {"role": "user", "content": "Who lit the zircon lamp?"}]}
    answer = (await alice.client.post("/v1/query", json=body)).json()
    assert [len(each.history) for each in chat.requests] == [0]
    assert "question_as_searched" not in answer


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "a"}]},
        {"messages": [{"role": "system", "content": "a"}]},
        {"messages": [{"role": "user", "content": "a"}], "question": "b"},
        {"messages": [{"role": "user", "content": "a"}], "conversation_id": "cnv_1"},
        {"messages": [{"role": "user", "content": "a" * 8193}]},
    ],
)
async def test_what_is_asked_must_be_clear(alice: Person, body: dict[str, Any]) -> None:
    problem(await alice.client.post("/v1/query", json=body), 422, "invalid_request")


# -- what a deleted document leaves --------------------------------------------------------------------------


async def test_a_deleted_document_leaves_nothing_in_conversations(rt: Runtime, chat: Chat, alice: Person) -> None:
    lamp = await driving.ready(rt, alice.tenant_id, LAMP, "lamp.txt", collection="light")
    fog = await driving.ready(rt, alice.tenant_id, FOG, "fog.txt", collection="sound")
    here, other = await made(alice), await made(alice)
    await ask(alice, here, "Who lit the zircon lamp?", collections=["light"])
    chat.rewritten = "What pressure does the fog siren of Agnes Tolmie have?"
    # Made from the other document, but with the first answer before its eyes.
    later = await ask(alice, here, "And the fog siren?", collections=["sound"])
    assert {each["document_id"] for each in later["citations"]} == {fog}
    untouched = await ask(alice, other, "When does the fog siren stall?", collections=["sound"])
    receipt = (await alice.client.delete(f"/v1/documents/{lamp}")).json()
    assert receipt["counts"]["answers"] == 2
    shown = await show(alice, here)
    for message in shown["messages"]["data"][1::2]:
        assert (message["content"], message["answer_status"]) == (derived_answers.REMOVED, "removed")
        assert message["citations"] == message["unsupported"] == []
    assert "Tolmie" not in str(shown)
    assert (await show(alice, other))["messages"]["data"][1]["content"] == untouched["answer"]
    assert [each async for each in consistency.audit(rt, fix=False)] == []
    async with rt.transaction() as session:  # as no transaction of ours leaves it
        await session.execute(
            update(Message).where(Message.id == untouched["message_id"]).values(document_ids=[fog, lamp])
        )
    found = [each async for each in consistency.audit(rt, fix=True)]
    assert [(each.kind, each.what) for each in found] == [("answer_without_document", untouched["message_id"])]


async def test_a_document_deleted_while_it_is_answered_from(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant_id = await driving.new_tenant(rt)
    lamp = await driving.ready(rt, tenant_id, LAMP, "lamp.txt")
    async with rt.for_tenant(tenant_id).transaction() as session:
        here = (await conversations.create(session, None, {}, {})).id
    answer = conversations.StoredAnswer(LAMP, None, [], [], "supported", "m", {}, {}, [lamp])
    async with conversations.hold(rt.for_tenant(tenant_id), here) as held:
        # Kept first: the deletion waits for it, and empties it.
        async with rt.for_tenant(tenant_id).transaction() as session:
            await conversations.store(session, held, "Who?", answer)
            removing = asyncio.create_task(deletion.remove(rt.for_tenant(tenant_id), lamp))
            await asyncio.wait({removing}, timeout=0.2)
        assert (await removing).counts["answers"] == 1
        # Deleted first: what comes is emptied at once.
        async with rt.for_tenant(tenant_id).transaction() as session:
            await conversations.store(session, held, "Who?", answer)
    async with rt.sessions() as session:
        messages = (await session.scalars(select(Message).order_by(Message.position))).all()
    assert [each.content for each in messages] == ["Who?", derived_answers.REMOVED] * 2


async def test_an_answer_has_an_address_and_says_what_was_searched(
    chat: Chat, alice: Person, charlie: Person, lamp: str
) -> None:
    made = (await alice.client.post("/v1/conversations", json={})).json()["id"]
    answer = (
        await alice.client.post(f"/v1/conversations/{made}/messages", json={"question": "Who lit the zircon lamp?"})
    ).json()
    path = f"/v1/conversations/{made}/messages/{answer['message_id']}"
    stored = (await alice.client.get(path)).json()
    assert (stored["content"], stored["citations"]) == (answer["answer"], answer["citations"])
    assert (stored["searched"], stored["truncated"], stored["cached"]) == (answer["searched"], False, False)
    assert stored["timings"] == answer["timings"]
    [passage, *_] = stored["passages"]
    names = ("document_id", "filename", "version", "page_start", "char_start", "char_end", "heading")
    assert [passage[name] for name in names] == [answer["hits"][0][name] for name in names]
    assert "Tolmie" not in str(stored["passages"]), "the text stands in the document"
    [question, _] = (await alice.client.get(f"/v1/conversations/{made}")).json()["messages"]["data"]
    assert (question["searched"], question["passages"]) == (None, None)
    problem(await charlie.client.get(path), 404, "conversation_not_found")
    problem(await alice.client.get(path[:-1] + "?"), 404, "message_not_found")
    await alice.client.delete(f"/v1/documents/{lamp}")
    assert (await alice.client.get(path)).json()["passages"] is None
