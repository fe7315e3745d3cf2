"""What a run has measured of one set, and the numbers that are made of it."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.evaluation import significance
from benchmarks.evaluation.answers import Answers, right
from benchmarks.evaluation.metrics import Run, scores
from benchmarks.evaluation.product import Asked
from benchmarks.evaluation.sets import Set


@dataclass(frozen=True)
class Result:
    """The baselines' rankings and what the product's variants answered, by name."""

    set: Set
    baselines: Mapping[str, Run]
    variants: Mapping[str, Asked]
    answers: Answers | None = None

    def scores(self, system: str, metric: str, part: str = "all") -> list[float]:
        """A metric of each question of the part, in the set's order."""
        run = self.baselines[system] if system in self.baselines else self.variants[system].run
        found = scores(metric, run, self.set.judgements)
        return [found[question] for question in self.set.part(part)]

    def mean(self, system: str, metric: str, part: str = "all") -> float:
        return statistics.fmean(self.scores(system, metric, part))

    def lost(self, system: str, metric: str) -> float:
        """How much of a metric's mean belongs to questions that were refused an answer."""
        assert self.answers is not None
        of = dict(zip(self.set.part("all"), self.scores(system, metric), strict=True))
        return sum(of[question] for question in self.answers.refused()) / len(of)

    def cited_right(self) -> "CitedRight":
        assert self.answers is not None
        marks = [list(right(cited, self.set.judgements[question])) for question, cited in self.answers.cited.items()]
        each = [mark for of_answer in marks for mark in of_answer]
        return CitedRight(
            statistics.fmean(bool(of_answer and of_answer[0]) for of_answer in marks),
            statistics.fmean(map(any, marks)),
            statistics.fmean(each) if each else 0.0,
        )

    @property
    def best_baseline(self) -> str:
        """By the set's main metric, over all questions."""
        return max(self.baselines, key=lambda name: self.mean(name, self.set.main))

    def gain(self, variant: str, part: str) -> "Gain":
        """Of a variant over the best baseline, in the set's main metric."""
        ours, theirs = (self.scores(name, self.set.main, part) for name in (variant, self.best_baseline))
        differences = [one - other for one, other in zip(ours, theirs, strict=True)]
        low, high = significance.interval(differences)
        return Gain(statistics.fmean(differences), low, high, significance.p_value(differences))


@dataclass(frozen=True)
class Gain:
    """A mean difference, its 95 % confidence interval, and how likely one as large is by luck."""

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class CitedRight:
    """Shares of the questions whose first citation, or any, is of a right document or page; and of all citations."""

    first: float
    any: float
    each: float
