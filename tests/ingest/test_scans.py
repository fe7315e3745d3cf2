"""Scanned documents on their way through the pipeline: what a person sees of them in the end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from footnote import ingest
from footnote.jobs import scheduling
from footnote.models import Page
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.conftest import Person
from tests.scans import StandIn, drawn, nowhere, scan

pytestmark = pytest.mark.anyio


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    program = StandIn(tmp_path / "bin", monkeypatch)
    program.install()
    return program


@pytest.fixture
def reading(rt: Runtime) -> Runtime:
    """Like a worker's."""
    return replace(rt, settings=rt.settings.model_copy(update={"ocr": "auto"}))


def scanned(tmp_path: Path, pages: int) -> bytes:
    return scan(tmp_path / "scan.pdf", *(drawn(f"Page {number}") for number in range(pages))).read_bytes()


async def test_a_scan_becomes_a_document_that_says_what_it_is(
    reading: Runtime, alice: Person, tesseract: StandIn, tmp_path: Path
) -> None:
    tesseract.install("if number == 2:\n    write()\n    sys.exit()")
    document_id = await driving.ready(reading, alice.tenant_id, scanned(tmp_path, 3), "scan.pdf")
    report = (await alice.client.get(f"/v1/documents/{document_id}/report")).json()
    assert (report["pages"], report["ocr_pages"], report["ocr_languages"]) == (3, 2, "eng")
    assert report["empty_pages"] == [2]
    said = {warning["code"]: warning["message"] for warning in report["warnings"]}
    assert said["recognised_pages"].startswith("2 of 3 pages are pictures whose text was recognised (eng)")
    assert "(2): they are empty, or pictures in which none could be read" in said["pages_without_text"]
    assert set(said) == {"recognised_pages", "pages_without_text"}


async def test_a_quote_is_marked_where_it_was_read(
    reading: Runtime, alice: Person, tesseract: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = await driving.ready(reading, alice.tenant_id, scanned(tmp_path, 1), "scan.pdf")
    nowhere(monkeypatch, tmp_path / "nothing")  # who shows pages need not be able to read them
    text = (await alice.client.get(f"/v1/documents/{document_id}/pages/1")).json()["text"]
    start = text.index("lamp of")
    query = {"char_start": start, "char_end": start + len("lamp of")}
    found = (await alice.client.get(f"/v1/documents/{document_id}/pages/1/highlights", params=query)).json()
    assert found["quote"] == "lamp of"
    (box,) = found["boxes"]
    width, height = 2550, 3301
    assert box == pytest.approx([220 / width, 200 / height, 440 / width, 250 / height], abs=0.001)


async def test_pages_with_text_keep_no_places(rt: Runtime, alice: Person) -> None:
    await driving.ready(rt, alice.tenant_id, (SAMPLES / "handbook.pdf").read_bytes(), "handbook.pdf")
    async with rt.sessions() as session:
        assert set(await session.scalars(select(Page.number).where(Page.words.is_(None)))) >= {1, 2}
        assert (await session.scalars(select(Page).where(Page.words.is_not(None)))).all() == []


async def test_a_long_scan_gives_way_and_reads_no_page_twice(
    reading: Runtime, alice: Person, tesseract: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.chunk, "PART_PAGES", 2)
    rt = replace(reading, settings=reading.settings.model_copy(update={"yield_seconds": 0.0}))
    accepted = await driving.accept(rt, alice.tenant_id, scanned(tmp_path, 4), "scan.pdf")
    job_id = accepted.details.job.id

    async def wait(*_: Any) -> bool:
        return True

    with monkeypatch.context() as patch:
        patch.setattr(scheduling, "others_wait", wait)
        assert not await ingest.run_step(rt, job_id, "chunk")
    job = await driving.job_of(rt, job_id)
    assert (job.state, job.progress_done) == ("queued", 2)
    asked = tesseract.asked()
    job = await driving.run(rt, job_id)
    assert (job.state, tesseract.asked() - asked) == ("succeeded", 2)
    pages = await driving.pages_of(rt, job.document_id)
    assert [text.rstrip("0123456789") for _, text in sorted(pages.items())] == ["The lamp of page"] * 4
    report = (await alice.client.get(f"/v1/documents/{job.document_id}/report")).json()
    assert (report["pages"], report["ocr_pages"]) == (4, 4)


async def test_without_the_program_the_job_says_what_to_install(
    reading: Runtime, alice: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(monkeypatch, tmp_path / "nothing")
    accepted = await driving.accept(reading, alice.tenant_id, scanned(tmp_path, 1), "scan.pdf")
    job = await driving.run(reading, accepted.details.job.id)
    assert (job.state, job.error_code) == ("failed", "no_text")
    assert "install tesseract" in (job.error_message or "")
