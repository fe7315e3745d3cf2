"""What is to be reached, on all questions of a set."""

import statistics
from collections.abc import Iterator, Mapping

from benchmarks.evaluation.judged import JudgedResult
from benchmarks.evaluation.results import Result
from benchmarks.evaluation.sets import UNTITLED
from benchmarks.tables import Row

BM25, NEAREST, FUSED = "bm25s", "exact MiniLM", "RRF of the two"
VECTOR, KEYWORD, HYBRID = "vector", "keyword", "hybrid"
IDENTIFIERS, FINANCEBENCH, SCIFACT = "identifiers", "financebench", "scifact"
FIRST_RIGHT = {SCIFACT: 0.75, FINANCEBENCH: 0.30}


def goals(results: Mapping[str, Result]) -> Iterator[Row]:
    """What, limit, measured, met or MISSED: of the sets and modes that were run."""
    for name, result in results.items():
        if name == IDENTIFIERS:
            yield from _goal(result, HYBRID, "hit@1", ">=", 0.95)
        elif not name.endswith(UNTITLED):
            yield from _of_collection(result)
        if result.answers is not None:
            yield from _gate(name, result)


def judged_goals(results: Mapping[str, JudgedResult]) -> Iterator[Row]:
    """Of the answers to judged questions that the generator without a model gives."""
    for name, result in results.items():
        measured = (
            ("answerable questions, right", result.share(("right",)), ">=", 0.70),
            ("answerable questions, partly or wrong", result.share(("partly", "wrong")), "<=", 0.20),
            ("absent, refused", result.share(("refused rightly",), kinds=("absent",)), ">=", 0.80),
            ("everyday, refused", result.share(("refused rightly",), kinds=("everyday",)), ">=", 1.0),
            ("misspelt, right", result.share(("right",), kinds=("typo",)), ">=", 0.60),
            ("wrong, of the answers that claim support", result.false(), "<=", 0.10),
        )
        for what, share, relation, limit in measured:
            yield f"{name}: {what}", *_verdict(share, relation, limit)


def _of_collection(result: Result) -> Iterator[Row]:
    yield from _legs(result)
    if result.set.name == SCIFACT:
        yield from _goal(result, HYBRID, "nDCG@10", ">=", 0.727)
    if result.set.name == FINANCEBENCH:
        best = max(result.mean(baseline, "hit@5") for baseline in result.baselines)
        yield from _goal(result, HYBRID, "hit@5", ">=", best + 0.05, "the best baseline + 5 points")


def _gate(name: str, result: Result) -> Iterator[Row]:
    assert result.answers is not None
    elsewhere = statistics.fmean(result.answers.elsewhere)
    yield f"{name}: questions about something else, refused", *_verdict(elsewhere, ">=", 0.95)
    if HYBRID in result.variants:
        metric = "recall@10" if "recall@10" in result.set.metrics else result.set.main
        yield f"{name}: {metric} of questions that were refused", *_verdict(result.lost(HYBRID, metric), "<=", 0.02)
    if result.answers.near:
        near, own = map(statistics.fmean, zip(*result.answers.near, strict=True))
        yield f"{name}: questions about another company, refused", *_verdict(near, ">=", 0.80)
        yield f"{name}: the same about the right company, refused", *_verdict(own, "<=", 0.02)
    if name in FIRST_RIGHT:
        yield f"{name}: first citation right", *_verdict(result.cited_right().first, ">=", FIRST_RIGHT[name])


def _legs(result: Result) -> Iterator[Row]:
    found = {baseline: result.mean(baseline, "nDCG@10") for baseline in result.baselines}
    yield from _goal(result, KEYWORD, "nDCG@10", ">=", found[BM25] - 0.01, f"{BM25} - 0.01")
    yield from _goal(result, VECTOR, "nDCG@10", ">=", found[NEAREST] - 0.005, f"{NEAREST} - 0.005")
    yield from _goal(result, HYBRID, "nDCG@10", ">", max(found[BM25], found[NEAREST]), f"{BM25} and {NEAREST}")
    yield from _goal(result, HYBRID, "nDCG@10", ">=", found[FUSED], FUSED)


def _goal(result: Result, variant: str, metric: str, relation: str, limit: float, name: str = "") -> Iterator[Row]:
    if variant not in result.variants:
        return
    yield f"{result.set.name}: {variant}, {metric}", *_verdict(result.mean(variant, metric), relation, limit, name)


def _verdict(measured: float, relation: str, limit: float, name: str = "") -> Row:
    """Limit, measured, met or MISSED. Equal but for rounding is equal."""
    compared = {
        ">": measured > limit + 1e-9,
        ">=": measured >= limit - 1e-9,
        "<=": measured <= limit + 1e-9,
    }
    told = f"{relation} {limit:.3f}" + (f" ({name})" if name else "")
    return told, f"{measured:.3f}", "met" if compared[relation] else "MISSED"
