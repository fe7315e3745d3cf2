"""Markers in a stream, and quotes looked up in a page."""

import random

import pytest

from footnote.citations import (
    CodeIndex,
    JsonAnswer,
    Marker,
    MarkerParser,
    Part,
    SourceList,
    best_sentence,
    locate,
    quoted,
    reads_as_marker,
)
from footnote.citations.markers import LONGEST_HEAD, LONGEST_QUOTE, WIDEST_RANGE

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
    'Long [1: "' + "w" * (LONGEST_QUOTE + 1) + '"] fits not, ' + 'and [2: "' + "w" * (LONGEST_QUOTE - 1) + '"] does.',
    "[" * 50 + "1" + "]" * 50,
    '[1: "[1: "[1: "x"]"]"]',
    "Other digits [\u0661] [\u00b2] and 日本語[1]。",
    "Other scripts 【1】［２：“词”］ [3: «mot»] [1: „Wort“] [2: ‘it’s’] 【4:0†page】【4†",
    "Other forms [^1] [Source 2] [sources 1, 3] [2–4] [1: bare words] [1: bare [2] words] [10:20] [2024] [Smith 1]",
    "Unseen [\u200b1\u200d] signs",
    'Too long [1: "' + "[2] [3: bare " * 120 + "end",
    'Ends twice [1: "a" [2: "b',
    '[1,  2 , 3:\t"q" ]',
]


def marker(number: int) -> Marker:
    return Marker(number, None)


def parsed(*pieces: str, most: int = 0) -> list[Part]:
    """What a parser gives, with neighbouring texts joined."""
    parser = MarkerParser(most)
    found = [each for piece in pieces for each in parser.feed(piece)] + list(parser.close())
    joined: list[Part] = []
    for part in found:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def test_what_is_a_marker() -> None:
    assert parsed("One [1] and [2, 3].") == ["One ", Marker(1, None), " and ", Marker(2, None), Marker(3, None), "."]
    assert parsed('Yes [1: "see [12] and ]"].') == ["Yes ", Marker(1, "see [12] and ]"), "."]
    assert parsed("“[2: “a b”]”") == ["“", Marker(2, "a b"), "”"]
    assert parsed("[[1]]") == ["[", Marker(1, None), "]"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("【1】", [Marker(1, None)]),
        ("［２：“词”］", [Marker(2, "词")]),
        ("[\u0661] [¹] [１]", [Marker(1, None), " ", Marker(1, None), " ", Marker(1, None)]),
        ("[1: «mot»] [2: „Wort“]", [Marker(1, "mot"), " ", Marker(2, "Wort")]),
        ("[1: ‘it’s’]", [Marker(1, "it’s")]),
        ("【4:0†page】", [Marker(4, None)]),
        ("[^1] [Source 2]", [Marker(1, None), " ", Marker(2, None)]),
        ("[2–4]", [Marker(2, None), Marker(3, None), Marker(4, None)]),
        ("[1: bare words]", [Marker(1, "bare words")]),
        ("[\u200b1]", [Marker(1, None)]),
        ("```\na[0]\n```", ["```\na", CodeIndex("[0]"), "\n```"]),
        ("`a[i][1]` a[1]", ["`a[i]", CodeIndex("[1]"), "` a", Marker(1, None)]),
        ("```\nb = [1]\n```", ["```\nb = ", Marker(1, None), "\n```"]),
        ("[Source 1, Source 3] [1 and 2]", [*map(marker, (1, 3)), " ", *map(marker, (1, 2))]),
        ("[Doc 2] [source: 3] [#4] [Quelle 1]", [marker(2), " ", marker(3), " ", marker(4), " ", marker(1)]),
        ("[1: page 3] [2: pp. 4-5]", [marker(1), " ", marker(2)]),
    ],
)
def test_markers_of_other_forms_and_scripts(text: str, expected: list[str | Marker]) -> None:
    assert parsed(text) == expected


ASIDES = [
    ("It burns oil (1). Built (2, 3).", [1, 2, 3]),
    ("It burns oil (Source 1), they say (sources 2 and 3", [1]),
    ("“It burns” (1)", [1]),
    ("Built in 1874.¹ Oil burns² here.", [1, 2]),
    ("Built in 1874.¹,²", [1, 2]),
    ("The lamp burns oil^1, and it was built^2.", [1, 2]),
    ("It burns<sup>1</sup> oil<sup>[2]</sup>.", [1, 2]),
    ("Steps: (1) open (2) close.", []),
    ("(1) First\n(2) Second.\n  (3)\n", []),
    ("f(1); x^2, 10², m², 10^6, `g (1).`, Figure (1), step (2). Three (3) minutes.", []),
    ("As [1] says, phases (2).", [1]),
    ("It has 12 keepers (12).", []),
    ("a < b, <sub>1</sub>, <sup>x</sup>", []),
]


@pytest.mark.parametrize(("text", "numbers"), ASIDES)
def test_markers_without_a_bracket_depend_on_what_stands_around_them(text: str, numbers: list[int]) -> None:
    whole = parsed(text, most=8)
    assert [each.number for each in whole if isinstance(each, Marker)] == numbers
    assert parsed(*text, most=8) == whole
    for cut in range(len(text)):
        assert parsed(text[:cut], text[cut:], most=8) == whole
    if not numbers:
        assert "".join(each if isinstance(each, str) else "?" for each in whole) == text


def shaped(text: str, step: int, *titles: str) -> tuple[str, list[tuple[int, str | None]]]:
    answer, sources = JsonAnswer(), SourceList(titles)
    out = "".join(sources.feed(answer.feed(text[start : start + step])) for start in range(0, len(text), step))
    return out + sources.feed(answer.close()) + sources.close(), sources.listed


SHAPES = [
    (
        "Built [1].\n\nSources:\n[1] lamp.txt\n[2] “it stalls at bar”",
        "Built [1].\n",
        [(1, None), (2, "it stalls at bar")],
    ),
    ("It was [^1].\n\n[^1]: “The tower was built.”\n", "It was [^1].\n", [(1, "The tower was built.")]),
    ("Built.\n\n**Sources:** [1], [3]", "Built.\n", [(1, None), (3, None)]),
    ("Gebaut.\n\nQuellen:\n1. fog.txt, page 3\n", "Gebaut.\n", [(2, None)]),
    ("Energy.\nSources:\n- coal [1]\n- gas [2]", None, []),
    ("Sources of energy are coal.\nNotes", None, []),
    ("[1] The lamp burns.\n", None, []),
    ('{"answer": "Built.", "citations": [{"source": 1, "quote": "it was built"}]}', 'Built [1: "it was built"].', []),
    ('```json\n{"answer": "Built", "sources": [1, "2"]}\n```', "Built [1] [2]", []),
    ('[{"sentence": "A.", "source": 1}, {"sentence": "B.", "source_id": "[2]"}]', "A [1].\nB [2].", []),
    ('{"statements": [{"text": "A.", "citations": [1]}]}', "A [1].", []),
    ('{"name": "send_mail", "arguments": {"to": "x"}}', None, []),
    ('{"answer": "cut off', None, []),
    ("{" * 2000, None, []),
]


@pytest.mark.parametrize(("text", "answer", "listed"), SHAPES)
def test_answers_of_other_shapes(text: str, answer: str | None, listed: list[tuple[int, str | None]]) -> None:
    for step in (1, 2, 3, 7, len(text)):
        assert shaped(text, step, "lamp.txt", "fog.txt") == (text if answer is None else answer, listed)


def test_text_in_quotation_marks_is_a_quote_if_it_is_long_enough() -> None:
    assert quoted("“The lamp burns oil”, it says, of a “lamp”. “It is green” too") == [
        "It is green",
        "The lamp burns oil",
    ]


def test_a_range_has_an_end() -> None:
    assert len(parsed("[1-999]")) == WIDEST_RANGE + 1


def test_of_a_marker_that_is_never_whole_only_its_words_are_shown() -> None:
    assert parsed('A [1: "no end. B [2: "good"].') == ["A no end. B ", Marker(2, "good"), "."]
    assert parsed('A [1: "' + "[2] w " * 200) == ["A ", *[Marker(2, None), " w "] * 200]
    assert parsed("A [1: bare [2]") == ["A bare ", Marker(2, None)]
    assert parsed("[" + "1, " * LONGEST_HEAD + "1]")[0] == "1, " * LONGEST_HEAD + "1]"


def test_a_stream_that_ends_in_a_marker_shows_nothing_of_it() -> None:
    assert parsed('A [1: "as much as came') == ["A ", Marker(1, "as much as came")]
    assert parsed('A [1: "whole" ') == ["A ", Marker(1, "whole")]
    for broken in ("[", "[1", "[1, ", "[ 12 ", "[1:", "[^", "【1†pa"):
        assert parsed(f"A {broken}") == ["A "]
    assert parsed("A [link") == ["A [link"]


@pytest.mark.parametrize(
    "text",
    ["plain", "]", "[]", "[a]", "[1234]", "[1:2]", "a[i]", "[1, ]", "[1 2]", "[1.5]", "[x] [Smith 1]", "[10:20]"],
)
def test_text_without_markers_is_unchanged(text: str) -> None:
    for around in ("{}", "before {} after", "{}{}"):
        whole = around.format(text, text)
        assert parsed(whole) == [whole]
        assert parsed(*whole) == [whole]


@pytest.mark.parametrize("text", TRICKY)
def test_every_split_in_two_gives_the_same(text: str) -> None:
    whole = parsed(text)
    for cut in range(0, len(text), 1 + len(text) // 100):
        assert parsed(text[:cut], text[cut:]) == whole, (text[:cut], text[cut:])


@pytest.mark.parametrize("text", TRICKY)
def test_every_way_to_stream_gives_the_same(text: str) -> None:
    chance = random.Random(text)
    whole = parsed(text)
    assert parsed(*text) == whole
    for _ in range(10):
        cuts = sorted(chance.choices(range(len(text) + 1), k=chance.randint(1, 12)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert parsed(*pieces) == whole


def test_random_soups_give_the_same_however_they_are_split() -> None:
    chance = random.Random(7)
    bits = ["[", "]", "1", "2", "12", ",", " ", ":", '"', "“", "'", "word", "\n", "[1]", '[2: "', '"]', "a[0]", "[3: b"]
    bits += ["【", "］", "-", "†", "^", "٣"]
    for _ in range(800):
        pieces = chance.choices(bits, k=chance.randint(1, 25))
        whole = parsed("".join(pieces))
        assert parsed(*pieces) == whole
        assert parsed(*"".join(pieces)) == whole


def test_text_is_released_as_soon_as_it_can_be() -> None:
    parser = MarkerParser()
    assert "".join(map(str, parser.feed("Some words ["))) == "Some words "
    assert list(parser.feed("x")) == ["[x"]
    assert list(parser.feed('[1: "' + "w" * 100)) == []
    assert "".join(map(str, parser.feed("w" * LONGEST_QUOTE))) == "w" * (LONGEST_QUOTE + 100)


class Counting(MarkerParser):
    steps = 0

    def _step(self, char: str, alike: str) -> None:
        self.steps += 1
        assert len(self._head) <= LONGEST_HEAD
        assert len(self._quote or "") <= LONGEST_QUOTE + 1
        super()._step(char, alike)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "[1, " * 2000,
        '[1: "' * 2000,
        "[1: a" * 2000,
        '[1: "[2: b ' * 1000,
        '[1: "' + "[2: b " * 1500,
        '[1: "' + '" ' * 3000,
        "[" + "1, " * 3000 + "x",
        "[" + " " * 5000 + "x",
        '[1: "' + "[[3: " * 1500,
        "[link " * 1500,
    ],
)
def test_work_grows_with_the_text_however_it_is_made(text: str) -> None:
    """What is held is bounded, so the steps are the work."""
    parser = Counting()
    for char in text:
        list(parser.feed(char))
    list(parser.close())
    assert len(text) <= parser.steps <= 4 * len(text)


def test_reads_as_marker() -> None:
    assert all(map(reads_as_marker, ("[1]", "a [ 1, 2 ]", "【１】", "[^3]")))
    assert not any(map(reads_as_marker, ("", "1]", "[1] ", "[1…]", "[x]", "[1234]")))


# -- quotes --------------------------------------------------------------------------------------------------

PAGE = "The lamp burns. The lens turns. The lamp burns. Der Ölstand fällt."


def test_a_number_at_the_end_of_a_page_is_whole() -> None:
    page = "Annual Meeting.\nAnnual Report on Form 10-K 12"
    assert locate("Annual Report on Form 10-K 12", page) == (16, len(page))
    assert locate("Annual Report on Form 10-K 1", page) is None


def test_a_quote_is_found_where_it_stands_literally() -> None:
    assert locate("The lamp burns.", PAGE) == (0, 15)
    assert locate("  Der Ölstand fällt.\n", PAGE) == (48, 66)


@pytest.mark.parametrize(
    "quote",
    ["", "  ", "the lamp burns.", "The lamp burned.", "The lamp burns. The lamp", "The lamp ... turns.", "......"],
)
def test_what_is_not_there_is_not_found(quote: str) -> None:
    assert locate(quote, PAGE) is None


SET = (
    "Sales rose by 150 percent, to 1,500.5 units.  A hy-\nphen, an e\ufb03\u00ad\ncient “well-\nknown” part – 5–7 °C, "
    "at -15 degrees.\n灯塔燃烧石\n蜡油的。 Most claims are unverified. It’s 10² metres… Soft\u00adware of 1990-\n1995."
)


@pytest.mark.parametrize(
    ("quote", "there"),
    [
        ("Sales rose\n by  150", "Sales rose by 150"),
        ("1,500.5 units. A hyphen", "1,500.5 units.  A hy-\nphen"),
        ("A hy-phen, an efficient", "A hy-\nphen, an e\ufb03\u00ad\ncient"),
        ('"well-known" part - 5-7 °C', "“well-\nknown” part – 5–7 °C"),
        ("wellknown” part", "well-\nknown” part"),
        ("燃烧石蜡油的", "燃烧石\n蜡油的"),
        ("It's 10² metres...", "It’s 10² metres…"),
        ("...Software of 1990–1995...", "Soft\u00adware of 1990-\n1995"),
        ("rose by 150 percent.", "rose by 150 percent"),
        ("at -15 degrees", "at -15 degrees"),
    ],
)
def test_a_quote_is_found_as_it_was_set(quote: str, there: str) -> None:
    found = locate(quote, SET)
    assert found is not None
    assert SET[slice(*found)] == there


@pytest.mark.parametrize(
    "quote",
    [
        *("Sales rose by 15", "Sales rose by 150 percent, to 1", "to 1,500", "500.5 units", "5 units.", "15 degrees."),
        *("Sales rose by 151 percent", "rose by 1.50 percent", "150 percent, to 1.500,5", "to 15005 units"),
        *("It’s 102 metres", "It’s 10 metres", "part 5 7 °C", "of 19901995", "It’s 10"),
        *("claims are verified", "verified. It’s", "Most claim", "sales rose by 150"),
        *("Sales ... 150 percent", "Sales rose […] 150 percent"),
    ],
)
def test_numbers_and_words_are_those_of_the_page_and_whole(quote: str) -> None:
    assert locate(quote, SET) is None


def test_the_passage_comes_before_the_rest_of_the_page() -> None:
    assert locate("The lamp burns.", PAGE, (20, 60)) == (32, 47)
    assert locate("The  lamp burns.", PAGE, (20, 60)) == (32, 47)
    assert locate("The lamp burns.", PAGE, (48, 60)) == (0, 15)
    assert locate("The lens  turns.", PAGE, (48, 60)) == (16, 31)


def test_places_hold_for_random_pages() -> None:
    """A stretch of words, laid out again, is found where it stands, or not at all where it cuts a word."""
    chance = random.Random(11)
    bits = ["lamp", "oil-", "12", "3,5", "\ufb01re", "\u00ad", "-\n", "\n", "  ", " ", "“", "’", "–", "灯", "…", "É"]
    found = 0
    for _ in range(400):
        page = "".join(chance.choices(bits, k=60))
        start = chance.randrange(len(page) - 20)
        quote = " ".join(page[start : start + chance.randint(8, 40)].replace("“", '"').replace("\u00ad", "").split())
        if place := locate(quote, page):
            found += 1
            digits = [char for char in page[slice(*place)] if char.isdigit()]
            assert digits == [char for char in quote if char.isdigit()]
            assert page[slice(*place)] == page[slice(*place)].strip()
    assert found > 40


def test_the_sentence_that_shares_most_with_a_claim() -> None:
    assert best_sentence("It is the lens that turns [1].", PAGE) == "The lens turns."
    assert best_sentence("", "") == ""
    assert best_sentence("anything", "   ") == "   "


@pytest.mark.parametrize("quote", ["e", ".", "The", "lamp"])
def test_a_letter_or_a_word_proves_nothing(quote: str) -> None:
    assert locate(quote, PAGE) is None
