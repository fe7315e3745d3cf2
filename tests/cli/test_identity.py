"""How files are identified: edited, moved, copied, named from another folder, added and then synced."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from python_multipart.multipart import parse_options_header

from footnote.cli import identity
from tests.cli.conftest import Asked, Footnote, Reply, StubApi, accepted, document

Json = dict[str, Any]


class Store:
    """Documents by the rules of the API: an external id names one, and without it the bytes do."""

    def __init__(self, stub: StubApi) -> None:
        self.documents: list[Json] = []
        stub.on("GET", "/v1/documents", self.listed)
        stub.on("POST", "/v1/documents", self.uploaded)

    def listed(self, asked: Asked) -> Reply:
        wanted = {name: values[0] for name, values in asked.query.items() if name in ("external_id", "sha256")}
        found = [each for each in self.documents if all(each[name] == value for name, value in wanted.items())]
        return Reply({"data": found, "next_cursor": None})

    def uploaded(self, asked: Asked) -> Reply:
        fields = _fields(asked)
        external_id = fields.get("external_id", b"").decode() or None
        digest = hashlib.sha256(fields["file"]).hexdigest()
        named = ("external_id", external_id) if external_id else ("sha256", digest)
        known = next((each for each in self.documents if each[named[0]] == named[1]), None)
        if known is None:
            known = document(f"doc_{len(self.documents)}", external_id=external_id, version=0, status="ready")
            self.documents.append(known)
        same = known["version"] > 0 and known["sha256"] == digest
        known.update(sha256=digest, bytes=len(fields["file"]), version=known["version"] + (not same), chunks=1, pages=1)
        return accepted(**{**known, "document_id": known["id"], "deduplicated": same} | {"id": known["id"]})

    @property
    def versions(self) -> list[int]:
        return [each["version"] for each in self.documents]


def _fields(asked: Asked) -> dict[str, bytes]:
    boundary = parse_options_header(asked.headers["content-type"])[1][b"boundary"]
    found = {}
    for part in asked.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
        _, options = parse_options_header(head.split(b"\r\n")[0].partition(b":")[2])
        found[options[b"name"].decode()] = content
    return found


@pytest.fixture
def store(stub: StubApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Store(stub)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.md").write_text("first of a")
    (folder / "deep" / "b.md").write_text("first of b")
    return folder


@pytest.fixture
def add(footnote: Footnote) -> Callable[..., None]:
    def added(*arguments: str) -> None:
        ran = footnote("add", *arguments, "--json")
        assert ran.code == 0, ran.out + ran.err

    return added


def test_an_edited_file_is_a_new_version_from_wherever_it_is_named(
    store: Store, notes: Path, add: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(str(notes / "a.md"))
    (notes / "a.md").write_text("second of a")
    monkeypatch.chdir(notes)
    add("a.md")
    (notes / "a.md").write_text("third of a")
    monkeypatch.chdir(notes / "deep")
    add("../a.md")
    add("..")
    assert sorted(store.versions) == [1, 3]


def test_other_files_of_the_same_name_are_other_documents(
    store: Store, tmp_path: Path, add: Callable[..., None]
) -> None:
    for owner in ("mine", "yours"):
        (tmp_path / owner / "docs").mkdir(parents=True)
        (tmp_path / owner / "docs" / "readme.md").write_text(owner)
        add(str(tmp_path / owner / "docs"))
    assert store.versions == [1, 1]


def test_a_copy_and_a_moved_file_are_there_already(store: Store, notes: Path, add: Callable[..., None]) -> None:
    (notes / "copy.md").write_text("first of a")
    add(str(notes))
    assert store.versions == [1, 1]
    moved = notes.rename(notes.parent / "moved")
    add(str(moved))
    assert store.versions == [1, 1]
    (moved / "a.md").write_text("edited after the move")
    add(str(moved))
    assert store.versions == [1, 1, 1], "what is known by its place is a document of its own then"


def test_what_came_over_http_without_an_id_is_not_touched(store: Store, notes: Path, add: Callable[..., None]) -> None:
    digest = hashlib.sha256(b"first of a").hexdigest()
    store.documents.append(document("doc_http", sha256=digest, version=1, status="ready"))
    add(str(notes / "a.md"))
    assert store.versions == [1], "the same bytes"
    (notes / "a.md").write_text("second of a")
    add(str(notes / "a.md"))
    assert store.documents[0]["sha256"] == digest
    assert store.versions == [1, 1]


def test_add_and_then_sync_agree(store: Store, stub: StubApi, notes: Path, footnote: Footnote) -> None:
    assert footnote("add", str(notes)).code == 0
    (notes / "a.md").write_text("second of a")
    (notes / "c.md").write_text("first of c")
    ran = footnote("sync", str(notes))
    assert "1 unchanged, 2 sent, 0 deleted." in ran.out
    versions = {each["external_id"].rpartition("/")[2]: each["version"] for each in store.documents}
    assert versions == {"a.md": 2, "b.md": 1, "c.md": 1}
    (notes / "deep" / "b.md").unlink()
    gone = next(each["id"] for each in store.documents if each["external_id"].endswith("/b.md"))
    stub.on("DELETE", f"/v1/documents/{gone}", Reply({"document_id": gone, "counts": {}}))
    assert "2 unchanged, 0 sent, 1 deleted." in footnote("sync", str(notes)).out


def test_sync_and_then_add_agree(store: Store, notes: Path, footnote: Footnote, add: Callable[..., None]) -> None:
    assert footnote("sync", str(notes), "--name", "handbook").code == 0
    (notes / "a.md").write_text("second of a")
    (notes / "deep" / "b.md").write_text("second of b")
    add(str(notes / "a.md"), str(notes / "deep"))
    assert sorted(each["external_id"] for each in store.documents) == ["sync/handbook/a.md", "sync/handbook/deep/b.md"]
    assert store.versions == [2, 2]


def test_a_file_that_was_added_and_is_left_out_by_sync_stays(
    store: Store, notes: Path, footnote: Footnote, add: Callable[..., None]
) -> None:
    (notes / ".hidden.md").write_text("hidden")
    add(str(notes / ".hidden.md"))
    assert "2 sent, 0 deleted." in footnote("sync", str(notes)).out


def test_a_long_path_is_known_too(tmp_path: Path) -> None:
    names = {identity.of_file(tmp_path / ("d" * 200) / ("e" * 200) / ("f" * 200) / name) for name in ("a.md", "b.md")}
    assert len(names) == 2
    assert {len(name) for name in names} == {identity.LONGEST}


def test_lock_files_are_skipped_with_a_word(store: Store, notes: Path, footnote: Footnote) -> None:
    for name in ("~$a.docx", ".~lock.a.odt#", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (notes / name).write_text("x")
    for command in (("add", str(notes)), ("sync", str(notes))):
        ran = footnote(*command)
        assert ran.code == 0, ran.out
        assert ran.out.count("a lock file of a program that has the document open") == 2
        assert ran.out.count("a file of the operating system") == 3
    alone = footnote("add", str(notes / "~$a.docx"))
    assert (alone.code, "lock file" in alone.out) == (0, True)
    assert store.versions == [1, 1]
