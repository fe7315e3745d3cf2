"""How good the answers to judged questions are, as tables."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.evaluation.judged import Answered, JudgedResult
from benchmarks.evaluation.judging import OUTCOMES
from benchmarks.evaluation.report import percentile
from benchmarks.tables import Row, table

_RIGHT = ("right",)
_MISSED = ("partly", "wrong")
_REFUSED = ("refused rightly",)


def of_judged(results: Mapping[str, JudgedResult]) -> Iterator[str]:
    """Times are shown of answers that came over HTTP."""
    for result in results.values():
        yield from (f"## Answers to {result.set.name}", "", *table([_SUMMARY, *_summary(result)]), "")
        yield from (*table([("kind", "n", *OUTCOMES), *_kinds(result)]), "")
        if all(each.search for each in result.answered):
            yield from (*table([_TIMES, _times(result.answered)]), "")
        yield from (*_failures(result), "")


_SUMMARY = (
    "part",
    "answerable",
    "right",
    "partly or wrong",
    "refused",
    "absent refused",
    "everyday refused",
    "claimed, but wrong",
    "characters, median",
)


def _summary(result: JudgedResult) -> Iterator[Row]:
    for part in result.parts:
        of = result.of(part)
        shares = (
            result.share(_RIGHT, part),
            result.share(_MISSED, part),
            result.share(("refused wrongly",), part),
            result.share(_REFUSED, part, ("absent",)),
            result.share(_REFUSED, part, ("everyday",)),
            result.false(part),
        )
        length = statistics.median(len(each.reply["answer"]) for each in of)
        yield (
            part,
            str(sum(not each.question.absent for each in of)),
            *(f"{share:.0%}" for share in shares),
            f"{length:.0f}",
        )


def _kinds(result: JudgedResult) -> Iterator[Row]:
    for kind in [*sorted({each.question.kind for each in result.answered}), "all"]:
        of = result.of(kinds=() if kind == "all" else (kind,))
        count = Counter(each.judgement.outcome for each in of)
        yield kind, str(len(of)), *(str(count[outcome] or "") for outcome in OUTCOMES)


_TIMES = ("", "search, median", "p95", "answer, median", "p95", "ratio of medians", "of p95")


def _times(answered: Sequence[Answered]) -> Row:
    search, query = [each.search for each in answered], [each.query for each in answered]
    medians = statistics.median(search), statistics.median(query)
    tails = percentile(search, 95), percentile(query, 95)
    times = (f"{value:.0f} ms" for value in (medians[0], tails[0], medians[1], tails[1]))
    return "times", *times, f"{medians[1] / medians[0]:.2f}", f"{tails[1] / tails[0]:.2f}"


def _failures(result: JudgedResult) -> Iterator[str]:
    for each in result.answered:
        if not each.judgement.good:
            question = each.question
            met = f"{each.judgement.met} of {len(question.expected)} said"
            yield f"- {question.id}, {each.judgement.outcome}, {each.reply['answer_status']}, {met}: {question.text}"
