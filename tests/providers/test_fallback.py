"""Which generator answers when the one before cannot."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from footnote.errors import (
    AccountRefused,
    CircuitOpen,
    FootnoteError,
    Invalid,
    ProviderRejected,
    RateLimited,
    TimedOut,
    Unavailable,
)
from footnote.providers import GenerationRequest, GeneratorEvent, ModelRef, Token, Usage, open_generators
from footnote.providers.fallback import Fallback, models_of
from footnote.settings import Settings
from footnote.telemetry.metrics import fallbacks_total

pytestmark = pytest.mark.anyio


class Scripted:
    """Yields the events, raises the errors, in order."""

    address = "http://somewhere"

    def __init__(self, provider: str, *script: GeneratorEvent | Exception) -> None:
        self.provider = provider
        self.model = f"{provider}-model"
        self.script = script
        self.requests: list[GenerationRequest] = []

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        for each in self.script:
            if isinstance(each, Exception):
                raise each
            yield each

    async def close(self) -> None: ...


async def collect(generators: list[Scripted], events: list[Any], **options: Any) -> list[Any]:
    async for event in Fallback(generators).generate(GenerationRequest("Why?", (), **options)):
        events.append(event)
    return events


ANSWER = Token("b"), Usage(1, 2)
SECOND = [ModelRef("second", "second-model"), *ANSWER]


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("provider_unavailable"),
        RateLimited("provider_unavailable", retry_after=30),
        TimedOut("provider_timeout"),
        CircuitOpen("provider_unavailable"),
        AccountRefused("provider_rejected"),
    ],
)
async def test_the_next_one_answers_and_says_so(error: FootnoteError) -> None:
    generators = [Scripted("first", error), Scripted("second", *ANSWER)]
    counter = fallbacks_total.labels("first/first-model", error.code)
    before = counter._value.get()
    assert await collect(generators, [], model="of-the-first") == SECOND
    assert counter._value.get() == before + 1
    assert [asked.model for each in generators for asked in each.requests] == ["of-the-first", None]


async def test_the_first_answers_with_the_model_asked_for() -> None:
    first, second = Scripted("first", Token("a")), Scripted("second", *ANSWER)
    assert await collect([first, second], [], model="chosen") == [ModelRef("first", "chosen"), Token("a")]
    assert second.requests == []


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ((ProviderRejected("provider_rejected", "400"),), 0),
        ((Token("a"), Unavailable("provider_unavailable")), 2),
        ((Token("a"), TimedOut("provider_timeout")), 2),
    ],
)
async def test_the_callers_mistakes_and_answers_that_have_begun_stay_where_they_are(script: Any, seen: int) -> None:
    second, events = Scripted("second", *ANSWER), list[Any]()
    with pytest.raises(type(script[-1])):
        await collect([Scripted("first", *script), second], events)
    assert (len(events), second.requests) == (seen, [])


async def test_where_none_can_answer_the_one_that_comes_back_first_is_told() -> None:
    limited = [RateLimited("provider_unavailable", retry_after=wait) for wait in (30, 7)]
    errors = [AccountRefused("provider_rejected"), *limited]
    with pytest.raises(RateLimited) as raised:
        await collect([Scripted("x", error) for error in errors], [])
    assert raised.value.retry_after == 7


def test_generators_are_opened_as_the_setting_lists_them() -> None:
    def opened(**options: Any) -> list[tuple[str, str]]:
        return [
            (each.provider, each.model) for each in open_generators(Settings(_env_file=None).model_copy(update=options))
        ]

    both = {"openai_api_key": "a", "anthropic_api_key": "b"}
    assert opened() == [("extractive", "extractive")]
    assert opened(anthropic_api_key="b")[0][0] == "anthropic"
    assert opened(**both)[0][0] == "openai"
    listed = opened(generator="anthropic, openai:llama3:8b,extractive", chat_model="claude-x")
    assert listed == [("anthropic", "claude-x"), ("openai", "llama3:8b"), ("extractive", "extractive")]
    for wrong in ("", "openai,,extractive", "nobody"):
        with pytest.raises(Invalid):
            opened(generator=wrong)


async def test_what_was_spent_on_thoughts_alone_is_told_and_the_next_one_answers() -> None:
    first = Scripted("first", Usage(9, 300), Unavailable("provider_bad_response", "The model wrote no answer."))
    second = Scripted("second", *ANSWER)
    assert await collect([first, second], []) == [ModelRef("first", "first-model"), Usage(9, 300), *SECOND]


async def test_a_model_that_one_of_them_has_is_asked_first() -> None:
    first, second = Scripted("first", *ANSWER), Scripted("second", *ANSWER)
    assert await collect([first, second], [], model="second-model") == SECOND
    assert (first.requests, second.requests[0].model) == ([], "second-model")
    assert models_of(Fallback([first, second])) == ["first-model", "second-model"]
    failing = Scripted("second", Unavailable("provider_unavailable"))
    events = await collect([first, failing], [], model="second-model")
    assert events[0] == ModelRef("first", "first-model")
    assert first.requests[0].model is None
