"""Markers in a stream, and quotes looked up in a page."""

import random
import time

import pytest

from footnote.citations import LONGEST_MARKER, Marker, MarkerParser, best_sentence, left_open, locate

TRICKY = [
    "",
    "No markers at all.",
    "One [1] and two [2].",
    "Together [1, 2,3] and [ 4 ].",
    'Quoted [1: "some words"] and “curly” [2: “more words”].',
    'A bracket in the quote [1: "see [12] and ]"] goes on.',
    'Quotes in the quote [1: "he said "no" to it"] end.',
    "Nested [[1]] and [1[2]] and [[[3",
    "Code a[0] = b[i][j]; c[10:20]; d[1:\"x\"]; e[-1]; f['k']; []",
    'Unclosed [1: "no end at all',
    'Unclosed [1: "no end. Then [2: "a good one"] and [3].',
    "Almost [1, ] and [1,,2] and [,1] and [1:] and [1: x] and [1234] and [1 2]",
    "Ends in [",
    "Ends in [1",
    "Ends in [1, ",
    'Ends in [1: "quote"',
    'Lines [\n1\n] and [2:\n"over\nlines"\n]',
    "Links [text](http://example.org) and ![image](x) and [1](http://example.org)",
    'Long [1: "' + "word " * 300 + '"] after [2].',
    'Long [1: "' + "w" * (LONGEST_MARKER - 7) + '"] just fits not, ' + 'and [2: "' + "w" * 985 + '"] does.',
    "[" * 50 + "1" + "]" * 50,
    '[1: "[1: "[1: "x"]"]"]',
    "Other digits [\u0661] [\u00b2] and 日本語[1]。",
    '[1,  2 , 3:\t"q" ]',
]


def parsed(*pieces: str) -> list[str | Marker]:
    """What a parser gives, with neighbouring texts joined."""
    parser = MarkerParser()
    found: list[str | Marker] = []
    for part in [each for piece in pieces for each in parser.feed(piece)] + list(parser.close()):
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found


def test_what_is_a_marker() -> None:
    assert parsed("One [1] and [2, 3].") == ["One ", Marker(1, None), " and ", Marker(2, None), Marker(3, None), "."]
    assert parsed('Yes [1: "see [12] and ]"].') == ["Yes ", Marker(1, "see [12] and ]"), "."]
    assert parsed("“[2: “a b”]”") == ["“", Marker(2, "a b"), "”"]
    assert parsed("[[1]]") == ["[", Marker(1, None), "]"]


def test_an_unclosed_quote_swallows_no_other_marker() -> None:
    assert parsed('A [1: "no end. B [2: "good"].') == ['A [1: "no end. B ', Marker(2, "good"), "."]


@pytest.mark.parametrize(
    "text", ["plain", "[", "]", "[]", "[a]", "[1234]", "[1:2]", "[1; 2]", "a[i]", "[1, ]", "[1: x]", "[1", '[1: "']
)
def test_text_without_markers_is_unchanged(text: str) -> None:
    for around in ("{}", "before {} after", "{}{}"):
        whole = around.format(text, text)
        assert parsed(whole) == [whole]
        assert parsed(*whole) == [whole]


@pytest.mark.parametrize("text", TRICKY)
def test_every_split_in_two_gives_the_same(text: str) -> None:
    whole = parsed(text)
    for cut in range(len(text)):
        assert parsed(text[:cut], text[cut:]) == whole, (text[:cut], text[cut:])


@pytest.mark.parametrize("text", TRICKY)
def test_every_way_to_stream_gives_the_same(text: str) -> None:
    chance = random.Random(text)
    whole = parsed(text)
    assert parsed(*text) == whole
    for _ in range(40):
        cuts = sorted(chance.choices(range(len(text) + 1), k=chance.randint(1, 12)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert parsed(*pieces) == whole


def test_random_soups_give_the_same_however_they_are_split() -> None:
    chance = random.Random(7)
    bits = ["[", "]", "1", "2", "12", ",", " ", ":", '"', "“", "”", "word", "\n", "[1]", '[2: "', '"]', "a[0]"]
    for _ in range(1500):
        pieces = chance.choices(bits, k=chance.randint(1, 25))
        whole = parsed("".join(pieces))
        assert parsed(*pieces) == whole
        assert parsed(*"".join(pieces)) == whole


def test_text_is_released_as_soon_as_it_can_be() -> None:
    parser = MarkerParser()
    assert "".join(map(str, parser.feed("Some words ["))) == "Some words "
    assert list(parser.feed("x")) == ["[", "x"]
    assert list(parser.feed('[1: "' + "w" * 100)) == []
    assert "".join(map(str, parser.feed("w" * LONGEST_MARKER))).startswith('[1: "ww')


@pytest.mark.parametrize(
    "text",
    [
        "[1" + ",  " * 330 + "x",
        "[" + " " * 5000 + "x",
        "[" * 20_000,
        '[1: "' * 5000,
        '[1: "' + '" ' * 5000,
        "[1," * 10_000,
        "[" + "1, " * 10_000 + "x",
        "[1" + " " * 990 + "x",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    for pieces in ([text], [text[at : at + 7] for at in range(0, len(text), 7)]):
        assert "".join(each if isinstance(each, str) else "" for each in parsed(*pieces)) == text
    assert time.process_time() - started < 2


def test_left_open() -> None:
    assert all(map(left_open, ("[", "a [1", "[1, ", "[ 1 :", '[1: "q')))
    assert not any(map(left_open, ("", "a", "[1]", "[x", "[1 2", "a]")))


# -- quotes --------------------------------------------------------------------------------------------------

PAGE = "The lamp burns. The lens turns. The lamp burns. Der Ölstand fällt."


def test_a_quote_is_found_where_it_stands_literally() -> None:
    assert locate("The lamp burns.", PAGE) == (0, 15)
    assert locate("  Der Ölstand fällt.\n", PAGE) == (48, 66)


@pytest.mark.parametrize(
    "quote", ["", "  ", "the lamp burns.", "The lamp burned.", "The  lamp", "The lamp burns. The lamp"]
)
def test_what_is_not_there_literally_is_not_found(quote: str) -> None:
    assert locate(quote, PAGE) is None


def test_the_sentence_that_shares_most_with_a_claim() -> None:
    assert best_sentence("It is the lens that turns [1].", PAGE) == "The lens turns."
    assert best_sentence("", "") == ""
    assert best_sentence("anything", "   ") == "   "


@pytest.mark.parametrize("quote", ["e", ".", "The", "lamp"])
def test_a_letter_or_a_word_proves_nothing(quote: str) -> None:
    assert locate(quote, PAGE) is None
