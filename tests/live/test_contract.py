"""The real providers, asked for a few cents: `make live`. Skipped where there is no key."""

import re
from collections.abc import AsyncIterator

import numpy as np
import pytest

from footnote.errors import AccountRefused, ProviderRejected
from footnote.providers import GenerationRequest, Generator, Passage, open_embedder, open_generators
from tests.live.judging import LONGEST, Purse, judged, live_settings, needs

pytestmark = [pytest.mark.anyio, pytest.mark.live]
PASSAGES = [
    Passage(1, "lamps.txt", "The lamp of Fairhaven burns colza oil. It was lit by Agnes Tolmie in 1874."),
    Passage(2, "boats.txt", "The relief boat Petrel leaves on every second Thursday."),
]
QUESTION = "Which oil does the lamp of Fairhaven burn, and who lit it?"
CHOSEN = [pytest.param(provider, marks=needs(provider)) for provider in ("openai", "anthropic")]


@pytest.fixture(scope="module")
def purse() -> Purse:
    return Purse(live_settings())


@pytest.fixture(params=CHOSEN)
async def generator(request: pytest.FixtureRequest) -> AsyncIterator[Generator]:
    [generator] = open_generators(live_settings().model_copy(update={"generator": request.param}))
    yield generator
    await generator.close()


async def test_an_answer_is_counted_quotes_its_sources_and_is_faithful(generator: Generator, purse: Purse) -> None:
    told, usage = await purse.ask(generator, GenerationRequest(QUESTION, PASSAGES, max_tokens=LONGEST))
    quotes = re.findall(r'\[1: "([^"]+)"\]', told)
    assert quotes, told
    assert all(quote in PASSAGES[0].text for quote in quotes), told
    assert (usage.prompt_tokens or 0) > 50
    assert (usage.completion_tokens or 0) > 5
    verdict = await judged(purse, generator, told, PASSAGES)
    assert verdict["faithful"] is True, (told, verdict)


async def test_the_judge_sees_what_was_made_up(generator: Generator, purse: Purse) -> None:
    verdict = await judged(purse, generator, "It burns colza oil and is 31 metres high.", PASSAGES)
    assert verdict["faithful"] is False, verdict
    assert any("31" in statement for statement in verdict["unsupported"]), verdict


@pytest.mark.parametrize("provider", CHOSEN)
async def test_refusals_are_told_apart(provider: str) -> None:
    settings = live_settings().model_copy(update={"generator": provider})
    bad_key = {"openai_api_key": "sk-none", "anthropic_api_key": "sk-none"}
    for changed, kind in ((bad_key, AccountRefused), ({"chat_model": "no-such-model"}, ProviderRejected)):
        [generator] = open_generators(settings.model_copy(update=changed))
        with pytest.raises(ProviderRejected) as raised:
            _ = [event async for event in generator.generate(GenerationRequest("Hi.", PASSAGES, max_tokens=1))]
        assert type(raised.value) is kind
        await generator.close()


@needs("openai")
async def test_embeddings() -> None:
    embedder = open_embedder(live_settings().model_copy(update={"embedder": "openai"}))
    answer = await embedder.embed(["a lamp that burns oil", "an oil-burning light", "the boat leaves on Thursday"])
    near, far = answer.vectors[0] @ answer.vectors[1], answer.vectors[0] @ answer.vectors[2]
    assert np.allclose(np.linalg.norm(answer.vectors, axis=1), 1, atol=1e-3)
    assert near > far
    assert 10 < answer.tokens < 40
    await embedder.close()
