import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from footnote.formats import Block, ParsedPage, Section, paginate
from footnote.ingest import chunking
from footnote.ingest.chunking import MAX_CHUNK_BYTES, TextChunk, embedding_text, split


def one_section(text: str) -> ParsedPage:
    return ParsedPage(3, text, [Section(0, len(text), ("A",))])


def check(page: ParsedPage, chunks: list[TextChunk], size: int) -> None:
    covered = bytearray(len(page.text))
    for chunk in chunks:
        assert chunk.page == page.number
        assert page.text[chunk.char_start : chunk.char_end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        assert len(chunk.text) <= size
        assert len(chunk.text.encode()) <= MAX_CHUNK_BYTES
        covered[chunk.char_start : chunk.char_end] = b"\x01" * len(chunk.text)
    lost = [index for index, seen in enumerate(covered) if not seen and not page.text[index].isspace()]
    assert lost == []
    starts = [chunk.char_start for chunk in chunks]
    assert starts == sorted(set(starts))


WORDS = [
    "a",
    "lens",
    "mercury",
    "lighthouse",
    "x" * 300,
    "漢字仮名",
    "終。",
    "😀" * 40,
    "e.",
    "Why?",
    "\u0301",
]
GAPS = [" ", " ", " ", "\n", "\n\n", "\t", "", "\u3000", "\n \n", " " * 120]


@pytest.mark.parametrize("seed", range(150))
def test_anchors_are_exact_and_nothing_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    words = rng.sample(WORDS, k=rng.randint(1, len(WORDS)))
    text = "".join(rng.choice(words) + rng.choice(GAPS) for _ in range(rng.randint(0, 600)))
    cuts = sorted({0, len(text), *(rng.randint(0, len(text)) for _ in range(rng.randint(0, 12)))})
    paths = [(), ("A",), ("A", "B"), ("A", "C"), ("D",)]
    sections = [Section(start, end, rng.choice(paths)) for start, end in pairwise(cuts)]
    page = ParsedPage(rng.randint(1, 9), text, sections)
    size = rng.choice([100, 400, 1000, 8000])
    check(page, split(page, size=size, overlap=rng.choice([0, 15, size // 5, size])), size)


def test_repeated_text_is_located_exactly() -> None:
    page = one_section("ab " * 4000)
    check(page, split(page, size=1000, overlap=150), 1000)


def test_no_chunk_of_white_space() -> None:
    assert split(ParsedPage(1, ""), size=1000, overlap=150) == []
    assert split(one_section(" \n\t \n" * 900), size=1000, overlap=150) == []


def test_page_without_sections() -> None:
    assert split(ParsedPage(1, "  text "), size=100, overlap=0) == [TextChunk(1, 2, 6, (), "text")]


def test_neighbours_overlap_within_a_section_only() -> None:
    sentences = [f"Sentence number {number} tells of the lamp." for number in range(60)]
    first, second = " ".join(sentences[:30]), " ".join(sentences[30:])
    text = f"{first}\n\n{second}"
    page = ParsedPage(1, text, [Section(0, len(first) + 2, ("A",)), Section(len(first) + 2, len(text), ("B",))])
    chunks = split(page, size=500, overlap=100)
    check(page, chunks, 500)
    for left, right in pairwise(chunks):
        if left.heading == right.heading:
            assert 0 < left.char_end - right.char_start <= 100
            assert right.text.startswith("Sentence")
        else:
            assert right.char_start >= left.char_end
    assert {chunk.heading for chunk in chunks} == {("A",), ("B",)}
    assert all("number 29" not in chunk.text for chunk in chunks if chunk.heading == ("B",))


def sections_of(*parts: tuple[tuple[str, ...], int]) -> ParsedPage:
    text, sections = "", []
    for number, (heading, length) in enumerate(parts):
        start = len(text)
        text += (f"w{number} " * length)[:length]
        sections.append(Section(start, len(text), heading))
    return ParsedPage(1, text, sections)


def test_small_sections_are_packed_with_their_neighbours() -> None:
    page = sections_of((("A",), 40), (("A", "B"), 90), (("A", "C"), 80), (("D",), 500))
    chunks = split(page, size=1000, overlap=0)
    assert [chunk.heading for chunk in chunks] == [("A",), ("D",)]
    check(page, chunks, 1000)


def test_large_sections_keep_their_own_heading() -> None:
    page = sections_of((("A", "B"), 400), (("A", "C"), 400))
    assert [chunk.heading for chunk in split(page, size=1000, overlap=0)] == [("A", "B"), ("A", "C")]


def test_strangers_are_not_packed() -> None:
    page = sections_of((("A", "B"), 40), (("D", "E"), 40))
    assert [chunk.heading for chunk in split(page, size=1000, overlap=0)] == [("A", "B"), ("D", "E")]


@pytest.mark.parametrize("count_tokens", [None, lambda text: len(text) // 4 + 1], ids=["characters", "tokens"])
def test_an_endless_word_is_read_a_few_times_however_long_it_is(
    count_tokens: Callable[[str], int] | None,
) -> None:
    looked_at = 0

    class Counted(str):
        """Counts the characters of every piece that is taken of it."""

        __slots__ = ()

        def __getitem__(self, place: Any) -> str:
            nonlocal looked_at
            taken = super().__getitem__(place)
            looked_at += len(taken)
            return taken

    def looked(length: int) -> int:
        nonlocal looked_at
        looked_at = 0
        word = Counted("y" * 849 + " " + "x" * length)
        chunks = split(one_section(word), size=1000, overlap=150, count_tokens=count_tokens)
        assert "".join({chunk.text[-1] for chunk in chunks[2:]}) == "x"
        assert max(len(chunk.text) if count_tokens is None else count_tokens(chunk.text) for chunk in chunks) <= 1000
        return looked_at

    once, much = looked(1_000_000), looked(4_000_000)
    assert 1_000_000 < once < 60_000_000
    assert much < 4.4 * once


def test_bytes_are_bounded_for_wide_characters() -> None:
    page = one_section("😀" * 30_000)
    chunks = split(page, size=8000, overlap=400)
    check(page, chunks, 8000)
    assert max(len(chunk.text.encode()) for chunk in chunks) > MAX_CHUNK_BYTES // 2


def test_embedding_text_names_the_place() -> None:
    chunk = TextChunk(1, 0, 4, ("Handbook", "Lens"), "text")
    assert embedding_text("handbook.pdf", chunk) == "handbook.pdf > Handbook > Lens\n\ntext"
    assert embedding_text("Handbook", chunk) == "Handbook > Lens\n\ntext"
    assert embedding_text("", TextChunk(1, 0, 4, (), "text")) == "text"


# -- in tokens -----------------------------------------------------------------------------------------------


def by_bytes(text: str) -> int:
    return len(text.encode()) // 4 + 1


def by_words(text: str) -> int:
    return 2 + sum(-(-len(word) // 6) for word in text.split())


@pytest.mark.parametrize("count_tokens", [by_bytes, by_words])
@pytest.mark.parametrize("seed", range(30))
def test_chunks_of_tokens_are_as_long_as_was_said(seed: int, count_tokens: Callable[[str], int]) -> None:
    rng = random.Random(seed)
    words = rng.sample(WORDS, k=rng.randint(1, len(WORDS)))
    page = one_section("".join(rng.choice(words) + rng.choice(GAPS) for _ in range(rng.randint(0, 600))))
    size = rng.choice([25, 100, 400, 2000])
    chunks = split(page, size=size, overlap=rng.choice([0, size // 5]), count_tokens=count_tokens)
    check(page, chunks, MAX_CHUNK_BYTES)
    assert [chunk.text for chunk in chunks if count_tokens(chunk.text) > size] == []


def test_chunks_of_tokens_are_filled_and_overlap() -> None:
    page = one_section(" ".join(f"Sentence number {number} tells of the lamp." for number in range(200)))
    chunks = split(page, size=100, overlap=20, count_tokens=by_words)
    lengths = [by_words(chunk.text) for chunk in chunks[:-1]]
    assert 40 <= min(lengths) <= max(lengths) <= 100
    for left, right in pairwise(chunks):
        shared = page.text[right.char_start : left.char_end]
        assert 0 < by_words(shared) <= 20


# -- by headings ---------------------------------------------------------------------------------------------


def test_by_headings_no_chunk_spans_two_of_them() -> None:
    text = "One.\n\nTwo.\n\nThree.\n\nFour."
    starts = [0, text.index("Two"), text.index("Three"), text.index("Four"), len(text)]
    paths = [("A",), ("A",), ("A", "B"), ("C",)]
    sections = [Section(start, end, path) for (start, end), path in zip(pairwise(starts), paths, strict=True)]
    page = ParsedPage(1, text, sections)
    assert [chunk.text for chunk in split(page, size=1000, overlap=150)] != ["One.\n\nTwo.", "Three.", "Four."]
    chunks = split(page, size=1000, overlap=150, by_headings=True)
    assert [(chunk.heading, chunk.text) for chunk in chunks] == [
        (("A",), "One.\n\nTwo."),
        (("A", "B"), "Three."),
        (("C",), "Four."),
    ]


@pytest.mark.parametrize(
    "text", [" ", "\n", "a\n", "ab, ", "word ", "a lamp is lit. ", "0", "x9z", "漢字", "\u00a0"], ids=repr
)
@pytest.mark.parametrize("count_tokens", [None, lambda text: len(text) // 4 + 1], ids=["characters", "tokens"])
def test_bounds_are_few_whatever_the_text(
    text: str, count_tokens: Callable[[str], int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work grows with the bounds that are weighed: there are no more of them than chunks need."""
    weighed = 0

    def counted(text: str, joint: int) -> tuple[int, ...]:
        nonlocal weighed
        weighed += 1
        return strength(text, joint)

    strength = chunking._strength
    monkeypatch.setattr(chunking, "_strength", counted)
    long = (text * 400_000)[:400_000]
    split(ParsedPage(1, long), size=1000 if count_tokens is None else 250, overlap=50, count_tokens=count_tokens)
    assert weighed < len(long) / 8


def test_invisible_text_makes_no_chunk() -> None:
    assert split(ParsedPage(1, "\u200b\u00ad\n\ufeff" * 50), size=100, overlap=10) == []


def test_asides_are_in_no_chunk_and_join_nothing() -> None:
    blocks = [
        Block("Menu", aside=True),
        Block("One."),
        Block("Page 3", aside=True),
        Block("Two."),
        Block("", notes={"x": 1}),
    ]
    (page,) = paginate(blocks)
    assert page.text == "Menu\n\nOne.\n\nPage 3\n\nTwo."
    chunks = split(page, size=1000, overlap=100)
    assert [chunk.text for chunk in chunks] == ["One.", "Two."]
    assert all(page.text[chunk.char_start : chunk.char_end] == chunk.text for chunk in chunks)
    assert page.notes == {"x": 1}


def test_chunks_know_the_header_of_the_rows_they_hold() -> None:
    rows = [f"oil | {number} | cellar {number}" for number in range(80)]
    table = "\n".join(["item | count | place", *rows])
    (page,) = paginate([Block("Before."), Block(table, columns="item | count | place"), Block("After.")])
    chunks = split(page, size=400, overlap=0)
    named = [("item | count" in chunk.text, "oil" in chunk.text, bool(chunk.columns)) for chunk in chunks]
    assert set(named) == {(True, True, False), (False, True, True), (False, False, False)}
    assert chunks[1].context("Store") == "Store\nitem | count | place"
    assert embedding_text("Store", chunks[1]).startswith("Store\nitem | count | place\n\noil")
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(page.text.split())
