"""What is refused of an archive before and while it is read."""

import io
import resource
import struct
import zipfile
from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats.office import _package
from tests.formats.containers import archive, ole2


def rejected(tmp_path: Path, data: bytes, member: str = "a.xml") -> str:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(DocumentRejected) as caught, _package.opened(path) as opened:
        _package.read_xml(opened, member)
    return caught.value.code


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new)


def test_members_that_lead_out_or_are_locked(tmp_path: Path):
    assert rejected(tmp_path, archive({"a.xml": "<a/>", "../b": ""})) == "corrupt_file"
    whole = archive({"a.xml": "<a/>"}, zipfile.ZIP_STORED)
    locked = patched(whole, b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    assert rejected(tmp_path, locked) == "encrypted"


def test_only_the_usual_compression_is_unpacked(tmp_path: Path):
    assert rejected(tmp_path, archive({"a.xml": "<a/>"}, zipfile.ZIP_BZIP2)) == "corrupt_file"
    assert rejected(tmp_path, archive({"a.xml": "<a/>"}, zipfile.ZIP_LZMA)) == "corrupt_file"


def test_a_member_is_read_no_further_than_the_directory_says(tmp_path: Path):
    size = 100 * 1024 * 1024
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target, target.open("a.xml", "w") as member:
        for _ in range(size // 1024**2):
            member.write(bytes(1024**2))
    lying = patched(out.getvalue(), struct.pack("<I", size), struct.pack("<I", 1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert rejected(tmp_path, lying) == "corrupt_file"
    with pytest.raises(DocumentRejected, match="corrupt_file"), _package.opened(tmp_path / "x") as opened:
        _package.read_member(opened, "a.xml")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_pictures_do_not_count_and_what_expands_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_package, "MAX_BYTES", 100_000)
    path = tmp_path / "x"
    path.write_bytes(archive({"a.xml": "<a/>", "film": bytes(200_000)}, zipfile.ZIP_STORED))
    with _package.opened(path) as opened:
        assert _package.read_member(opened, "A.XML") == b"<a/>"
        with pytest.raises(DocumentRejected, match="archive_too_large"):
            _package.read_member(opened, "film")
    assert rejected(tmp_path, archive({"a.xml": "<a/>", "b": bytes(60_000), "c": bytes(60_000)})) == "archive_too_large"


def test_depth_and_entities_are_too_complex_rather_than_damaged(tmp_path: Path):
    assert rejected(tmp_path, archive({"a.xml": "<a>" * 300 + "</a>" * 300})) == "too_complex"
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]><a x="&e9;"/>'
    assert rejected(tmp_path, archive({"a.xml": bomb})) == "too_complex"
    assert rejected(tmp_path, archive({"a.xml": "<a><b></a>"})) == "corrupt_file"
    assert rejected(tmp_path, archive({"b.xml": "<a/>"})) == "corrupt_file"


def test_no_entity_is_resolved_and_no_address_fetched(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    path = tmp_path / "x"
    document = (
        f'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY s SYSTEM "file://{secret}">]><a><b>x&s;</b></a>'
    )
    path.write_bytes(archive({"a.xml": document}))
    with _package.opened(path) as opened:
        assert "".join(_package.read_xml(opened, "a.xml").itertext()) == "x&s;"
        assert [element.text for element in _package.stream_xml(opened, "a.xml", "b")] == ["x"]


def test_streamed_elements_are_gone_when_the_next_one_comes(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(archive({"a.xml": f"<a>{'<b>x</b>' * 1000}</a>"}))
    with _package.opened(path) as opened:
        assert {element.getparent().index(element) for element in _package.stream_xml(opened, "a.xml", "b")} == {0, 1}


def test_old_office_files_are_named(tmp_path: Path):
    path = tmp_path / "x"
    for stream, says in {"PowerPoint Document": ".ppt", "Workbook": ".xls", "Other": "old Office file"}.items():
        path.write_bytes(ole2({stream: b""}))
        with pytest.raises(DocumentRejected, match="unsupported_type") as caught, _package.opened(path):
            pass
        assert says in caught.value.message
