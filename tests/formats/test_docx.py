import io
import zipfile
from pathlib import Path

import docx as python_docx
import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.office import _package, docx
from tests import SAMPLES
from tests.formats.containers import ole2

BODY = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{}</w:body></w:document>'


def page_of(path: Path) -> ParsedPage:
    (page,) = paginate(docx.parse(path))
    return page


def write(path: Path, body: str, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", BODY.format(body))
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_headings_lists_and_tables() -> None:
    page = page_of(SAMPLES / "boats.docx")
    sections = {section.heading: page.text[section.start : section.end] for section in page.sections}
    assert list(sections) == [("Boat orders",), ("Boat orders", "Signing out"), ("Boat orders", "The boats")]
    assert "- Two oars and a spare\n- A bailer\n- A lamp" in sections["Boat orders", "Signing out"]
    assert "boat | length | crew\nKittiwake | 4.2 metres | 2\n" in sections["Boat orders", "The boats"]


def test_text_in_wrappers_is_read_once(tmp_path: Path) -> None:
    body = (
        paragraph("Top", '<w:outlineLvl w:val="0"/>')
        + "<w:sdt><w:sdtContent>" + paragraph("in a content control") + "</w:sdtContent></w:sdt>"
        + "<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        + "<w:r><w:tab/><w:t>rain</w:t><w:noBreakHyphen/><w:t>water</w:t></w:r></w:p>"
        + "<w:tbl><w:tr><w:tc>" + paragraph("a") + paragraph("b") + "</w:tc><w:tc>"
        + "<w:tbl><w:tr><w:tc>" + paragraph("inner") + "</w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>"
    )  # fmt: skip
    page = page_of(write(tmp_path / "x.docx", body))
    assert page.text == "Top\n\nin a content control\n\nnew\train-water\n\na b | inner"
    assert [section.heading for section in page.sections] == [("Top",)]


def test_footnotes_are_read(tmp_path: Path) -> None:
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes" Target="notes.xml"/>'
        "</Relationships>"
    )
    notes = BODY.format(paragraph("A note.")).replace("w:document", "w:footnotes").replace("w:body", "w:footnote")
    members = {"word/_rels/document.xml.rels": relations.encode(), "word/notes.xml": notes.encode()}
    page = page_of(write(tmp_path / "x.docx", paragraph("Text."), **members))
    assert page.text == "Text.\n\nA note."
    assert page.sections[1].heading == ("Footnotes",)


def rejected(path: Path) -> str:
    with pytest.raises(DocumentRejected) as caught:
        list(docx.parse(path))
    return caught.value.code


def test_damaged_files(tmp_path: Path) -> None:
    whole = (SAMPLES / "boats.docx").read_bytes()
    path = tmp_path / "x.docx"
    path.write_bytes(whole[: len(whole) // 2])
    assert rejected(path) == "corrupt_file"
    damaged = bytearray(whole)
    where = whole.index(b"word/document.xml") + 60
    damaged[where : where + 200] = bytes(200)
    path.write_bytes(damaged)
    assert rejected(path) == "corrupt_file"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.xml", "<a/>")
    assert rejected(path) == "type_mismatch"


def test_entities_are_not_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    document = f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{secret}">]>' + BODY.format(paragraph("before &x; after"))
    path = tmp_path / "x.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", document)
    assert "top secret" not in "".join(page.text for page in paginate(docx.parse(path)))


def test_password_protected_and_old_files(tmp_path: Path) -> None:
    path = tmp_path / "x.docx"
    path.write_bytes(ole2({"EncryptedPackage": b"secret"}))
    assert rejected(path) == "encrypted"
    path.write_bytes(ole2({"WordDocument": b"text"}))
    assert rejected(path) == "unsupported_type"


def test_archives_that_expand_too_far(tmp_path: Path) -> None:
    path = write(tmp_path / "ratio.docx", "", bomb=bytes(20 * 1024 * 1024))
    assert rejected(path) == "archive_too_large"
    many = {f"m{number}": b"" for number in range(_package.MAX_MEMBERS)}
    assert rejected(write(tmp_path / "many.docx", "", **many)) == "archive_too_large"


def test_heading_styles_are_inherited(tmp_path: Path) -> None:
    document = python_docx.Document()
    style = document.styles.add_style("Chapter", 1)
    style.base_style = document.styles["Heading 2"]
    document.add_paragraph("The title", style="Title")
    document.add_paragraph("Part", style="Heading 1")
    document.add_paragraph("A chapter", style="Chapter")
    document.add_paragraph("Text.")
    out = io.BytesIO()
    document.save(out)
    path = tmp_path / "x.docx"
    path.write_bytes(out.getvalue())
    assert page_of(path).sections[-1].heading == ("The title", "Part", "A chapter")
