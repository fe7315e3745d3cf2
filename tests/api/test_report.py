"""The report of a document: what was read and what was not."""

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
import xlsxwriter

from footnote.providers import Embeddings
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.conftest import Person
from tests.documents.test_sources import archive
from tests.driving import paragraphs
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


async def test_a_document_that_was_read_whole(rt: Runtime, alice: Person) -> None:
    document_id = await driving.ready(rt, alice.tenant_id, paragraphs(5))
    report = (await alice.client.get(f"/v1/documents/{document_id}/report")).json()
    assert report["warnings"] == []
    assert (report["pages"], report["chunks"], report["embedded"]) == (1, 5, 5)
    assert report["characters"] == len(paragraphs(5))
    assert report["tokens"] > 0
    assert [step["name"] for step in report["steps"]] == ["chunk", "embed", "upsert"]
    assert all(step["seconds"] is not None for step in report["steps"])


async def test_the_report_names_what_could_not_be_read(rt: Runtime, alice: Person) -> None:
    damaged = "The lamp \ufffd\ufffd is lit.\n".encode()
    document_id = await driving.ready(rt, alice.tenant_id, damaged)
    report = (await alice.client.get(f"/v1/documents/{document_id}/report")).json()
    assert report["replaced_characters"] == 2
    assert [warning["code"] for warning in report["warnings"]] == ["replaced_characters"]


async def test_a_failed_document_says_why(rt: Runtime, alice: Person) -> None:
    content = (SAMPLES / "no_text.pdf").read_bytes()
    accepted = await driving.accept(rt, alice.tenant_id, content, "scan.pdf")
    await driving.run(rt, accepted.details.job.id)
    report = (await alice.client.get(f"/v1/documents/{accepted.details.document.id}/report")).json()
    assert (report["status"], report["error"]["code"]) == ("failed", "no_text")


async def test_files_that_were_skipped_are_named(rt: Runtime, alice: Person) -> None:
    packed = archive(("a.txt", b"A."), ("b.png", b"\x89PNG\r\n\x1a\n"))
    accepted = await driving.accept(rt, alice.tenant_id, packed, "files.zip")
    await driving.run(rt, accepted.details.job.id)
    report = (await alice.client.get(f"/v1/documents/{accepted.details.document.id}/report")).json()
    assert (report["documents"], report["skipped"]) == (1, 1)
    assert report["skipped_files"] == [{"name": "b.png", "code": "unsupported_type"}]
    assert "b.png" in report["warnings"][0]["message"]


class ShortReader(FakeEmbedder):
    """Reads some words of a text, as far as the report is concerned: longer ones come back as made of pieces."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        answer = await super().embed(texts)
        return replace(answer, split=frozenset(place for place, text in enumerate(texts) if "Paragraph 1 of" in text))


async def test_chunks_that_were_embedded_in_pieces_are_counted(rt: Runtime, alice: Person) -> None:
    rt = replace(rt, embedder=ShortReader())
    for collection in ("default", "again"):  # in which the vectors are known
        document_id = await driving.ready(rt, alice.tenant_id, paragraphs(5), collection=collection)
        report = (await alice.client.get(f"/v1/documents/{document_id}/report")).json()
        assert (report["split_chunks"], report["chunks"]) == (1, 5)
        assert report["warnings"][0]["code"] == "split_chunks"
        assert report["warnings"][0]["message"].startswith("1 of 5 chunks are longer than the embedding model reads")


async def test_the_report_names_formulas_without_values(rt: Runtime, alice: Person) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for place, formula in (("A1", "=1+2"), ("A2", "=A1*2"), ("A3", "=TODAY()")):
            sheet.write_formula(place, formula)
    document_id = await driving.ready(rt, alice.tenant_id, out.getvalue(), "budget.xlsx")
    report = (await alice.client.get(f"/v1/documents/{document_id}/report")).json()
    (warning,) = report["warnings"]
    assert warning["code"] == "formulas_without_values"
    assert "3 formulas: 2 were calculated" in warning["message"]
    assert "1 are shown as formulas" in warning["message"]
