"""Encodings: declared ones as browsers read them, undeclared ones by how well they read."""

import base64
from pathlib import Path

import pytest

from footnote.errors import Invalid
from footnote.formats import Guess, ParsedPage, paginate
from footnote.formats.markup import html
from footnote.formats.plain import delimited, eml
from footnote.formats.plain._charsets import codec_of
from footnote.formats.plain.txt import decode, guesses
from footnote.formats.sniffing import sniff
from footnote.ingest.report import Tally, warnings

GERMAN = "Der Wärter prüft täglich das Öl, weil größere Schiffe auf das Licht angewiesen sind. Es ist nötig."
CZECH = "Strážce majáku každý večer rozsvítí lampu a zapíše směr větru, výšku hladiny a množství oleje."
POLISH = "Każdej zimy łódź z zaopatrzeniem przypływała później, więc latarnik oszczędzał świece i węgiel."
HUNGARIAN = "A toronyőr minden este följegyzi a víz állását, a szél erősségét és az olaj mennyiségét, ha győzi."
TURKISH = "Fener bekçisi her akşam lambayı yakar, rüzgârın yönünü ve yağ miktarını deftere yazar, çünkü gereklidir."
RUSSIAN = "Каждый вечер смотритель зажигает лампу и записывает высоту воды, направление ветра и расход масла."
UKRAINIAN = "Щовечора доглядач запалює лампу й записує висоту води, напрямок вітру та кількість олії, її ціну."
GREEK = "Κάθε βράδυ ο φύλακας ανάβει τη λάμπα και σημειώνει το ύψος του νερού και την κατεύθυνση του ανέμου."
FRENCH = "L'été dernier, une tempête a détruit la jetée où l'on débarquait déjà des réserves ; ça s'était vu."
SPANISH = "¿Dónde está la campana que sonó mañana y tarde? El farero más pequeño no podrá oír el cañón."
WRITTEN = {
    GERMAN: ["cp1252", "cp850", "mac_roman", "utf-8"],
    FRENCH: ["cp1252", "cp850", "mac_roman"],
    SPANISH: ["cp1252", "cp850", "mac_roman"],
    CZECH: ["cp1250", "iso8859-2", "cp852", "mac_latin2"],
    POLISH: ["cp1250", "iso8859-2", "cp852", "mac_latin2"],
    HUNGARIAN: ["cp1250", "iso8859-2", "cp852"],
    TURKISH: ["cp1254", "cp857"],
    RUSSIAN: ["cp1251", "koi8-r", "iso8859-5", "cp866", "mac_cyrillic"],
    UKRAINIAN: ["cp1251", "koi8-u", "iso8859-5"],
    GREEK: ["cp1253", "iso8859-7", "cp737"],
    "毎日、水位と風向きと油の残量を帳簿に記録しています。霧の夜は光が見えません。": ["cp932", "euc_jp", "iso2022_jp"],
    "看守人每天都要记录水位、风向和油的用量。浓雾会把光完全遮住。": ["gb18030", "utf-16-le"],
    "看守人每天都要記錄水位、風向和油的用量。濃霧會把光完全遮住。": ["big5hkscs"],
    "매일 수위와 바람의 방향과 기름의 양을 기록합니다. 안개가 끼면 보이지 않습니다.": ["cp949"],
    "בכל ערב השומר מדליק את המנורה ורושם את גובה המים ואת כיוון הרוח.": ["cp1255", "utf-16-be"],
}
MATRIX = [(text, encoding) for text, encodings in WRITTEN.items() for encoding in encodings]


@pytest.mark.parametrize(("text", "encoding"), MATRIX, ids=lambda each: each[:12])
def test_undeclared_text_is_read_in_every_format(text: str, encoding: str, tmp_path: Path) -> None:
    assert decode(text.encode(encoding)) == text
    table = f"number;remark\n1;{text.replace(';', ',')}\n2;{text.replace(';', ',')}\n"
    (tmp_path / "x.csv").write_bytes(table.encode(encoding))
    assert text.replace(";", ",") in "".join(block.text for block in delimited.parse(tmp_path / "x.csv"))
    if not encoding.startswith(("utf-16", "iso2022")):
        (tmp_path / "x.html").write_bytes(f"<html><p>{text}</p></html>".encode(encoding))
        assert "".join(block.text for block in html.parse(tmp_path / "x.html")).strip() == text
        head = b"Subject: log\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n\n"
        (tmp_path / "x.eml").write_bytes(head + text.encode(encoding))
        assert text in "".join(block.text for block in eml.parse(tmp_path / "x.eml"))


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"), ("us-ascii", "cp1252"), ("latin1", "cp1252"), ("iso-8859-9", "cp1254"),
        ("shift_jis", "cp932"), ("Windows-31J", "cp932"), ("gb2312", "gb18030"), ("GBK", "gb18030"),
        ("ks_c_5601-1987", "cp949"), ("euc-kr", "cp949"), ("big5", "big5hkscs"), ("tis-620", "cp874"),
        ("iso-8859-11", "cp874"), ("utf-16", "utf-16-le"), ("unicodeFFFE", "utf-16-be"), ("x-user-defined", "cp1252"),
        ("iso-8859-8-i", "iso8859-8"), ("koi8-ru", "koi8-u"), ("visual", "iso8859-8"), ("x-sjis", "cp932"),
        (" \"UTF8\" ", "utf-8"), ("windows1250", "cp1250"), ("cp-850", "cp850"), ("x-mac-ce", "mac_latin2"),
        ("utf8-wrong-name", None), ("unknown-8bit", None), ("rot13", None), ("unicode_escape", None), ("", None),
    ],
)  # fmt: skip
def test_labels_mean_what_they_mean_to_browsers(label: str, codec: str | None) -> None:
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("label", "data", "text"),
    [
        ("iso-8859-1", b"\x80 45 \x96 caf\xe9\x81", "€ 45 – café\x81"),
        ("shift_jis", "①㈱髙橋".encode("cp932"), "①㈱髙橋"),
        ("euc-jp", b"\xad\xa1\xad\xea\xc4\xcc", "①㈱通"),
        ("iso-2022-jp", b"\x1b$B-!-jDL\x1b(B no. 1", "①㈱通 no. 1"),
        ("gb2312", "王喆 镕".encode("gbk"), "王喆 镕"),
        ("euc-kr", "똠방각하".encode("cp949"), "똠방각하"),
        ("windows-1252", "Größe".encode(), "Größe"),
        ("utf-8", "Größe, Öl, Fähre".encode("cp1252"), "Größe, Öl, Fähre"),
        ("big5", "中".encode("big5") * 30 + b"\xff" + "文".encode("big5") * 30, "中" * 30 + "\ufffd" + "文" * 30),
    ],
)
def test_declared_charsets_are_read_as_browsers_do(label: str, data: bytes, text: str) -> None:
    assert decode(data, label) == text


@pytest.mark.parametrize(
    "head",
    [
        b'<html><meta http-equiv=Content-Type content="text/html; charset=iso-8859-2">',
        b"<?xml version='1.0' encoding='ISO-8859-2'?><a>",
        b"#!/bin/sh\n# -*- coding: latin2 -*-\n# ",
        b'@charset "iso-8859-2"; /*',
    ],
)
def test_a_text_may_say_its_encoding_itself(head: bytes) -> None:
    with guesses() as guessed:
        assert decode(head + "šíp".encode("iso8859-2")).endswith("šíp")
    assert guessed == []


def test_utf8_with_damage_stays_utf8() -> None:
    text = f"{RUSSIAN}\n{CZECH}\n" * 5
    damaged = text.encode()[:201] + b"\xff" + text.encode()[202:]
    assert decode(damaged).replace("\ufffd", "").startswith(RUSSIAN[:90])
    assert decode(text.encode()[:-2] + "ž".encode()[:1]).startswith(text[:-3])


def test_headers_and_names_of_a_message(tmp_path: Path) -> None:
    whole = "①㈱髙橋の納品".encode("cp932")
    words = b"\r\n ".join(b"=?shift_jis?B?" + base64.b64encode(part) + b"?=" for part in (whole[:5], whole[5:]))
    source = (
        b"Subject: "
        + words
        + b"\r\nFrom: =?gb2312?B?"
        + base64.b64encode("王喆, 镕".encode("gbk"))
        + b"?= <a@b.example>"
        b"\r\nTo: M\xfcller <m@b.example>\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: text/plain; charset=ks_c_5601-1987\r\n\r\n"
        + "똠방각하 펲시콜라".encode("cp949")
        + b"\r\n--x\r\n"
        b"Content-Disposition: attachment; filename*=iso-8859-1''%80%96.csv\r\n\r\na,b\r\n--x--\r\n"
    )
    path = tmp_path / "x.eml"
    path.write_bytes(source)
    (page,) = paginate(eml.parse(path))
    assert page.text == (
        'Subject: ①㈱髙橋の納品\nFrom: "王喆, 镕" <a@b.example>\nTo: Müller <m@b.example>\n'
        "Attached: €–.csv\n\n똠방각하 펲시콜라"
    )


def test_a_guess_is_told_with_its_confidence() -> None:
    with guesses() as guessed:
        decode(POLISH.encode("iso8859-2"))
        decode("Größe".encode("cp1252"))
        decode(POLISH.encode())
    polish, short = guessed
    assert polish.encoding == "iso8859-2"
    assert polish.confidence > 0.8
    assert short.confidence < 0.7
    tally = Tally()
    tally.add(ParsedPage(1, "text", guesses=(polish,)), [])
    (warned,) = warnings(tally.counts())
    assert warned.code == "encoding_guessed"
    assert f"iso8859-2 (confidence {polish.confidence:.2f})" in warned.message
    assert "low" not in warned.message
    tally.add(ParsedPage(2, "text", guesses=(Guess("cp1252", 0.4), short)), [])
    assert "cp1252 (confidence 0.40). The confidence is low" in warnings(tally.counts())[0].message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [RUSSIAN, GREEK, "浓雾可能会把光完全遮住。看守人在日落时点亮灯。", GERMAN])
def test_wide_text_without_a_mark_is_read(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert sniff(data, "x.txt") == "text/plain"
    assert decode(data) == text


@pytest.mark.parametrize("data", [b"one\0two\0three\0" * 9, b"head" + bytes(90) + b"rest of the text"])
def test_a_text_full_of_nuls_is_refused_for_its_encoding(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        sniff(data, "x.csv")
    assert caught.value.code == "bad_encoding"
