from typing import Any

import pytest

from tests.cli.conftest import Footnote, Reply, StubApi, problem

PATH = "/v1/collections"
STEPS = [("queued", 0), ("running", 1), ("completed", 2)]


def collection(name: str = "papers", **values: Any) -> dict[str, Any]:
    return {
        "id": "col_1",
        "name": name,
        "language": "english",
        "chunking": {"size": 1000, "overlap": 150, "unit": "characters", "by_headings": False},
        "embedding": {"provider": "local", "model": "all-MiniLM-L6-v2", "dimensions": 384},
        "metadata": {},
        "counts": {"documents": 3, "chunks": 120, "reingesting": 0},
        "created_at": "2026-11-21T02:00:00Z",
        **values,
    }


def test_the_list_shows_chunking_and_model(stub: StubApi, footnote: Footnote) -> None:
    found = [collection(), collection("berichte", language="german")]
    stub.on("GET", PATH, Reply({"data": found, "next_cursor": "more"}))
    ran = footnote("collections", "list", "--limit", "2")
    assert ran.code == 0
    rows = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert rows[1] == "papers col_1 english 1000 characters, 150 shared local/all-MiniLM-L6-v2 3 120 0"
    assert rows[2].startswith("berichte col_1 german ")
    assert rows[3] == "The newest 2; there are more."
    stub.on("GET", PATH, Reply({"data": [], "next_cursor": None}))
    assert "No collections yet" in footnote("collections", "list").out
    assert footnote("collections", "list", "--json").json == {"data": [], "next_cursor": None}


def test_only_the_given_settings_are_sent(stub: StubApi, footnote: Footnote) -> None:
    stub.on("POST", PATH, Reply(collection(metadata={"a": 1}), status=201))
    stub.on("PATCH", f"{PATH}/papers", Reply(collection(counts={"documents": 3, "chunks": 9, "reingesting": 2})))
    made = footnote("collections", "create", "papers", "--language", "german", "--size", "200", "--unit", "tokens")
    assert made.code == 0
    assert "papers  col_1  3 documents, 120 chunks\n" in made.out
    assert "english, chunks of 1000 characters, 150 shared, local/all-MiniLM-L6-v2\n" in made.out
    assert '{"a": 1}' in made.out
    footnote("collections", "create", "papers", "--model", "openai/a/b", "--metadata", '{"a": 1}')
    assert [asked.json for asked in stub.to("POST", PATH)] == [
        {"name": "papers", "language": "german", "chunking": {"size": 200, "unit": "tokens"}},
        {"name": "papers", "embedding": {"provider": "openai", "model": "a/b"}, "metadata": {"a": 1}},
    ]
    changed = footnote("collections", "update", "papers", "--rename", "notes", "--across-headings", "--overlap", "0")
    assert "2 documents to be re-ingested" in changed.out
    [asked] = stub.to("PATCH", f"{PATH}/papers")
    assert asked.json == {"name": "notes", "chunking": {"overlap": 0, "by_headings": False}}


@pytest.mark.parametrize(
    "arguments", [["update", "papers"], ["update", "papers", "--metadata", "x"], ["create", "x", "--metadata", "[]"]]
)
def test_wrong_usage(stub: StubApi, footnote: Footnote, arguments: list[str]) -> None:
    assert footnote("collections", *arguments).code == 2
    assert stub.asked == []


def test_a_name_with_a_slash_is_one_segment_of_the_path(stub: StubApi, footnote: Footnote) -> None:
    stub.on("GET", f"{PATH}/papers", Reply(collection()))
    assert footnote("collections", "show", "papers", "--json").json == collection()
    counts = {"documents": 2, "chunks": 9, "pages": 0}
    receipt = {"collection_id": "col_1", "name": "papers", "deleted_at": "2026-11-21T02:00:00Z", "counts": counts}
    stub.on("DELETE", f"{PATH}/col_1", Reply(receipt))
    assert footnote("collections", "delete", "col_1").out == "deleted  papers  col_1  2 documents, 9 chunks\n"
    task = {"id": "tsk_1", "kind": "collection.delete", "subject_id": "col_1", "status": "queued"}
    steps = [task | {"status": status, "progress": {"done": done, "total": 2}} for status, done in STEPS]
    stub.on("DELETE", f"{PATH}/papers", Reply(steps[0], status=202))
    stub.on("GET", "/v1/tasks/tsk_1", *map(Reply, steps[1:]))
    assert footnote("collections", "delete", "papers").out == "deleted  papers  col_1  2 documents, 9 chunks\n"
    assert len(stub.to("GET", "/v1/tasks/tsk_1")) == 2, "it waits until the task is completed"
    stub.on("GET", f"{PATH}/a%2Fb", problem(404, "collection_not_found", "There is none."))
    refused = footnote("collections", "show", "a/b")
    assert (refused.code, "There is none." in refused.err) == (1, True)
