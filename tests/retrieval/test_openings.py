"""The beginning of the document that a question is about."""

import pytest
from sqlalchemy import func, select, text

from footnote.models import Chunk
from footnote.retrieval import Hit, Query, search
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once

pytestmark = pytest.mark.anyio
PARAGRAPH = "{} number {} of the keeper stands in this paragraph, which is about as long as others are. " * 8

CONCLUDED = "Oil and wood should be stored in different rooms, with a bucket of sand beside each of the doors."


def book(word: str) -> str:
    return "\n\n".join(PARAGRAPH.format(*[word, number] * 8) for number in range(12))


async def make_tenant(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, book("Lamp"), "lamp_log_1871.txt")
    await driving.ready(rt, tenant_id, book("Siren"), "siren.txt")
    await driving.ready(rt, tenant_id, f"{book('Oil')}\n\nConclusions\n\n{CONCLUDED}\n\n{book('Wood')}", "stores.txt")
    return tenant_id


engine, stored = stored_once(make_tenant)


async def first(rt: Runtime, tenant_id: str, text: str, **given: object) -> list[Hit]:
    return (await search(rt.for_tenant(tenant_id), Query(text, opening=True, **given))).hits  # type: ignore[arg-type]


async def test_a_file_that_is_named_begins_the_hits(rt: Runtime, stored: str) -> None:
    hits = await first(rt, stored, "What is siren.txt about?")
    assert (hits[0].filename, hits[0].position, hits[0].exact_matches) == ("siren.txt", 0, 1)
    assert hits[1].filename == "siren.txt"
    assert len({hit.chunk_id for hit in hits}) == len(hits)


async def test_words_of_a_name_tell_the_document(rt: Runtime, stored: str) -> None:
    [hit, *_] = await first(rt, stored, "What is the log of 1871 about?")
    assert (hit.filename, hit.position) == ("lamp_log_1871.txt", 0)


async def test_a_document_out_of_scope_is_not_opened(rt: Runtime, stored: str) -> None:
    hits = await first(rt, stored, "What is lamp_log_1871.txt about?")
    others = await first(rt, stored, "What is siren.txt about?", document_ids=[hits[0].document_id])
    assert {hit.filename for hit in others} == {"lamp_log_1871.txt"}


async def test_without_it_nothing_is_put_first(rt: Runtime, stored: str) -> None:
    hits = (await search(rt.for_tenant(stored), Query("What is siren.txt about?"))).hits
    assert [hit.fused_rank for hit in hits] == sorted(hit.fused_rank for hit in hits)


async def test_a_section_that_is_asked_for_begins_the_hits(rt: Runtime, stored: str) -> None:
    [hit, *_] = await first(rt, stored, "What does stores.txt conclude?")
    assert hit.filename == "stores.txt"
    assert "Conclusions" in hit.text
    assert hit.exact_matches == 1
    [titled, *_] = await first(rt, stored, "What are the conclusions of the report on stores?")
    assert (titled.filename, titled.exact_matches) == ("stores.txt", 1)


async def test_a_document_without_the_section_begins_with_its_beginning(rt: Runtime, stored: str) -> None:
    [hit, *_] = await first(rt, stored, "What does siren.txt conclude?")
    assert (hit.filename, hit.position) == ("siren.txt", 0)


async def test_the_only_document_with_the_section_is_the_one_that_is_meant(rt: Runtime, stored: str) -> None:
    [hit, *_] = await first(rt, stored, "What does the report conclude?")
    assert (hit.filename, hit.exact_matches) == ("stores.txt", 1)
    assert "Conclusions" in hit.text
    others = await first(
        rt, stored, "What does the report conclude?", document_ids=[await _id(rt, stored, "siren.txt")]
    )
    assert {each.filename for each in others} == {"siren.txt"}


async def test_of_several_with_the_section_none_is_certainly_meant(rt: Runtime) -> None:
    tenant_id = await driving.new_tenant(rt)
    for name in ("stores.txt", "sheds.txt"):
        await driving.ready(rt, tenant_id, f"Conclusions\n\n{name} {CONCLUDED}\n\n{book('Wood')}", name)
    [hit, *_] = await first(rt, tenant_id, "What does the report conclude?")
    assert hit.exact_matches is None


async def test_each_chunk_is_looked_at_once_for_a_section(rt: Runtime, stored: str) -> None:
    async def rows_read(question: str) -> int:
        """Of chunks and their index entries, in the transaction of the test."""
        counted = "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class WHERE relname ~ '^(ix|pk)?_?chunk'"
        async with rt.transaction() as session:
            before = await session.scalar(text(counted))
        await first(rt, stored, question)
        async with rt.transaction() as session:
            return int(await session.scalar(text(counted)) - before)

    async with rt.transaction() as session:
        chunks = (await session.scalars(select(func.count()).select_from(Chunk))).one()
    await rows_read("What is stores.txt about?")  # the first one reads the vocabulary
    beginning = await rows_read("What is stores.txt about?")
    assert await rows_read("What does stores.txt conclude?") - beginning < 6 * chunks


async def test_a_file_is_found_by_words_of_its_name_that_its_text_does_not_have(rt: Runtime) -> None:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, "name,price\nLamp,3\nSiren,4\n", "Inventory_2024.csv")
    await driving.ready(rt, tenant_id, book("Overview"), "other.txt")
    [hit, *_] = await first(rt, tenant_id, "Give me an overview of the inventory")
    assert (hit.filename, hit.exact_matches) == ("Inventory_2024.csv", 1)


async def _id(rt: Runtime, tenant_id: str, name: str) -> str:
    return (await first(rt, tenant_id, f"What is {name} about?"))[0].document_id


@pytest.mark.parametrize(("question", "held"), [("What is a beacon?", "beacon"), ("Wer ist Turmwart?", "Turmwart")])
async def test_the_word_that_asks_is_no_word_that_a_text_must_have(rt: Runtime, question: str, held: str) -> None:
    """A short question tells no language; where texts are in several, its small words counted as missing."""
    tenant_id = await driving.new_tenant(rt)
    english = "The beacon is a light on the hill, and the keeper of the tower lights it when the boats are late."
    german = "Der Turmwart ist für das Licht auf dem Hügel da, und er zündet es an, wenn die Boote nicht kommen."
    await driving.ready(rt, tenant_id, english, "beacon.txt")
    await driving.ready(rt, tenant_id, german, "turm.txt")
    [hit, *_] = (await search(rt.for_tenant(tenant_id), Query(question, mode="keyword"))).hits
    assert held in hit.text
    assert hit.coverage is not None
    assert hit.coverage > 0.99
