"""What stands under which headings: stored with a page, told of its parts, and of each citation."""

import pytest
from sqlalchemy import update

from footnote.formats import Block, ParsedPage, paginate
from footnote.models import Page
from footnote.providers.extractive import ExtractiveGenerator
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio
NOTES = "# Light\n\nThe lamp was lit in 1874.\n\n## Barometer\n\nAdd 4.6 hectopascals to every reading.\n"
ASKED = {"question": "How many hectopascals are added to every reading of the barometer?"}


def outline(*blocks: Block) -> list[tuple[str, tuple[str, ...]]]:
    [page] = paginate(blocks)
    assert isinstance(page, ParsedPage)
    return [(page.text[start:end].strip(), headings) for start, end, headings in page.outline]


def test_neighbours_under_the_same_headings_are_one_section() -> None:
    told = outline(
        Block("Before."),
        Block("Light", heading=("Light",)),
        Block("a | b", heading=("Light",), columns="x | y"),
        Block("Aside.", heading=("Light",), aside=True),
        Block("Fog", heading=("Light", "Fog")),
        Block("After."),
        Block("Light", heading=("Light",)),
    )
    assert told == [
        ("Light\n\na | b\n\nAside.", ("Light",)),
        ("Fog", ("Light", "Fog")),
        ("Light", ("Light",)),
    ]
    assert outline(Block("No heading.")) == []


async def test_a_citation_says_the_headings_above_its_quote(rt: Runtime, alice: Person) -> None:
    """By the outline: the chunk holds both sections, and has the heading of the first."""
    object.__setattr__(rt, "generator", ExtractiveGenerator())
    document_id = await driving.ready(rt, alice.tenant_id, NOTES, "notes.md")
    [chunk] = (await alice.client.get(f"/v1/documents/{document_id}/chunks")).json()["data"]
    assert chunk["heading"] == "Light"
    answer = (await alice.client.post("/v1/query", json=ASKED)).json()
    [citation] = answer["citations"]
    assert ("4.6" in citation["quote"], citation["heading"]) == (True, "Light > Barometer")

    path = f"/v1/documents/{document_id}/pages/1"
    page = (await alice.client.get(path)).json()
    assert [each["headings"] for each in page["outline"]] == [["Light"], ["Light", "Barometer"]]
    assert page["text"][page["outline"][1]["char_start"] :].startswith("## Barometer")
    start = citation["char_start"]
    part = (await alice.client.get(path, params={"char_start": start, "char_end": start + 9})).json()
    assert part["outline"] == page["outline"][1:]

    async with rt.transaction() as session:  # as it is stored of a document from before
        await session.execute(update(Page).values(outline=None))
    [citation] = (await alice.client.post("/v1/query", json=ASKED)).json()["citations"]
    assert citation["heading"] == "Light"
    assert (await alice.client.get(path)).json()["outline"] == []
