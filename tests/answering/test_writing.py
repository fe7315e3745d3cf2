"""Models that give no source at first, and what is shown and counted meanwhile."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from footnote import answering
from footnote.answering import Delta, Done, Event, Question
from footnote.errors import Unavailable
from footnote.providers import GenerationRequest, GeneratorEvent, ModelRef, Token, Usage
from footnote.providers.messages import BRIEF_PASSAGES
from footnote.retrieval import Query
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
LAMP = "The lamp of Fairhaven burns colza oil. Agnes Tolmie built the tower in 1874. It stands 31 metres above the sea."
ASKED = Question(Query("Which oil does the lamp of Fairhaven burn?"))
UNSOURCED = ["It is fuelled by colza. ", "That much is sure."]
CITED = ['It burns colza [1: "burns colza oil"].']


async def make(rt: Runtime) -> str:
    tenant_id = await driving.new_tenant(rt)
    for number in range(BRIEF_PASSAGES + 2):
        await driving.ready(rt, tenant_id, f"{LAMP} It is lamp number {number} of {number + 20}.", f"{number}.txt")
    return tenant_id


engine, stored = stored_once(make)


@pytest.fixture
def rt(rt: Runtime, stored: str) -> Runtime:
    return rt.for_tenant(stored)


class Model(FakeGenerator):
    """Says one of `answers` after the other, the last one again and again; raises what is an error."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        super().__init__()
        self.answers = list(answers)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        for piece in answer:
            yield Token(piece)
        yield Usage(100, 10)


async def ask(rt: Runtime, model: Model) -> tuple[list[Event], Done]:
    events = [event async for event in answering.answer(replace(rt, generator=model), ASKED)]
    done = events[-1]
    assert isinstance(done, Done)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == done.answer
    return events, done


async def test_an_answer_without_a_source_is_asked_for_again(rt: Runtime) -> None:
    model = Model(UNSOURCED, CITED)
    _, done = await ask(rt, model)
    assert (done.answer, done.answer_status, done.usage) == ("It burns colza [1].", "supported", Usage(200, 20))
    assert [request.brief for request in model.requests] == [False, True]
    assert model.requests[1].question == ASKED.query.text


@pytest.mark.parametrize("again", [["Still none here."], Unavailable("provider_unavailable"), []])
async def test_the_first_answer_stays_where_the_second_is_no_better(rt: Runtime, again: list[str] | Exception) -> None:
    model = Model(UNSOURCED, again)
    _, done = await ask(rt, model)
    assert (done.answer, done.answer_status, len(model.requests)) == ("".join(UNSOURCED), "not_found", 2)


@pytest.mark.parametrize(
    "told",
    [
        "The sources do not say it.",
        "Die Quellen enthalten dazu keine Angabe.",
        "Les sources ne le disent pas.",
        "No hay respuesta.",
        "",
    ],
)
async def test_a_model_that_declines_is_believed(rt: Runtime, told: str) -> None:
    model = Model([told], CITED)
    _, done = await ask(rt, model)
    assert (done.answer_status, len(model.requests)) == ("not_found", 1)


async def test_a_model_is_shown_at_once_if_it_cited_last_time(rt: Runtime) -> None:
    """And otherwise from its first footnote on."""
    rt = replace(rt, citing={})
    seen: list[Event] = []
    shown: list[int] = []

    class Watched(Model):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
            async for event in super().generate(request):
                yield event
                shown.append(sum(isinstance(event, Delta) for event in seen))

    async def watched(*pieces: str) -> list[int]:
        seen.clear()
        shown.clear()
        async for event in answering.answer(replace(rt, generator=Watched(list(pieces))), ASKED):
            seen.append(event)
        return shown[: len(pieces)]

    pieces = "It is ", "fuelled ", 'by colza [1: "burns colza oil"].'
    model = ModelRef("fake", "fake-chat")
    assert (await watched(*pieces))[:2] == [0, 0]
    assert rt.citing == {model: True}
    assert (await watched(*pieces))[:2] == [1, 2]
    assert (await watched("It is ", "fuelled ", "by colza. "))[:2] == [1, 2]
    assert rt.citing == {model: False}
    assert (await watched(*pieces))[:2] == [0, 0]


async def test_sentences_without_a_source_are_repaired_on_request(rt: Runtime) -> None:
    partly = ['It burns colza [1: "burns colza oil"]. ', "Nothing is older in those parts."]
    better = ['It burns colza [1: "burns colza oil"]. It is 31 metres high [1: "31 metres above the sea"].']
    for setting, asked, status in (("off", 1, "partial"), ("on", 2, "supported")):
        rt = replace(rt, settings=rt.settings.model_copy(update={"answer_repair": setting}))
        model = Model(partly, better)
        _, done = await ask(rt, model)
        assert (len(model.requests), done.answer_status) == (asked, status)
    assert model.requests[1].draft == "It burns colza. Nothing is older in those parts."
    _, done = await ask(rt, Model(partly, UNSOURCED))
    assert done.answer.startswith("It burns colza [1].")
