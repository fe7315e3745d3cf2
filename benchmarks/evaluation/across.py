"""`python -m benchmarks.evaluation.across`: the evidence that a question needs over texts in another language.

24 questions in six languages with English answers (`across.jsonl`), and 16 other English texts. No judged question is
among them: the threshold of the gate (`gate.ACROSS`) was chosen here and is reported on those.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from footnote.embeddings.relatedness import KNOWN, PAIRS
from footnote.providers import Embedder, local, local_multilingual
from footnote.settings import Settings

STEPS = [step / 100 for step in range(16, 34, 2)]


async def relatednesses(embedder: Embedder) -> list[tuple[float, float]]:
    """For each question how related it is to its answer, and to the nearest of all other texts."""
    rows = [json.loads(line) for line in Path(__file__).with_suffix(".jsonl").read_text("utf-8").splitlines()]
    texts = [row["answer"] for row in rows] + [answer for _, answer in PAIRS]
    asked = await embedder.embed([embedder.question_prefix + row["question"] for row in rows])
    cosines: Sequence[Sequence[float]] = (asked.vectors @ (await embedder.embed(texts)).vectors.T).tolist()
    scale = KNOWN[embedder.provider, embedder.model]
    related = [[scale.relatedness(each) for each in row] for row in cosines]
    return [(row.pop(place), max(row)) for place, row in enumerate(related)]


async def main() -> None:
    settings = Settings(_env_file=None)
    for embedder in (local_multilingual.open_embedder(settings), local.open_embedder(settings)):
        found = await relatednesses(embedder)
        print(f"{embedder.provider}: threshold, answered of {len(found)}, others let through")
        for least in STEPS:
            print(f"  {least:.2f} {sum(own >= least for own, _ in found)} {sum(other >= least for _, other in found)}")


if __name__ == "__main__":
    asyncio.run(main())
