import json
import random
import time
import unicodedata

import pytest

from footnote.text import clean, estimated_tokens, folded, is_blank, searched


@pytest.mark.parametrize(
    ("given", "cleaned"),
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
def test_clean(given: str, cleaned: str) -> None:
    assert clean(given) == cleaned


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


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The keeper trims the lamp at dusk.", 7, 9),
        ("灯台守は夕暮れにランプの芯を切る。", 17, 18),
        ("灯塔看守人在黄昏时修剪灯芯。", 14, 15),
        ("등대지기는 해질녘에 심지를 자른다", 15, 18),
        ("ผู้ดูแลประภาคาร", 15, 16),
        ("Die Wärterin prüft die Öllampe.", 8, 10),
        ("𠮷野家 🗼🗼", 8, 9),
        ("", 1, 1),
    ],
)
def test_tokens_are_estimated_by_script(text: str, least: int, most: int) -> None:
    assert least <= estimated_tokens(text) <= most


def test_a_part_of_a_text_has_no_more_tokens_than_the_text() -> None:
    rng = random.Random(7)
    for _ in range(100):
        text = "".join(rng.choices("ab é灯\U0001f5fc", k=40))
        counts = [estimated_tokens(text[:end]) for end in range(len(text) + 1)]
        assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("Hafen\u00adge\u00adbühr", "Hafengebühr"),
        ("Hafen\u00ad\n  gebühr", "Hafengebühr"),
        ("light\u200bhouse log\u2060book\ufeff", "lighthouse logbook"),
        ("ﬁnancial oﬃce", "financial office"),
        ("ＰＸ－１０４２　ｶﾞｽ", "PX-1042 ガス"),
        ("HT\u20112291 HT\u20102291 HT\u22122291", "HT-2291 HT-2291 HT-2291"),
        ("می\u200cخواهم", "میخواهم"),
        ("กา\u200bขา", "กา ขา"),
        ("☂\ufe0f", "☂"),
        ("plain-2.0\n", "plain-2.0\n"),
    ],
)
def test_what_looks_the_same_is_folded_to_the_same(given: str, same: str) -> None:
    assert folded(given) == same


def test_folding_twice_changes_nothing() -> None:
    everything = (chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000)
    assert [each for each in everything if folded(folded(f"a{each}b")) != folded(f"a{each}b")] == []


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u200d \ufeff", "\u00ad\u2060\u3164\u2800", "\U000e0041"])
def test_invisible_characters_are_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}.")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("退货期限", "退货 货期 期限"),
        ("30天内用iPhone14退货。", "30 天内 内用 iPhone14 退货 。"),
        ("Ｗｉ－Ｆｉが使えます", "Wi-Fi 使 えま ます"),
        ("返品は三十日以内", "返品 三十 十日 日以 以内"),
        ("モーターの保証", "モー ータ ター 保証"),
        ("보증기간은 2년입니다", "보증 증기 기간 간은 2 년입 입니 니다"),
        ("คืนสินค้า", "คืน นสิ สิน นค้ ค้า"),
        ("ລາວ", "ລາ າວ"),
        ("犬", "犬"),
        ("plain English, 2 words", "plain English, 2 words"),
        ("größer als Öl", "größer als Öl"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
    ],
)
def test_scripts_without_spaces_are_searched_by_pairs_of_letters(text, found):
    assert searched(text).split() == found.split()


def test_pairs_take_linear_time_on_hostile_text():
    started = time.process_time()
    for text in ("退" * 100_000, "あ一ア가ก" * 20_000, "\u0e48" * 100_000, "が\u3099" * 50_000, "a退" * 50_000):
        searched(text)

    assert time.process_time() - started < 5
