import pytest

from tests.cli.conftest import Footnote, Reply, StubApi
from tests.cli.test_asking import QUERY, done

LIST = ("GET", "/v1/conversations")
MESSAGES = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Agnes [1]."}]


def conversation(**changed: object) -> dict[str, object]:
    times = {"created_at": "2026-01-02T10:00:00Z", "updated_at": "2026-01-02T10:00:00Z"}
    return {"id": "cnv_1", "title": "Lamps", "message_count": 2, **times, **changed}


@pytest.mark.parametrize(("option", "asked"), [("--begin", "POST"), ("--continue", "GET")])
def test_a_question_in_a_conversation(stub: StubApi, footnote: Footnote, option: str, asked: str) -> None:
    stub.on("POST", "/v1/conversations", Reply(conversation(id="cnv_new"), 201))
    stub.on(*LIST, Reply({"data": [conversation(id="cnv_last")], "next_cursor": None}))
    stub.on(*QUERY, Reply(done("supported", "Agnes.")))
    assert footnote("ask", "Who?", option, "--no-stream").out == "Agnes.\n"
    assert stub.asked[0].method == asked
    assert stub.asked[1].json["conversation_id"] == {"--begin": "cnv_new", "--continue": "cnv_last"}[option]


def test_a_named_conversation_is_asked_in_at_once(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*QUERY, Reply(done("supported", "Agnes.")))
    footnote("ask", "Who?", "--conversation", "cnv_7", "--no-stream")
    assert [each.json["conversation_id"] for each in stub.asked] == ["cnv_7"]
    assert footnote("ask", "Who?", "--conversation", "cnv_7", "--begin").code == 2


def test_there_is_nothing_to_continue(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*LIST, Reply({"data": [], "next_cursor": None}))
    ran = footnote("ask", "Who?", "--continue")
    assert (ran.code, ran.out) == (1, "")
    assert "--begin" in ran.err
    assert "--begin" in footnote("conversations", "list").out


def test_conversations_are_listed_shown_and_deleted(stub: StubApi, footnote: Footnote) -> None:
    stub.on(*LIST, Reply({"data": [conversation()], "next_cursor": None}))
    assert footnote("conversations", "list").out.splitlines()[1].split()[:2] == ["cnv_1", "2"]
    path = "/v1/conversations/cnv_1"
    page = {"data": MESSAGES[:1], "next_cursor": "msg_1"}
    rest = {"data": MESSAGES[1:], "next_cursor": None}
    stub.on("GET", path, *(Reply(conversation(messages=each)) for each in (page, rest)))
    assert footnote("conversations", "show", "cnv_1").out == "> Who?\nAgnes [1].\n\n"
    assert stub.asked[-1].query["cursor"] == ["msg_1"]
    stub.on("DELETE", path, Reply({"conversation_id": "cnv_1", "messages": 2}))
    assert footnote("conversations", "delete", "cnv_1").out == "deleted  cnv_1  2 messages\n"
