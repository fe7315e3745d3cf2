"""Financial statements that a question names, and passages that spell an abbreviation out."""

import pytest

from footnote.retrieval import Hit, Query, search
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once

pytestmark = pytest.mark.anyio
CASH_FLOWS = """CONSOLIDATED STATEMENTS OF CASH FLOWS
(in millions) {year} {before}
Net cash provided by operating activities 512 498
Depreciation and amortization 61 58
Purchases of property, plant and equipment (77) (70)
Net cash used in investing activities (80) (75)
Dividends paid (40) (38)
Net cash used in financing activities (210) (190)
Net increase in cash and cash equivalents 222 233
"""
TALK = "The statement of cash flows of {company} shows capital expenditure in {year}, which the board discussed. " * 12
SHORT = "The RMS reports to the board. RMS and RMS again. " * 20
QUESTION = "What is Beacon's FY2019 capital expenditure? Use the cash flow statement."


async def make_tenant(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    for company in ("BEACON", "LANTERN"):
        for year in (2018, 2019):
            pages = (
                CASH_FLOWS.format(year=year, before=year - 1) + "\n\n" + TALK.format(year=year, company=company.title())
            )
            await driving.ready(rt, tenant_id, pages, f"{company}_{year}_10K.txt")
    await driving.ready(rt, tenant_id, SHORT, "reports.txt")
    await driving.ready(rt, tenant_id, "We run Rotary and Mission Systems (RMS), among others.", "segments.txt")
    return tenant_id


engine, stored = stored_once(make_tenant)


async def hits(rt: Runtime, tenant_id: str, text: str, **given: object) -> list[Hit]:
    return (await search(rt.for_tenant(tenant_id), Query(text, **given))).hits  # type: ignore[arg-type]


async def test_the_statement_of_the_company_and_year_comes_first(rt: Runtime, stored: str) -> None:
    found = await hits(rt, stored, QUESTION)
    assert found[0].filename == "BEACON_2019_10K.txt"
    assert "Purchases of property" in found[0].text
    assert len({hit.chunk_id for hit in found}) == len(found)


async def test_a_statement_out_of_scope_is_not_found(rt: Runtime, stored: str) -> None:
    [other, *_] = await hits(rt, stored, QUESTION.replace("Beacon", "Lantern").replace("2019", "2018"))
    assert other.filename == "LANTERN_2018_10K.txt"
    found = await hits(rt, stored, QUESTION, document_ids=[other.document_id])
    assert {hit.filename for hit in found} == {other.filename}
    assert await hits(rt, await driving.new_tenant(rt), QUESTION) == []


async def test_what_spells_an_abbreviation_out_comes_first(rt: Runtime, stored: str) -> None:
    found = await hits(rt, stored, "What does RMS stand for?")
    assert (found[0].filename, found[0].exact_matches) == ("segments.txt", 1)
    found = await hits(rt, stored, "What does RMS stand for?", document_ids=[found[1].document_id])
    assert "segments.txt" not in {hit.filename for hit in found}


async def test_only_such_questions_look_again(rt: Runtime, stored: str) -> None:
    found = await hits(rt, stored, "Who reports to the board?")
    assert [hit.fused_rank for hit in found] == sorted(hit.fused_rank for hit in found)
