import json
import random
import unicodedata

import pytest

from footnote.text import clean


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\x00b", "ab"),
        ("a\ud800b", "ab"),
        ("\udc41", ""),
        ("a\r\nb\rc\u2028d\x85e\x0cf", "a\nb\nc\nd\ne\nf"),
        ("tab\tstays\n", "tab\tstays\n"),
        ("\x01\x08\x1b\x1f\x7f", ""),
        ("cafe\u0301", "caf\u00e9"),
        ("\U0001f600 and \u00ad\ufffe", "\U0001f600 and \u00ad\ufffe"),
    ],
)
def test_clean(given: str, kept: str) -> None:
    assert clean(given) == kept


def test_clean_text_is_storable_and_stays_clean() -> None:
    rng = random.Random(7)
    alphabet = [chr(code) for code in range(0x180)] + [
        "\ud83d",
        "\ude00",
        "\u0301",
        "\u0327",
        "\u2029",
        "\U0001f600",
    ]
    for _ in range(500):
        text = clean("".join(rng.choices(alphabet, k=60)))
        assert clean(text) == text
        assert "\x00" not in text
        assert "\\u0000" not in json.dumps(text)
        assert unicodedata.is_normalized("NFC", text)
        text.encode()  # refuses lone surrogates
