"""What must match to the letter: identifiers among near misses, and phrases in quotes."""

import pytest
from sqlalchemy import text

from footnote.retrieval import Mode, Query, search
from footnote.runtime import Runtime
from footnote.text import words
from tests import driving

pytestmark = pytest.mark.anyio


async def identifiers(rt: Runtime, given: str) -> set[str]:
    async with rt.transaction() as session:
        return set(await session.scalar(text("SELECT identifiers(:given)"), {"given": given}) or ())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("What does ERR_CONN_42 mean?", {"err_conn_42"}),
        ("see (v2.14.3-rc1), CVE-2024-12345.", {"v2.14.3-rc1", "cve-2024-12345"}),
        ("mail j.doe+x@example.com now", {"j.doe+x@example.com", "example.com"}),
        ("in /etc/foo/bar.conf:", {"etc/foo/bar.conf", "bar.conf"}),
        ("https://h.io/a/ERR_7", {"https://h.io/a/err_7", "err_7"}),
        ("550E8400-e29b-41d4-a716-446655440000", {"550e8400-e29b-41d4-a716-446655440000"}),
        ("part 4711-0815/b or 90210441", {"4711-0815/b", "4711-0815", "90210441"}),
        ("p53 and IL-6", {"p53", "il-6"}),
        ("A well-known story, e.g. of the U.S. in 2018 -- $577!", set()),
        ("Straße_7 und naïve_8", {"straße_7", "naïve_8"}),
        ("", set()),
    ],
)
async def test_what_counts_as_an_identifier(rt: Runtime, given: str, expected: set[str]) -> None:
    assert await identifiers(rt, given) == expected
    assert await identifiers(rt, words.telling(f"Many words. {given} And more\nof them")) == expected


@pytest.mark.parametrize(
    "given", ["a_" * 4000, "1" * 8000, "@" * 8000, "a.1" * 2600, "x/" * 4000 + " a_1", "ä_" * 3000]
)
async def test_whatever_a_text_holds_it_can_be_stored(rt: Runtime, given: str) -> None:
    expected = {"a_1"} if given.endswith(" a_1") else set()
    assert await identifiers(rt, given) == await identifiers(rt, words.telling(given)) == expected
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, f"{given} lamp", "odd.txt")
    assert (await search(rt.for_tenant(tenant), Query("lamp", mode="keyword"))).hits


NAMES = {
    "code": ("E_TIMEOUT_417", "E_TIMEOUT_471", "E_TIMEOUT_41", "F_TIMEOUT_417"),
    "version": ("v3.12.4-rc2", "v3.12.4-rc1", "v3.12.4", "v3.1.24-rc2"),
    "part": ("AX-4471-B", "AX-4471-C", "AX-4417-B", "BX-4471-B"),
    "address": ("keeper7@north.example", "keeper1@north.example", "keeper7@south.example", "keeper77@north.example"),
    "path": ("/opt/lamp/burner.cfg", "/opt/lamp/burner.cf", "/opt/lens/burner.cfg", "/etc/lamp/burner.cfg"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
async def test_the_one_that_is_named_comes_first(rt: Runtime, names: tuple[str, ...]) -> None:
    tenant = await driving.new_tenant(rt)
    for name in names:
        await driving.ready(
            rt, tenant, f"The note on {name} says that the keeper repairs it at noon.", f"{hash(name)}.txt"
        )
    for filler in range(6):
        much = "What is known about the note on it? What does it say? The keeper repairs it. "
        await driving.ready(rt, tenant, f"{much * (filler + 1)}", f"filler{filler}.txt")
    asked: list[tuple[str, Mode]] = [(name, "keyword") for name in names]
    for name, mode in [*asked, (names[0], "hybrid")]:
        hits = (await search(rt.for_tenant(tenant), Query(f"What is known about the note on {name}?", mode=mode))).hits
        assert f"on {name} says" in hits[0].text, (name, mode)


async def test_an_identifier_in_many_chunks_names_nothing_in_particular(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    for number in range(12):
        await driving.ready(rt, tenant, f"Form 10-K of the year {1990 + number}.", f"{number}.txt")
    await driving.ready(rt, tenant, "The siren of the tower. The siren is loud.", "siren.txt")
    hits = (await search(rt.for_tenant(tenant), Query("the 10-K siren", mode="keyword"))).hits
    assert "siren" in hits[0].text


async def test_a_short_identifier_is_a_word_like_others(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(
        rt,
        tenant,
        "A change in the numbers of stores: 1,000 after closing some stores in the second quarter.",
        "stores.txt",
    )
    await driving.ready(rt, tenant, "See table Q2 for the colours of lamps and of lenses.", "lamps.txt")
    hits = (await search(rt.for_tenant(tenant), Query("Was there a change in the numbers of stores in Q2?"))).hits
    assert [hit.filename for hit in hits] == ["stores.txt", "lamps.txt"]
    assert [hit.exact_matches for hit in hits] == [0, 0]


@pytest.mark.parametrize("quotes", ['"{}"', "“{}”", "„{}“", "«{}»"])
async def test_a_phrase_in_quotes_comes_first(rt: Runtime, quotes: str) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(
        rt, tenant, "The lamp of the keeper, and red: signal after signal, lamp and keeper.", "scattered.txt"
    )
    await driving.ready(
        rt, tenant, "Long ago, when nobody cared, somebody lit the red signal lamp. " + "Nothing else. " * 9, "p.txt"
    )
    question = f"keeper lamp signal {quotes.format('red signal lamp')}"
    assert (await search(rt.for_tenant(tenant), Query(question, mode="keyword"))).hits[0].filename == "p.txt"
    assert (await search(rt.for_tenant(tenant), Query(question))).hits[0].filename == "p.txt"


async def test_quotes_around_nothing_are_none(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, "The lamp burns.", "lamp.txt")
    for question in ('"', '""', 'lamp ""', '"of the" lamp', '"\'" lamp', '"lamp"' * 300):
        hits = (await search(rt.for_tenant(tenant), Query(question, mode="keyword"))).hits
        assert bool(hits) == ("lamp" in question)


async def test_an_identifier_in_two_chunks_that_overlap_is_rare(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    sentence = "The wick is trimmed at noon."
    text = " ".join([sentence] * 11) + " Order AX-4471-B.\n\n" + " ".join([sentence] * 12)
    document_id = await driving.ready(rt, tenant, text, "stores.txt")
    assert ["AX-4471-B" in each.text for each in await driving.chunks_of(rt, document_id)] == [True, True]
    much = "How is an order placed? Place the order by post, and the order is sent. "
    for filler in range(4):
        await driving.ready(rt, tenant, much * (filler + 1), f"filler{filler}.txt")
    hits = (await search(rt.for_tenant(tenant), Query("How is an order placed for AX-4471-B?", mode="keyword"))).hits
    assert [(hit.filename, hit.exact_matches) for hit in hits[:2]] == [("stores.txt", 1)] * 2
    assert hits[2].exact_matches == 0


async def test_an_identifier_in_most_chunks_of_one_document_names_nothing_in_particular(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    sections = "\n\n".join(f"The AX-4471-B has a part {n}. " + f"It is used for task {n}. " * 15 for n in range(4))
    await driving.ready(rt, tenant, f"{sections}\n\n" + "The siren is loud. " * 15, "manual.txt")
    hits = (await search(rt.for_tenant(tenant), Query("How loud is the siren of the AX-4471-B?", mode="keyword"))).hits
    assert "siren" in hits[0].text


@pytest.mark.parametrize("documents", [1, 2, 3, 5])
async def test_an_identifier_comes_first_in_small_collections(rt: Runtime, documents: int) -> None:
    tenant = await driving.new_tenant(rt)
    much = "How is an order placed? Place the order by post, and the order is sent. "
    await driving.ready(rt, tenant, "The wick is trimmed at noon. Spare part: AX-4471-B.", "wick.txt")
    for number in range(1, documents):
        await driving.ready(rt, tenant, much * number, f"{number}.txt")
    for mode in ("hybrid", "keyword"):
        hits = (await search(rt.for_tenant(tenant), Query("How is an order placed for AX-4471-B?", mode=mode))).hits
        assert [hits[0].filename, hits[0].exact_matches] == ["wick.txt", 1]
        assert not any(hit.exact_matches for hit in hits[1:])


async def test_an_identifier_in_two_of_five_documents_is_rare_wherever_chunks_overlap(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    sentence, other = "The wick is trimmed at noon.", "The lens is polished by day."
    for name, each in {"wick.txt": sentence, "lens.txt": other}.items():
        text = " ".join([each] * 11) + " Order AX-4471-B.\n\n" + " ".join([each] * 12)
        document_id = await driving.ready(rt, tenant, text, name)
        assert sum("AX-4471-B" in each.text for each in await driving.chunks_of(rt, document_id)) == 2
    much = "How is an order placed? Place the order by post, and the order is sent. "
    for filler in range(3):
        await driving.ready(rt, tenant, much * (filler + 8), f"filler{filler}.txt")
    hits = (await search(rt.for_tenant(tenant), Query("How is an order placed for AX-4471-B?", mode="keyword"))).hits
    assert [hit.exact_matches for hit in hits[:4]] == [1, 1, 1, 1]
    assert {hit.filename for hit in hits[:4]} == {"wick.txt", "lens.txt"}
