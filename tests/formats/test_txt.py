import random
from pathlib import Path

import pytest

from footnote.errors import DocumentRejected
from footnote.formats import paginate
from footnote.formats.plain import txt
from tests import SAMPLES

FRENCH = "Le gardien a repêché une bouée près de la côte ; l'été, la mer est belle et le ciel dégagé."
RUSSIAN = "Смотритель зажёг лампу в сумерках. Лодка не могла причалить из-за волн, и остров был отрезан."


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("log_utf8.txt", "Søren Ågård"),
        ("log_cp1252.txt", "Hervé Le Goff a repêché une bouée à"),
        ("log_utf16.txt", "Łucja"),
    ],
)
def test_samples(name: str, words: str) -> None:
    (page,) = paginate(txt.parse(SAMPLES / name))
    assert words in page.text
    assert not page.text.startswith("\ufeff")
    assert "\r" not in page.text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "utf-8"),
        (FRENCH, "utf-8-sig"),
        (FRENCH, "utf-16"),
        (FRENCH, "utf-16-le"),
        (FRENCH, "utf-16-be"),
        (FRENCH, "utf-32"),
        (FRENCH, "cp1252"),
        (RUSSIAN, "cp1251"),
        ("灯台の光は十五秒ごとに二回光る。" * 3, "iso2022_jp"),
        ("등대의 불빛은 십오 초마다 두 번 번쩍인다. " * 3, "euc_kr"),
    ],
)
def test_encodings(text: str, encoding: str) -> None:
    assert txt.decode(text.encode(encoding)) == text


def test_a_declared_encoding_is_taken_if_it_fits() -> None:
    assert txt.decode("Größe".encode("cp1252"), "cp1252") == "Größe"
    assert txt.decode("Größe".encode(), "cp1252") == "Größe"
    assert txt.decode(b"plain", "no-such-codec") == "plain"


def test_binary_is_no_text() -> None:
    with pytest.raises(DocumentRejected) as caught:
        txt.decode(random.Random(1).randbytes(4000))
    assert caught.value.code == "bad_encoding"


def test_endless_files_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(txt, "PAGE_CHARACTERS", 10)
    path = tmp_path / "x.txt"
    path.write_bytes(b"x" * 41)
    with pytest.raises(DocumentRejected) as caught:
        list(txt.parse(path))
    assert caught.value.code == "too_large"


def test_bytes_behind_a_text_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    lines = b"The lamp is lit at dusk.\n" * 10_000
    path.write_bytes(lines + random.Random(7).randbytes(200_000))
    with pytest.raises(DocumentRejected, match="bad_encoding"):
        list(txt.parse(path))
    path.write_bytes(lines + bytes(200_000) + lines[:-10_000] + b"\x1a")
    (page,) = paginate(txt.parse(path))
    assert page.text.count("dusk") == 19_600
