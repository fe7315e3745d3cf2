import hashlib
from email import message_from_bytes
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Asked, Footnote, Reply, StubApi, document, job, problem

DOCUMENTS = "/v1/documents"


class Kept:
    """The documents of a server that makes everything ready at once."""

    def __init__(self, stub: StubApi) -> None:
        self.stub = stub
        self.documents: dict[str, dict[str, Any]] = {}
        self.sent: list[str] = []
        self._numbers = count()
        stub.on("GET", DOCUMENTS, lambda _: Reply({"data": list(self.documents.values()), "next_cursor": None}))
        stub.on("POST", DOCUMENTS, self._post)

    def _post(self, asked: Asked) -> Reply:
        header = f"Content-Type: {asked.headers['content-type']}\n\n"
        form: Any = message_from_bytes(header.encode() + asked.body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
        content: bytes = parts["file"].get_payload(decode=True)
        external_id = parts["external_id"].get_payload()
        document_id = f"doc_{next(self._numbers)}"
        self.sent.append(external_id)
        sha256 = hashlib.sha256(content).hexdigest()
        name = Path(external_id).name
        self.add(document_id, external_id, filename=name, bytes=len(content), sha256=sha256)
        body = {"document": self.documents[document_id], "job": job(), "deduplicated": False}
        return Reply(body, 202)

    def add(self, document_id: str, external_id: str | None, **more: Any) -> None:
        self.documents = {key: each for key, each in self.documents.items() if each["external_id"] != external_id}
        given = {"status": "ready", "pages": 1, "chunks": 1, **more}
        self.documents[document_id] = document(document_id, external_id=external_id, **given)

        def delete(_: Asked) -> Reply:
            del self.documents[document_id]
            return Reply({"document_id": document_id, "deleted_at": "2026-11-21T02:00:00Z", "counts": {"chunks": 1}})

        self.stub.on("DELETE", f"{DOCUMENTS}/{document_id}", delete)


@pytest.fixture
def kept(stub: StubApi) -> Kept:
    return Kept(stub)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.md").write_text("# A\n")
    (folder / "deep" / "b.txt").write_text("B\n")
    (folder / "c.xyz").write_text("?")
    return folder


def test_a_folder_is_sent_once(kept: Kept, footnote: Footnote, notes: Path) -> None:
    ran = footnote("sync", str(notes))
    assert ran.code == 0, ran.err
    assert sorted(kept.sent) == ["sync/notes/a.md", "sync/notes/deep/b.txt"]
    again = footnote("sync", str(notes))
    assert (again.code, len(kept.sent)) == (0, 2)
    assert "2 unchanged, 0 sent, 0 deleted." in again.out


def test_only_what_changed_is_sent_and_what_is_gone_deleted(kept: Kept, footnote: Footnote, notes: Path) -> None:
    footnote("sync", str(notes))
    kept.add("doc_other", "sync/others/x.md")
    kept.add("doc_plain", None)
    kept.sent.clear()
    (notes / "a.md").write_text("# B\n")  # of the same length
    (notes / "deep" / "b.txt").unlink()
    (notes / "new.md").write_text("New.\n")
    ran = footnote("sync", str(notes), "--json")
    assert ran.code == 0, ran.err
    assert sorted(kept.sent) == ["sync/notes/a.md", "sync/notes/new.md"]
    assert (len(ran.json["data"]), len(ran.json["deleted"]), ran.json["unchanged"]) == (2, 1, 0)
    left = {each["external_id"] for each in kept.documents.values()}
    assert left == {"sync/notes/a.md", "sync/notes/new.md", "sync/others/x.md", None}


def test_a_dry_run_does_nothing(kept: Kept, footnote: Footnote, notes: Path) -> None:
    kept.add("doc_old", "sync/notes/old.md", filename="old.md")
    ran = footnote("sync", str(notes), "--dry-run")
    assert ran.code == 0
    assert "would send" in ran.out
    assert "would delete  old.md  doc_old" in ran.out
    assert (kept.sent, list(kept.documents)) == ([], ["doc_old"])


def test_what_is_gone_may_be_kept(kept: Kept, footnote: Footnote, notes: Path) -> None:
    kept.add("doc_old", "sync/notes/old.md")
    assert footnote("sync", str(notes), "--keep").code == 0
    assert "doc_old" in kept.documents


def test_an_empty_folder_empties_its_documents(kept: Kept, footnote: Footnote, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    kept.add("doc_old", "sync/notes/old.md")
    ran = footnote("sync", "notes")
    assert (ran.code, kept.documents) == (0, {}), ran.err


def test_a_document_that_failed_is_sent_again(kept: Kept, footnote: Footnote, notes: Path) -> None:
    footnote("sync", str(notes))
    for each in kept.documents.values():
        each["status"] = "failed"
    kept.sent.clear()
    footnote("sync", str(notes))
    assert len(kept.sent) == 2


def test_a_new_collection_is_no_error(kept: Kept, stub: StubApi, footnote: Footnote, notes: Path) -> None:
    stub.on("GET", DOCUMENTS, problem(404, "collection_not_found", "There is no collection 'new'."))
    ran = footnote("sync", str(notes), "--collection", "new")
    assert (ran.code, len(kept.sent)) == (0, 2), ran.err


def test_a_folder_that_is_not_there_is_wrong_usage(kept: Kept, footnote: Footnote) -> None:
    assert footnote("sync", "nowhere").code == 2


def test_documents_are_deleted_with_a_receipt(kept: Kept, footnote: Footnote) -> None:
    kept.add("doc_1", None)
    kept.add("doc_2", "other")
    ran = footnote("delete", "doc_1", "doc_2")
    assert (ran.code, kept.documents) == (0, {})
    assert "deleted  doc_1  1 chunks" in ran.out


def test_deleting_what_is_not_there_is_an_error(kept: Kept, stub: StubApi, footnote: Footnote) -> None:
    stub.on("DELETE", f"{DOCUMENTS}/doc_9", problem(404, "document_not_found", "There is no document 'doc_9'."))
    ran = footnote("delete", "doc_9")
    assert (ran.code, "There is no document 'doc_9'." in ran.err) == (1, True)
