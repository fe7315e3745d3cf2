import base64
from email.message import EmailMessage
from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, paginate
from footnote.formats.plain import eml
from tests import SAMPLES

FRENCH = "Le gardien a repêché une bouée près de la côte ; la mer est belle et le ciel dégagé."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.eml"


def page_of(path: Path, content: bytes = b"") -> ParsedPage:
    if content:
        path.write_bytes(content)
    (page,) = paginate(eml.parse(path))
    return page


def files_of(path: Path) -> list[tuple[str, bytes]]:
    return [(name, b"".join(pieces)) for name, pieces in eml.unpack(path)]


def test_headers_text_and_what_is_attached() -> None:
    page = page_of(SAMPLES / "complaint.eml")
    assert page.text == (
        "Subject: Lamp glass\nFrom: Søren Ågård <keeper@skerrow.example>\nTo: stores@invermarra.example\n"
        "Date: Mon, 13 Mar 1911 08:00:00 +0000\nAttached: glass.csv\n\nThe glass of 12 March was cracked on arrival."
    )
    assert page.sections[0].heading == ("Lamp glass",)
    assert files_of(SAMPLES / "complaint.eml") == [("glass.csv", b"glass,price\nchimney,4\n")]


def test_html_is_read_where_the_plain_text_is_empty(path: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "Relief"
    message.set_content(" \n")
    message.add_alternative(
        "<h1>Boat</h1><p>Leaves at <b>six</b>.<style>p {}</style>", subtype="html", charset="cp1252"
    )
    page = page_of(path, message.as_bytes())
    assert page.text == "Subject: Relief\n\nBoat\n\nLeaves at six."
    assert page.sections[-1].heading == ("Relief", "Boat")


def test_texts_between_pictures_are_all_read(path: Path) -> None:
    message = EmailMessage()
    message.set_content("Before.")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", disposition="inline", filename="rock.png")
    message.add_attachment("After.", disposition="inline")
    assert page_of(path, message.as_bytes()).text == "Attached: rock.png\n\nBefore.\n\nAfter."
    assert files_of(path) == [("rock.png", b"\x89PNG")]


def test_pictures_within_a_text_are_not_attached(path: Path) -> None:
    message = EmailMessage()
    message.set_content("<p>Look <img src='cid:one'>", subtype="html")
    message.add_related(b"\x89PNG", maintype="image", subtype="png", cid="<one>")
    assert page_of(path, message.as_bytes()).text == "Look"
    assert files_of(path) == []


def test_forwarded_messages_are_attached(path: Path) -> None:
    inner, outer = EmailMessage(), EmailMessage()
    inner["Subject"] = "First order"
    inner.set_content("Two lamps.")
    outer.set_content("See below.")
    outer.add_attachment(inner)
    assert page_of(path, outer.as_bytes()).text == "Attached: First order.eml\n\nSee below."
    ((name, content),) = files_of(path)
    assert name == "First order.eml"
    assert b"Two lamps." in content
    assert page_of(path, content).text == "Subject: First order\n\nTwo lamps."


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Subject: a\nFrom: =?broken\nDate: never\n\nText.", "Subject: a\nFrom: =?broken\nDate: never\n\nText."),
        (f"Subject: a\nContent-Type: text/plain; charset=nonsense\n\n{FRENCH}", f"Subject: a\n\n{FRENCH}"),
        ("Subject: a\nContent-Type: text/plain; charset=cp1251\n\n\xd1\xe2\xe5\xf2.", "Subject: a\n\nСвет."),
        ("\n\nSubject: =?utf-8?b?w4k=?=\n\n", "Subject: É"),
    ],
)
def test_what_is_not_as_it_should_be(path: Path, source: str, text: str) -> None:
    assert page_of(path, source.encode("latin-1")).text == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_other_encodings_of_the_whole(path: Path, encoding: str) -> None:
    source = "Subject: A long enough subject line\nContent-Type: text/plain; charset=utf-8\n\nText."
    assert page_of(path, source.encode(encoding)).text == "Subject: A long enough subject line\n\nText."


@pytest.mark.parametrize(
    "kind", ["multipart/encrypted; boundary=x", "application/pkcs7-mime; smime-type=enveloped-data"]
)
def test_encrypted_messages_are_refused(path: Path, kind: str) -> None:
    path.write_text(f"Subject: a\nContent-Type: {kind}\n\n{base64.b64encode(b'secret').decode()}\n")
    with pytest.raises(DocumentRejected, match="encrypted"):
        list(eml.parse(path))


def test_too_many_files_are_refused_before_the_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eml, "MAX_FILES", 1)
    message = EmailMessage()
    for number in range(2):
        message.add_attachment(b"x", maintype="image", subtype="png", filename=f"{number}.png")
    path.write_bytes(message.as_bytes())
    with pytest.raises(DocumentRejected, match="archive_too_large"):
        next(eml.unpack(path))
