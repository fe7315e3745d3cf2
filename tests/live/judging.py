"""Models as judges, and what they may cost. A prompt that is changed is a new file: old verdicts keep theirs."""

import json
import os
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from footnote.providers import GenerationRequest, Generator, Passage, Token, Usage
from footnote.providers.messages import chat_messages
from footnote.settings import Price, Settings

JUDGES = Path(__file__).parent / "judges"
FAITHFULNESS = "faithfulness-v1"
# US dollars for a million tokens, where FOOTNOTE_PRICES names none: more than the models asked here cost.
DEAR = Price(input=Decimal(5), output=Decimal(25))
LONGEST = 500  # tokens of one answer


class TooDear(Exception):
    """The next call could go over the cap."""


@dataclass
class Purse:
    """What a run may cost: FOOTNOTE_LIVE_MAX_USD, 0.05 by default. It must hold what a call may cost at worst."""

    settings: Settings
    left: Decimal = field(default_factory=lambda: Decimal(os.environ.get("FOOTNOTE_LIVE_MAX_USD", "0.05")))

    def cost(self, model: str, asked: int, answered: int) -> Decimal:
        price = self.settings.prices.get(model, DEAR)
        return (asked * price.input + answered * price.output) / 1_000_000

    async def ask(self, generator: Generator, request: GenerationRequest) -> tuple[str, Usage]:
        """The answer, and what the provider counted. A byte is a token at most. Raises TooDear."""
        longest = request.max_tokens or 0
        size = sum(len(message["content"].encode()) for message in chat_messages(request))
        if not longest or self.cost(generator.model, size, longest) > self.left:
            raise TooDear
        told, usage = "", Usage(size, longest)
        async with aclosing(generator.generate(request)) as events:
            async for event in events:
                if isinstance(event, Token):
                    told += event.text
                elif isinstance(event, Usage):
                    usage = event
        asked = size if usage.prompt_tokens is None else usage.prompt_tokens
        answered = longest if usage.completion_tokens is None else usage.completion_tokens
        self.left -= self.cost(generator.model, asked, answered)
        return told, usage


async def judged(
    purse: Purse, judge: Generator, answer: str, passages: list[Passage], prompt: str = FAITHFULNESS
) -> dict[str, Any]:
    sources = "\n\n".join(f"Source {each.marker}: {each.text}" for each in passages)
    instructions = (JUDGES / f"{prompt}.md").read_text()
    question = f"Sources:\n\n{sources}\n\nAnswer:\n\n{answer}"
    request = GenerationRequest(question, (), system_prompt=instructions, temperature=0.0, max_tokens=LONGEST)
    told, _ = await purse.ask(judge, request)
    verdict: dict[str, Any] = json.loads(told[told.index("{") : told.rindex("}") + 1])
    return {**verdict, "judge": f"{judge.provider}/{judge.model}", "prompt": prompt}


def live_settings() -> Settings:
    """As the environment has them: keys, addresses, prices."""
    return Settings(_env_file=None)


def needs(provider: str) -> pytest.MarkDecorator:
    settings = live_settings()
    key = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}[provider]
    return pytest.mark.skipif(not key, reason=f"no key for {provider}")
