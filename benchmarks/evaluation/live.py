"""`python -m benchmarks.evaluation.live`: asks the judged questions of a model behind OPENAI_BASE_URL.

Any server with OpenAI's API will do: Ollama, vLLM, llama.cpp. What `make eval` ingested is not ingested again.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.evaluation import judged
from benchmarks.evaluation.judged import JudgedResult, JudgedSet
from benchmarks.evaluation.judged_report import of_judged
from benchmarks.evaluation.product import Json, Product, running
from footnote.providers.addresses import is_local
from footnote.settings import Settings

REQUEST_SECONDS = 900.0  # a local model may have to be loaded first
TOKENS = 4000, 400  # of a question with its passages, and of its answer, at most twice


class Patient(Product):
    """Waits for slow models; a question that fails is an answer that says so."""

    def __init__(self, url: str, data_dir: Path) -> None:
        super().__init__(url, data_dir)
        self.client.timeout = REQUEST_SECONDS

    async def answer(self, question: str, collection: str, **fields: Any) -> Json:
        try:
            return await super().answer(question, collection, **fields)
        except SystemExit as failed:
            print(failed, file=sys.stderr)
            return {"answer": str(failed), "answer_status": "supported", "citations": [], "model": ""}


def models(settings: Settings) -> dict[str, str]:
    """The settings of a Footnote whose answers this model writes, and nothing in its place."""
    given = {"OPENAI_API_KEY": settings.openai_api_key, "FOOTNOTE_CHAT_MODEL": settings.chat_model}
    return {
        "FOOTNOTE_EMBEDDER": "local",
        "FOOTNOTE_GENERATOR": "openai",
        "FOOTNOTE_ANSWER_CACHE_SECONDS": "0",
        "OPENAI_BASE_URL": settings.openai_base_url or "",
        **{name: value for name, value in given.items() if value},
    }


def cost(settings: Settings, questions: int) -> Decimal | None:
    """US dollars that a run costs at most; nothing for a model nearby, None where no price is known."""
    if is_local(settings.openai_base_url):
        return Decimal(0)
    price = settings.prices.get(settings.chat_model or "")
    asked, answered = TOKENS
    if price is None:
        return None
    return 2 * questions * (asked * price.input + answered * price.output) / 1_000_000


async def run(sets: Sequence[JudgedSet], settings: Settings, data: Path) -> Mapping[str, JudgedResult]:
    async with running(data / "footnote", models(settings)) as product:
        patient = Patient(product.url, product.data_dir)
        async with patient.client:
            return {each.name: await judged.ask(patient, each) for each in sets}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation.live", description=__doc__)
    parser.add_argument("--corpora", type=Path, default=Path("../shared/corpora"), help="folder of the documents")
    parser.add_argument("--data", type=Path, default=Path(".footnote-eval"), help="what a run leaves (%(default)s)")
    parser.add_argument("--set", nargs="+", choices=judged.NAMES, default=[judged.PUBLIC], help="which questions")
    given = parser.parse_args()
    settings, data = Settings(_env_file=None), given.data.resolve()
    sets = [each for name in given.set if (each := judged.load(name, given.corpora, data))]
    if not settings.openai_base_url or not sets:
        print("Judged questions: not asked. Set OPENAI_BASE_URL, and CORPORA to the folder of their documents.")
        return 0
    most, allowed = cost(settings, sum(len(each.questions) for each in sets)), _allowed()
    if most is None or most > allowed:
        price = "an unknown price" if most is None else f"{most} dollars"
        print(f"Judged questions: not asked. They may cost {price}, and FOOTNOTE_LIVE_MAX_USD is {allowed}.")
        return 1
    (data / "footnote").mkdir(parents=True, exist_ok=True)
    results = asyncio.run(run(sets, settings, data))
    wrote = sorted({each.reply["model"] for one in results.values() for each in one.answered} - {""})
    print(f"Answers by {', '.join(wrote)} at {settings.openai_base_url}\n", *of_judged(results), sep="\n")
    return 0


def _allowed() -> Decimal:
    return Decimal(os.environ.get("FOOTNOTE_LIVE_MAX_USD", "0.05"))


if __name__ == "__main__":
    sys.exit(main())
