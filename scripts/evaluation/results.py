"""What a run has measured of one set, and the numbers that are made of it."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.evaluation import significance
from scripts.evaluation.metrics import Run, scores
from scripts.evaluation.product import Asked
from scripts.evaluation.sets import Set


@dataclass(frozen=True)
class Result:
    """The baselines' rankings and what the product's variants answered, by name."""

    set: Set
    baselines: Mapping[str, Run]
    variants: Mapping[str, Asked]

    def scores(self, system: str, metric: str, part: str = "all") -> list[float]:
        """A metric of each question of the part, in the set's order."""
        run = self.baselines[system] if system in self.baselines else self.variants[system].run
        found = scores(metric, run, self.set.judgements)
        return [found[question] for question in self.set.part(part)]

    def mean(self, system: str, metric: str, part: str = "all") -> float:
        return statistics.fmean(self.scores(system, metric, part))

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
