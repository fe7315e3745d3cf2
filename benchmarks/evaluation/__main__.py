"""`python -m benchmarks.evaluation`: asks Footnote the questions of test sets, and compares with plain baselines.

A second run on the same data directory finds everything ingested and only asks. The embeddings of the baselines are
kept there, too. Fails if a goal is missed.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evaluation import identifiers, judged, report, sets
from benchmarks.evaluation.answers import ask
from benchmarks.evaluation.baselines import bm25, fused, nearest
from benchmarks.evaluation.goals import (
    BM25,
    FUSED,
    HYBRID,
    IDENTIFIERS,
    KEYWORD,
    NEAREST,
    VECTOR,
    goals,
    judged_goals,
)
from benchmarks.evaluation.judged import JudgedResult, JudgedSet
from benchmarks.evaluation.judged_report import of_judged
from benchmarks.evaluation.metrics import Run
from benchmarks.evaluation.product import Product, running
from benchmarks.evaluation.results import Result
from benchmarks.evaluation.sets import UNTITLED, Set

INTERRUPTED = 130
# A variant is a name and what a search request says beside the question. One that the API does not know is left out.
VARIANTS: dict[str, dict[str, Any]] = {
    VECTOR: {"mode": "vector"},
    KEYWORD: {"mode": "keyword"},
    HYBRID: {"mode": "hybrid"},
    "hybrid, neighbours": {"mode": "hybrid", "expand": "neighbours"},
}


async def evaluate(
    wanted: Sequence[Set], questions: Sequence[JudgedSet], variants: Mapping[str, dict[str, Any]], data: Path
) -> tuple[dict[str, Result], dict[str, JudgedResult]]:
    """By the names of the sets. SIGTERM ends it as Ctrl-C does: the product is stopped."""
    task = asyncio.current_task()
    assert task is not None
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
    results: dict[str, Result] = {}
    async with running(data / "footnote") as product:
        known = {name: fields for name, fields in variants.items() if await product.knows(fields)}
        for name in variants.keys() - known.keys():
            print(f"The API does not know {variants[name]}: {name!r} is left out.", file=sys.stderr)
        for one in wanted:
            await product.ingest(one)
            asked = {name: await product.ask(one, fields) for name, fields in known.items()}
            answers = await ask(product, one, wanted)
            results[one.name] = Result(one, await baselines(product, one, data), asked, answers)
            print(*report.of_set(results[one.name]), sep="\n", flush=True)
        answered = {each.name: await judged.ask(product, each) for each in questions}
    return results, answered


async def baselines(product: Product, one: Set, data: Path) -> dict[str, Run]:
    if one.by_page:
        texts = await product.pages(one)
    else:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(one.documents.iterdir())}
    by_words = bm25(texts, one.questions)
    by_meaning = await nearest(texts, one.questions, data / "embeddings.sqlite3")
    return {BM25: by_words, NEAREST: by_meaning, FUSED: fused([by_words, by_meaning])}


def chosen(names: Sequence[str], corpora: Path, data: Path) -> Iterator[Set]:
    """The sets of these names, or all there are: our own, and the folders with judgements in `corpora`.

    `NAME-untitled` is the set NAME with numbers for file names. Sets of judged questions are left out.
    """
    for name in (
        [each for each in names if each not in judged.NAMES]
        if names
        else [IDENTIFIERS, *sorted(path.parent.name for path in corpora.glob("*/qrels.jsonl"))]
    ):
        if name == IDENTIFIERS:
            yield identifiers.make(data / IDENTIFIERS)
        elif name.endswith(UNTITLED):
            yield sets.untitled(sets.load(corpora / name.removesuffix(UNTITLED)), data / name)
        else:
            yield sets.load(corpora / name)


def variant(words: str) -> tuple[str, dict[str, Any]]:
    """`name={"mode": "hybrid", ...}`."""
    name, _, fields = words.partition("=")
    return name, json.loads(fields)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        help="only these: identifiers, folders of the corpora, NAME-untitled, and the judged `questions` and `answers`",
    )
    parser.add_argument("--mode", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        "--try", nargs="+", type=variant, default=[], metavar="NAME=JSON", help="other variants", dest="more"
    )
    parser.add_argument(
        "--corpora", type=Path, default=Path("../shared/corpora"), help="folder of the sets (%(default)s)"
    )
    parser.add_argument("--data", type=Path, default=Path(".footnote-eval"), help="what a run leaves (%(default)s)")
    parser.add_argument("--report", type=Path, help="write the tables to this file, as Markdown")
    given = parser.parse_args()
    variants = {name: VARIANTS[name] for name in given.mode} | dict(given.more)
    data = given.data.resolve()
    (data / "footnote").mkdir(parents=True, exist_ok=True)
    wanted = list(chosen(given.set, given.corpora, data))
    questions = [each for name in given.set or judged.NAMES if (each := judged.load(name, given.corpora, data))]
    try:
        results, answered = asyncio.run(evaluate(wanted, questions, variants, data))
    except asyncio.CancelledError:
        return INTERRUPTED
    told, rows = list(of_judged(answered)), [*goals(results), *judged_goals(answered)]
    print(*report.of_answers(results), *told, *report.verdict(rows), sep="\n")
    if given.report:
        given.report.write_text("\n".join([*report.whole(results, rows), *told]))
    return 0 if all(row[-1] == "met" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
