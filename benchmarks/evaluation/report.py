"""What was measured, as tables."""

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.evaluation.answers import ELSEWHERE, IN_FORCE, threshold
from benchmarks.evaluation.product import ASKED_AT_ONCE, TOP_K
from benchmarks.evaluation.results import Result
from benchmarks.evaluation.sets import PARTS
from benchmarks.tables import Row, table

_HEAD = f"""# Retrieval, measured

Written by `make eval` on {{cpus}} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}.

Footnote is asked for {TOP_K} chunks over HTTP, {ASKED_AT_ONCE} questions at a time. A document or page ranks where its
best chunk does, so {TOP_K} chunks are fewer than {TOP_K} documents. The baselines rank the same texts, one for each
document or page. Parameters are chosen on dev, half of the questions by a hash of their ids, and reported on test. The
gain is that over the best baseline, with its 95 % confidence interval (bootstrap) and p (randomisation test), paired by
question.
"""


def whole(results: Mapping[str, Result], rows: Sequence[Row]) -> Iterator[str]:
    """`rows`: the goals."""
    yield _HEAD.format(cpus=os.cpu_count())
    yield from verdict(rows)
    yield from of_answers(results)
    for result in results.values():
        yield from of_set(result)


def verdict(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield from ("## Goals", "", *table([("goal", "limit", "measured", ""), *rows]), "")


def of_answers(results: Mapping[str, Result]) -> Iterator[str]:
    """Answers by the generator without a model, and the gate before every generator."""
    answered = [result for result in results.values() if result.answers is not None]
    if not answered:
        return
    best = threshold([(result.set, result.answers) for result in answered if result.answers])
    told = ""
    if best is not None:
        told = (
            f" Learned on the dev questions of these sets: {best[0]:.2f}, which refuses {best[1]:.1%} of the others'."
        )
    yield from ("## Answers", "", f"Least evidence in force: {IN_FORCE:.2f}.{told}", "")
    yield from (*table([_ANSWERS, *map(_answers, answered)]), "")


_ANSWERS = (
    "set",
    "questions",
    "refused",
    "only related",
    f"of {len(ELSEWHERE)} about something else",
    "near misses refused",
    "first citation right",
    "any right",
    "citations right",
    "not verified",
)


def _answers(result: Result) -> Row:
    answers, cited = result.answers, result.cited_right()
    assert answers is not None
    return (
        result.set.name,
        str(len(answers.cited)),
        str(len(answers.refused())),
        str(answers.related),
        str(sum(answers.elsewhere)),
        f"{sum(refused for refused, _ in answers.near)} of {len(answers.near)}",
        *(f"{share:.3f}" for share in (cited.first, cited.any, cited.each)),
        str(answers.unverified),
    )


def of_set(result: Result) -> Iterator[str]:
    parts = ", ".join(f"{name} {len(result.set.part(name))}" for name in PARTS)
    yield from (f"## {result.set.name}", "", f"Questions: {parts}.", "")
    yield from (*table(list(_scores(result))), "")
    yield from (*table(list(_times(result))), "")


def _scores(result: Result) -> Iterator[Row]:
    metrics = result.set.metrics
    yield "part", "system", *metrics, f"gain in {result.set.main}", "95 %", "p"
    for part in PARTS:
        for system in [*result.baselines, *result.variants]:
            cells = [f"{result.mean(system, metric, part):.3f}" for metric in metrics]
            yield part, system, *cells, *(_gain(result, system, part))


def _gain(result: Result, system: str, part: str) -> Row:
    if system in result.baselines:
        return "best baseline" if system == result.best_baseline else "", "", ""
    gain = result.gain(system, part)
    return f"{gain.mean:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}", f"{gain.p:.3f}"


def _times(result: Result) -> Iterator[Row]:
    yield "search", "median", "p95", "GET /healthz, median", "ratio of medians"
    for name, asked in result.variants.items():
        median, bare = statistics.median(asked.times), statistics.median(asked.bare)
        yield name, _ms(median), _ms(percentile(asked.times, 95)), _ms(bare), f"{median / bare:.1f}"


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that is not exceeded by `percent` of the values."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f} ms"
