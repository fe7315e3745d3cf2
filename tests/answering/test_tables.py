"""Answers from tables: found behind the hits, read with what stands above them on the page."""

from dataclasses import replace

import pytest

from footnote import answering
from footnote.answering import Done, Question, searching
from footnote.answering.cited_text import PageExcerpt
from footnote.providers.extractive import ExtractiveGenerator
from footnote.retrieval import Hit, Query
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once

pytestmark = pytest.mark.anyio
HEAD = "Costs of the lighthouses were as follows (in millions):\nYear Ended December 31,\n2017 2018 2019\n"
ROWS = "\n".join(f"Costs of tower {number} {number},100 {number},200 {number},300" for number in range(10, 60))
TABLE = f"{HEAD}{ROWS}\nMarketing 10,069 13,814 18,878\n"
MATTERS = ("posters", "papers", "flags", "songs", "boats", "coins", "lamps", "books", "maps", "bells", "cups", "hats")
QUESTION = "How much did the lighthouses spend on marketing in 2019?"


async def make_tenant(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    await driving.ready(rt, tenant_id, TABLE, "costs.txt")
    for number, word in enumerate(MATTERS):
        said = f"What lighthouses spend on marketing in 2019 is spent on {word}, of which {number + 3} kinds exist. "
        await driving.ready(rt, tenant_id, said + f"Marketing with {word} began early.", f"{word}.txt")
    return tenant_id


engine, stored = stored_once(make_tenant)


@pytest.fixture
def rt(rt: Runtime, stored: str) -> Runtime:
    settings = rt.settings.model_copy(update={"least_evidence": 0.0})
    return replace(rt.for_tenant(stored), generator=ExtractiveGenerator(), settings=settings)


async def ask(rt: Runtime, words: str) -> Done:
    return (await answering.collect(answering.answer(rt, Question(Query(words)))))[1]


async def test_a_row_far_below_its_head_is_said_with_its_year_and_unit(rt: Runtime) -> None:
    done = await ask(rt, QUESTION)
    assert done.answer.startswith("Marketing, 2019: 18,878 million")
    assert done.answer_status == "supported"
    assert done.citations[0].quote == "Marketing 10,069 13,814 18,878"
    assert done.citations[0].verified


async def test_the_row_of_a_misspelt_word_is_found(rt: Runtime) -> None:
    done = await ask(rt, QUESTION.replace("marketing", "markteing"))
    assert done.citations[0].quote == "Marketing 10,069 13,814 18,878"


async def test_years_that_no_column_has_are_not_answered_by_another(rt: Runtime) -> None:
    done = await ask(rt, QUESTION.replace("2019", "2024"))
    assert "18,878" not in done.answer.split(" [1]")[0] or done.answer_status == "related"


def hit(chunk_id: str, text: str) -> Hit:
    unknown = dict.fromkeys(Hit.__dataclass_fields__)
    known = {"chunk_id": chunk_id, "filename": f"{chunk_id}.txt", "heading": "", "subject": chunk_id, "text": text}
    return Hit(**(unknown | known | {"char_start": len(HEAD)}))  # type: ignore[arg-type]  # all else is not looked at


PROSE = [hit(f"prose-{number}", f"Marketing of kind {number} costs the lighthouses much.") for number in range(12)]
ROW = hit("table", "Marketing 10,069 13,814 18,878")
PLACES = {"table": PageExcerpt(HEAD + ROW.text, 0, "text/plain")}


def test_the_candidate_whose_table_has_the_value_is_the_last_that_is_shown() -> None:
    question = Question(Query(QUESTION))
    found = searching.with_rows(question, PROSE[:10], [*PROSE, ROW], PLACES)
    assert found == [*PROSE[:7], ROW, *PROSE[7:9]]
    assert searching.shown(question, found)[-1] is ROW


def test_a_hit_that_is_not_shown_moves_up() -> None:
    hits = [*PROSE[:9], ROW]
    assert searching.with_rows(Question(Query(QUESTION)), hits, hits, PLACES) == [*PROSE[:7], ROW, *PROSE[7:9]]


def test_hits_stay_where_no_candidate_has_the_value() -> None:
    for question in QUESTION.replace("2019", "2024"), "Who looks after the marketing?":
        assert searching.with_rows(Question(Query(question)), PROSE[:10], [*PROSE, ROW], PLACES) == PROSE[:10]
    few = [ROW, PROSE[0]]
    assert searching.with_rows(Question(Query(QUESTION)), few, [*PROSE, ROW], PLACES) == few


def test_more_than_the_hits_are_read_without_a_model() -> None:
    question, hits = Question(Query("Who looks after the marketing?")), PROSE[:10]
    more = [hit(f"more-{number}", "Ada Lund looks after it.") for number in range(20)]
    assert searching.passages_without_model(question, hits, [*PROSE, *more]) == [*PROSE, *more[:4]]
    assert searching.shown(question, hits) == hits[:8]


def test_no_more_is_read_where_few_or_strong_hits_are_wanted_or_several_searches_were_made() -> None:
    question = Question(Query("Who looks after the marketing?"))
    assert searching.passages_without_model(question, PROSE[:7], PROSE) == PROSE[:7]
    assert searching.passages_without_model(replace(question, least_relevance=0.5), PROSE[:10], PROSE) == PROSE[:8]
    any_sentence = replace(question, query=Query("The marketing is looked after."))
    assert searching.passages_without_model(any_sentence, PROSE[:10], PROSE) == PROSE[:8]
    assert searching.passages_without_model(replace(question, parts=["Who?", "What?"]), PROSE[:10], PROSE) == PROSE[:10]
