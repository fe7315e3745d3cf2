"""What live tests lean on, without a provider."""

from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest

from footnote.providers import GenerationRequest, GeneratorEvent, Passage, Token, Usage
from footnote.settings import Settings
from tests.fakes import FakeGenerator
from tests.live.judging import JUDGES, Purse, TooDear, judged

pytestmark = pytest.mark.anyio
PASSAGES = [Passage(1, "a", "The lamp burns oil.")]


class Judge(FakeGenerator):
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        self.requests.append(request)
        yield Token('```json\n{"faithful": false, "unsupported": ["It is high."]}\n```')
        yield Usage(100, 20)


async def test_a_verdict_names_its_judge_and_its_prompt() -> None:
    judge, purse = Judge(), Purse(Settings(_env_file=None), Decimal("0.05"))
    verdict = await judged(purse, judge, "It is high.", PASSAGES)
    assert verdict == {
        "faithful": False,
        "unsupported": ["It is high."],
        "judge": "fake/fake-chat",
        "prompt": "faithfulness-v1",
    }
    assert purse.left == Decimal("0.05") - (100 * 5 + 20 * 25) / Decimal(1_000_000)
    [request] = judge.requests
    assert request.system_prompt == (JUDGES / "faithfulness-v1.md").read_text()
    assert "The lamp burns oil." in request.question


async def test_nothing_is_asked_that_could_go_over_the_cap() -> None:
    judge, purse = Judge(), Purse(Settings(_env_file=None), Decimal("0.001"))
    with pytest.raises(TooDear):
        await judged(purse, judge, "It is high.", PASSAGES)
    with pytest.raises(TooDear):
        await Purse(Settings(_env_file=None), Decimal(9)).ask(judge, GenerationRequest("Why?", ()))
    assert judge.requests == []


def test_judges_are_versioned() -> None:
    names = [path.stem for path in JUDGES.glob("*")]
    assert names
    assert [name for name in names if not name.rpartition("-v")[2].isdigit()] == []
