"""`winmail.dat`: the text and the files that Outlook packs into one attachment."""

import struct
from email.message import EmailMessage
from pathlib import Path

import pytest

from footnote.formats import ParsedPage, paginate
from footnote.formats.plain import eml
from footnote.formats.plain._tnef import decompressed, unpack_tnef

BODY = "The barge arrives on Thursday at pier nine."
PLAN = b"Cargo plan: forty barrels of whale oil."
# The first example of [MS-OXRTFCP], section 4.1.
RTF = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)


def item(level: int, name: int, data: bytes) -> bytes:
    return struct.pack("<BIi", level, name, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def properties(*each: tuple[int, int, bytes]) -> bytes:
    out = struct.pack("<I", len(each))
    for kind, name, data in each:
        out += struct.pack("<HH", kind, name)
        if name >= 0x8000:
            out += bytes(16) + struct.pack("<II", 1, 6) + "ab\0".encode("utf-16-le") + bytes(2)
        out += data if kind in {0x03, 0x0B} else struct.pack("<II", 1, len(data)) + data + bytes(-len(data) % 4)
    return out


def text(words: str) -> bytes:
    return words.encode("utf-16-le") + b"\0\0"


def attachment(name: bytes, data: bytes, *described: tuple[int, int, bytes]) -> bytes:
    made = item(2, 0x69002, bytes(14)) + item(2, 0x18010, name + b"\0") + item(2, 0x6800F, data)
    return made + (item(2, 0x69005, properties(*described)) if described else b"")


def tnef(*items: bytes) -> bytes:
    return b"\x78\x9f\x3e\x22\x01\x00" + item(1, 0x89006, b"\0\0\1\0") + b"".join(items)


PLAIN = tnef(item(1, 0x2800C, BODY.encode() + b"\0"), attachment(b"PLAN.TXT", PLAN))


def mail(
    path: Path, packed: bytes, words: str = "", kind: str = "application/ms-tnef", name: str = "winmail.dat"
) -> tuple[ParsedPage, dict[str, bytes]]:
    message = EmailMessage()
    message["Subject"] = "Delivery"
    message.set_content(words)
    maintype, subtype = kind.split("/")
    message.add_attachment(packed, maintype=maintype, subtype=subtype, filename=name)
    path.write_bytes(message.as_bytes())
    (page,) = paginate(eml.parse(path))
    return page, {name: b"".join(pieces) for name, pieces in eml.unpack(path)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.eml"


@pytest.mark.parametrize("kind", ["application/ms-tnef", "application/octet-stream"])
def test_body_and_files(path: Path, kind: str) -> None:
    page, files = mail(path, PLAIN, kind=kind)
    assert BODY in page.text
    assert "Attached: PLAN.TXT" in page.text
    assert files == {"PLAN.TXT": PLAN}
    assert page.notes == {}


@pytest.mark.parametrize("name", ["winmail(1).dat", "ATT00001.DAT"])
def test_packages_that_were_renamed(path: Path, name: str) -> None:
    page, files = mail(path, PLAIN, kind="application/octet-stream", name=name)
    assert BODY in page.text
    assert files == {"PLAN.TXT": PLAN}
    page, files = mail(path, b"other data", kind="application/octet-stream", name=name)
    assert files == {name: b"other data"}


def test_a_body_that_the_message_has_too_is_said_once(path: Path) -> None:
    page, _ = mail(path, PLAIN, BODY)
    assert page.text.count(BODY) == 1


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ([(0x1F, 0x1000, text(BODY))], BODY),
        ([(0x03, 0x8005, bytes(4)), (0x1E, 0x1000, BODY.encode())], BODY),
        ([(0x102, 0x1013, b"<p>H\xe4user</p>"), (0x03, 0x3FDE, struct.pack("<I", 1252))], "Häuser"),
        ([(0x102, 0x1009, RTF)], "hello world"),
    ],
)
def test_where_the_body_may_be(path: Path, described: list[tuple[int, int, bytes]], words: str) -> None:
    page, _ = mail(path, tnef(item(1, 0x69003, properties(*described))))
    assert words in page.text
    assert page.notes == {}


def test_long_names_hidden_pictures_and_messages_within(path: Path, tmp_path: Path) -> None:
    inner = bytes.fromhex("0703020000000000c000000000000046") + PLAIN
    _, files = mail(
        path,
        tnef(
            attachment(b"LONGNA~1.TXT", PLAN, (0x1F, 0x3707, text("long näme.txt"))),
            attachment(b"LOGO.PNG", b"png", (0x0B, 0x7FFE, struct.pack("<I", 1))),
            attachment(b"FWD", b"", (0x0D, 0x3701, inner)),
        ),
    )
    assert list(files) == ["long näme.txt", "FWD.eml"]
    (tmp_path / "inner.eml").write_bytes(files["FWD.eml"])
    (page,) = paginate(eml.parse(tmp_path / "inner.eml"))
    assert BODY in page.text
    assert [name for name, _ in eml.unpack(tmp_path / "inner.eml")] == ["PLAN.TXT"]


def test_the_compressed_form_of_rich_text() -> None:
    assert decompressed(RTF) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert decompressed(RTF[:8] + b"MELA" + RTF[12:16] + b"plain words") == b"plain words"
    for damaged in (b"", RTF[:8] + b"????" + RTF[12:]):
        with pytest.raises(ValueError, match=r"."):
            decompressed(damaged)


def test_whatever_is_cut_off_or_wrong_is_read_as_far_as_it_goes(path: Path) -> None:
    whole = tnef(
        item(1, 0x2800C, BODY.encode()),
        item(1, 0x69003, properties((0x102, 0x1009, RTF), (0x1F, 0x0037, text("Delivery")))),
        attachment(b"PLAN.TXT", PLAN, (0x1F, 0x3707, text("plan.txt"))),
    )
    for end in range(4, len(whole)):
        unpack_tnef(whole[:end])
    for place in range(6, len(whole)):
        unpack_tnef(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :])
    page, _ = mail(path, whole[:-40])
    assert BODY in page.text
    assert page.notes["packed_damaged"] == 1


def test_a_file_of_that_name_that_is_none_stays_attached(path: Path) -> None:
    _, files = mail(path, b"no such thing", "Words.")
    assert files == {"winmail.dat": b"no such thing"}
