import time
import zipfile

import pytest

from footnote.errors import FootnoteError, Invalid, Unsupported
from footnote.formats.sniffing import DOCX, HEAD_BYTES, sniff
from tests import SAMPLES
from tests.formats import containers
from tests.formats.containers import ole2

OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
XLS = "application/vnd.ms-excel"
EPUB = "application/epub+zip"
ODT = "application/vnd.oasis.opendocument.text"


def archive(*names: str) -> bytes:
    return containers.archive(dict.fromkeys(names, "content"))


def declared(media_type: str, method: int = zipfile.ZIP_STORED) -> bytes:
    return containers.archive({"mimetype": media_type}, method) + archive("content.xml")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("handbook.pdf", "application/pdf"),
        ("boats.docx", DOCX),
        ("weather.md", "text/markdown"),
        ("visitors.html", "text/html"),
        ("log_utf8.txt", "text/plain"),
        ("log_cp1252.txt", "text/plain"),
        ("log_utf16.txt", "text/plain"),
        ("make_samples.py", "text/plain"),
        ("questions.jsonl", "application/x-ndjson"),
        ("tides.csv", "text/csv"),
        ("signals.rst", "text/x-rst"),
        ("complaint.eml", "message/rfc822"),
    ],
)
def test_samples(name: str, media_type: str) -> None:
    assert sniff((SAMPLES / name).read_bytes()[:HEAD_BYTES], name) == media_type


@pytest.mark.parametrize(
    ("head", "name", "media_type"),
    [
        (b"junk before\n%PDF-1.7\n", "x.pdf", "application/pdf"),
        (b"%PDF-1.7\n", "named.docx", "application/pdf"),
        (b"\r\n%PDF-1.7\n", "x.txt", "application/pdf"),
        (bytes(64) + b"%PDF-1.7\n", "x", "application/pdf"),
        (containers.archive({"a.pdf": b"%PDF-1.7\n"}, zipfile.ZIP_STORED), "x.zip", "application/zip"),
        (containers.archive({"a.pdf": b"%PDF-1.7\n"}, zipfile.ZIP_STORED), "x", "application/zip"),
        (b"A PDF begins with `%PDF-1.7`.", "notes.md", "text/markdown"),
        (b"A PDF begins with `%PDF-1.7`.", "notes", "text/plain"),
        (archive("[Content_Types].xml", "word/document.xml"), "x", DOCX),
        (archive("[Content_Types].xml", "docProps/thumbnail.jpeg"), "x.docx", DOCX),
        (archive("[Content_Types].xml", "docProps/thumbnail.jpeg"), "x.pptx", PPTX),
        (archive("_rels/.rels", "ppt/slides/slide1.xml", "word/a.xml"), "x.docx", PPTX),
        (archive("[content_types].xml", "XL\\workbook.xml"), "x", XLSX),
        (archive("[Content_Types].xml", "xl/workbook.bin"), "x.xlsb", XLSB),
        (archive("[Content_Types].xml", "word/document.xml", "embedded/xl/workbook.xml"), "x.xlsx", DOCX),
        (declared("application/epub+zip"), "x.zip", EPUB),
        (declared("application/epub+zip", zipfile.ZIP_DEFLATED), "x", EPUB),
        (archive("OEBPS/one.xhtml", "META-INF/container.xml"), "x", EPUB),
        (archive("OEBPS/one.xhtml"), "late.epub", EPUB),
        (declared("application/vnd.oasis.opendocument.text"), "x.docx", ODT),
        (declared("application/vnd.oasis.opendocument.text-template"), "x", f"{ODT}-template"),
        (archive("readme.txt"), "x.zip", "application/zip"),
        (archive("readme.txt"), "x", "application/zip"),
        (OLE2, "locked.docx", DOCX),
        (OLE2, "late.xls", XLS),
        (ole2({"Workbook": b""}), "x", XLS),
        (ole2({"Workbook": b"", "WordDocument": b""}), "x.xlsx", XLS),
        (b" \n{\\rtf1 hello}", "x.doc", "application/rtf"),
        (b"<!DOCTYPE html><p>x", "page", "text/html"),
        (b"\n<!-- hi --> <html><p>x", "page.php", "text/html"),
        (b"<html><table><tr><td>1", "export.xls", "text/html"),
        (b"a\tb\n1\t2", "export.xls", "text/plain"),
        (b"<p>centred</p>\n# Title", "README.md", "text/markdown"),
        (b"<html> is a tag", "notes.txt", "text/plain"),
        (b"plain", "noextension", "text/plain"),
        ("naïve café".encode()[:-1], "cut.txt", "text/plain"),
        ("h\u00e9 text without mark".encode("utf-16-le"), "x.txt", "text/plain"),
        ("텍스트".encode("iso2022_kr") * 9, "x.txt", "text/plain"),
    ],
)
def test_content_decides(head: bytes, name: str, media_type: str) -> None:
    assert sniff(head, name) == media_type


@pytest.mark.parametrize(
    ("head", "name", "kind", "code", "says"),
    [
        (b"", "x.pdf", Invalid, "empty_file", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "x.pdf", Invalid, "type_mismatch", "PNG"),
        (b"<html>not found</html>", "x.pdf", Invalid, "type_mismatch", ".pdf"),
        (bytes(range(256)) * 4, "x.txt", Invalid, "type_mismatch", ".txt"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "x.png", Unsupported, "unsupported_type", ".docx"),
        (OLE2, "old.doc", Unsupported, "unsupported_type", "an old Word document (.doc). Save it as .docx"),
        (archive("[Content_Types].xml", "visio/document.xml"), "x", Unsupported, "unsupported_type", "Visio"),
        (archive("[Content_Types].xml", "visio/document.xml"), "x.docx", Invalid, "type_mismatch", "Visio"),
        (archive("[Content_Types].xml", "unknown/x.xml"), "x", Unsupported, "unsupported_type", "zip"),
        (archive("META-INF/MANIFEST.MF", "A.class"), "x.jar", Unsupported, "unsupported_type", "Java"),
        (declared("application/vnd.oasis.opendocument.graphics"), "x.odg", Unsupported, "unsupported_type", "(.odg)"),
        (declared("application/x-krita"), "x.odt", Invalid, "type_mismatch", "application/x-krita"),
        (
            ole2({"WordDocument": b""}),
            "x",
            Unsupported,
            "unsupported_type",
            "old Word document (.doc). Save it as .docx",
        ),
        (ole2({"WordDocument": b"", "Workbook": b""}), "x.docx", Invalid, "type_mismatch", "an old Word document"),
        (ole2({"PowerPoint Document": b""}), "x.ppt", Unsupported, "unsupported_type", ".pptx"),
        (ole2({"EncryptedPackage": b"", "EncryptionInfo": b""}), "x.docx", Invalid, "encrypted", "password"),
        (ole2({"EncryptedPackage": b"", "EncryptionInfo": b""}), "x", Invalid, "encrypted", "password"),
        (bytes(range(256)) * 4, "x.bin", Unsupported, "unsupported_type", ".md"),
    ],
)
def test_refusals(head: bytes, name: str, kind: type[FootnoteError], code: str, says: str) -> None:
    with pytest.raises(kind) as caught:
        sniff(head, name)
    assert caught.value.code == code
    assert says in caught.value.message


def test_a_file_of_nothing_but_comments_is_told_apart_in_no_time():
    started = time.process_time()
    assert sniff(b"<!---->" * 9000 + b"x", "a.foo") == "text/plain"
    assert time.process_time() - started < 1
