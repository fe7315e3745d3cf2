"""Lists of documents by a part of the name are the same, whichever way the documents are found."""

from itertools import product
from typing import Any

import pytest

from footnote import documents
from footnote.documents import listing
from footnote.models import Document
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person

pytestmark = pytest.mark.anyio
NAMES = (
    "Annual report 2024.md",
    "annual REPORT 2025.md",
    "Übersicht.md",
    "it's 100% \\ 'quoted'.md",
    "报告 2025.md",
    "x.md",
    "Σίσυφος.md",
)
PARTS = ("REPORT 20", "2025", "ü", "'", "\\", "0% \\ 'q", "_", "报", "报告 2", "x", ".md", "ΣΊΣ", "ς", "lder/A", "zzz")

CONDITIONS: tuple[Any, Any] = ((), ("failed",)), (None, "default")


def has(document: Document, part: str) -> bool:
    """As ILIKE compares: letter by letter, without rules for the ends of words."""
    folded = "".join(each.lower() for each in part)
    names = (document.filename, document.external_id or "")
    return any(folded in "".join(each.lower() for each in name) for name in names)


@pytest.mark.parametrize("walked", [1, 1_000])
async def test_a_part_of_a_name_finds_the_same_whichever_way_is_taken(
    rt: Runtime, alice: Person, charlie: Person, monkeypatch: pytest.MonkeyPatch, walked: int
) -> None:
    monkeypatch.setattr(listing, "WALKED", walked)
    monkeypatch.setattr(listing, "SMALL", -1)
    for name in NAMES:
        accepted = await driving.accept(rt, alice.tenant_id, name, name, external_id=f"Folder/{name}"[:9])
        state = "failed" if "2025" in name else "succeeded"
        await driving.set_job(rt, accepted.details.job.id, state=state)
    await driving.accept(rt, charlie.tenant_id, "report", NAMES[0])
    async with rt.for_tenant(alice.tenant_id).transaction() as session:
        everything = [each.document for each in await documents.list_documents(session, limit=100)]
        assert len(everything) == len(NAMES)
        failed = {each.id for each in everything if "2025" in each.filename}
        orders: dict[documents.Sort, Any] = {
            "newest": everything,
            "oldest": everything[::-1],
            "name": sorted(everything, key=lambda each: (each.filename.lower(), each.id)),
        }
        for part, sort, states, collection in product(PARTS, orders, *CONDITIONS):
            wanted: dict[str, Any] = {"q": part, "states": states, "collection": collection}
            expected = [each.id for each in orders[sort] if has(each, part) and (not states or each.id in failed)]
            for limit, offset in ((1, 0), (100, 1)):
                found = await documents.list_documents(session, limit=limit, sort=sort, offset=offset, **wanted)
                assert [each.document.id for each in found] == expected[offset : offset + limit], (wanted, sort, limit)
            for place, cursor in list(enumerate(expected))[::4]:
                found = await documents.list_documents(session, limit=2, sort=sort, before=cursor, **wanted)
                assert [each.document.id for each in found] == expected[place + 1 : place + 3], (wanted, sort, cursor)
            chosen = documents.DocumentFilter(**wanted)
            assert await documents.count_documents(session, chosen) == len(expected)
            assert await listing.ids_of(session, chosen, limit=100) == sorted(expected)
