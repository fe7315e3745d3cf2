"""Near-duplicates once, not many of a kind, and what stands around a hit."""

import random
from itertools import combinations

import pytest

from footnote.retrieval import Query, search, shaping
from footnote.runtime import Runtime
from tests import driving

_VOCABULARY = "lamp tower keeper lens ledger siren cistern barometer engine signal granite oil rope boat tide bell"
WORDS = _VOCABULARY.split()


def prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def test_texts_that_differ_in_a_word_are_shown_once() -> None:
    rng = random.Random(1)
    long = prose(rng, 120)
    texts = [long, prose(rng, 120), long.replace("lamp", "torch", 1), long + " end", prose(rng, 60), long.upper()]
    assert shaping.distinct(texts, 10) == [0, 1, 4]
    assert shaping.distinct(texts, 2) == [0, 1]


def test_what_is_not_compared_is_not_alike() -> None:
    rng = random.Random(2)
    odd = ["β-lamp", "keeper's", "lens.oil", "naïve", "—", "?", "Ledger,", "tide-bell-rope"]
    alike = unlike = 0
    for _ in range(60):
        words = [f"{rng.choice(WORDS)}{rng.randrange(40)}" for _ in range(rng.choice((3, 40, 120)))]
        changed = [rng.choice(odd) if rng.random() < rng.choice((0.02, 0.3)) else each for each in words]
        texts = [" ".join(words), " ".join(changed), " ".join(changed[2:]), prose(rng, 5) + " ".join(words[::-2])]
        for one, other in combinations(map(shaping._Text.of, texts), 2):
            resemble = shaping._resemblance(one.shingles, other.shingles) >= shaping.ALIKE
            assert one.may_be_like(other) or not resemble, (one.text, other.text)
            alike, unlike = alike + resemble, unlike + (not one.may_be_like(other))
    assert min(alike, unlike) > 10


def test_texts_on_the_same_thing_are_not_the_same() -> None:
    texts = [
        "Revenue in 2022 was 12.4 million euros, up 3 %.",
        "Revenue in 2023 was 14.1 million euros, up 9 %.",
        "Revenue in 2023 was 14.1 million euros, up 9 %!",
        "Yes.",
        "No.",
        "yes",
        "",
        "—",
    ]
    assert shaping.distinct(texts, 10) == [0, 1, 3, 4, 6]


def test_distinct_agrees_with_its_definition() -> None:
    rng = random.Random(7)
    texts: list[str] = []
    for _ in range(60):
        base = rng.choice(texts) if texts and rng.random() < 0.6 else prose(rng, rng.randint(1, 60))
        words = base.split()
        for _ in range(rng.randint(0, 4)):
            words[rng.randrange(len(words))] = rng.choice(WORDS)
        texts.append(" ".join(words))

    def shingles(text: str) -> set[str]:
        words = text.split()
        return {" ".join(words[at : at + 4]) for at in range(max(1, len(words) - 3))}

    kept: list[int] = []
    for place, text in enumerate(texts):
        mine = shingles(text)
        others = [shingles(texts[each]) for each in kept]
        if all(len(mine & other) / len(mine | other) < shaping.ALIKE for other in others):
            kept.append(place)
    assert 5 < len(kept) < 55
    assert shaping.distinct(texts, 100) == kept


def test_diversity_takes_one_of_a_kind_after_the_other() -> None:
    vectors, scores = ["[1,0]", "[2,0.2]", "[0,1]"], [1.0, 0.9, 0.5]
    assert shaping.diverse(vectors, [1] * 3, scores, 0.0, 3) == [0, 1, 2]
    assert shaping.diverse(vectors, [1] * 3, scores, 0.5, 3) == [0, 2, 1]
    assert shaping.diverse(vectors, [1] * 3, scores, 0.5, 1) == [0]
    assert shaping.diverse(vectors[:1], [1], [0.3], 0.5, 5) == [0]
    assert sorted(shaping.diverse(vectors, [1] * 3, [0.2, 0.2, 0.2], 1.0, 9)) == [0, 1, 2]


# -- through search ------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_copies_of_a_document_take_one_place(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    text = "The siren of the tower is fed by a tank of compressed air, which the keeper fills at noon."
    for number in range(8):
        await driving.ready(rt, tenant, f"{text} Copy {number}.", f"copy{number}.txt")
    await driving.ready(rt, tenant, "The siren was silent in the year of the great storm, says the log.", "log.txt")
    hits = (await search(rt.for_tenant(tenant), Query("siren tower tank", top_k=3))).hits
    assert len(hits) == 2
    assert {hit.filename.rstrip("0123456789.tx") for hit in hits} == {"copy", "log"}


@pytest.mark.anyio
async def test_diversity_brings_other_documents_up(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    rng = random.Random(3)
    for number in range(6):
        await driving.ready(rt, tenant, f"siren siren {prose(rng, 40)} {number}", f"{number}.txt")
    plain = (await search(rt.for_tenant(tenant), Query("siren", top_k=6))).hits
    diverse = (await search(rt.for_tenant(tenant), Query("siren", top_k=6, diversity=0.9))).hits
    assert diverse[0] == plain[0]
    assert {hit.chunk_id for hit in diverse} == {hit.chunk_id for hit in plain}
    assert diverse != plain


@pytest.mark.anyio
@pytest.mark.parametrize("expand", ["neighbours", "section"])
async def test_what_stands_around_a_hit_is_of_its_page(rt: Runtime, expand: str) -> None:
    tenant = await driving.new_tenant(rt)
    parts = [f"## Part {n}\n\n" + "\n\n".join(driving.paragraphs(6, f"topic{n}").split("\n\n")) for n in range(3)]
    document_id = await driving.ready(rt, tenant, "\n\n".join(parts), "book.md")
    chunks = await driving.chunks_of(rt, document_id)
    pages = await driving.pages_of(rt, document_id)
    for hit in (await search(rt.for_tenant(tenant), Query("topic1 shines", top_k=30, expand=expand))).hits:  # type: ignore[arg-type]
        assert hit.context is not None
        page = pages[hit.version_id, hit.page_start]
        assert hit.context.text == page[hit.context.char_start : hit.context.char_end]
        assert hit.context.char_start <= hit.char_start
        assert hit.context.char_end >= hit.char_end
        wanted = [
            each
            for each in chunks
            if (abs(each.position - hit.position) <= 1 if expand == "neighbours" else each.heading == hit.heading)
        ]
        assert hit.context.char_start == min(each.char_start for each in wanted)
        assert hit.context.char_end == max(each.char_end for each in wanted)
    assert all(hit.context is None for hit in (await search(rt.for_tenant(tenant), Query("topic1"))).hits)


@pytest.mark.anyio
async def test_a_section_of_a_whole_book_is_cut(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, driving.paragraphs(80), "book.txt")
    hit = (await search(rt.for_tenant(tenant), Query("Paragraph 40", mode="keyword", expand="section"))).hits[0]
    assert hit.context is not None
    assert 4_000 < len(hit.context.text) <= 8_000 + len(hit.text)
