"""Whether one system is better than another on the same questions, or only luckier."""

from collections.abc import Sequence

import numpy as np

ROUNDS = 10_000
SEED = 1


def p_value(differences: Sequence[float]) -> float:
    """Two-sided paired randomisation test: how often differences with signs at random have so large a mean.

    Smucker, Allan and Carterette, 2007, "A comparison of statistical significance tests for information retrieval
    evaluation". Drawn `ROUNDS` times, the observed signs counted among them.
    """
    given = np.asarray(differences)
    signs = np.random.default_rng(SEED).choice((-1.0, 1.0), (ROUNDS, len(given)))
    # A draw may add up the same numbers in another order: equal but for rounding.
    as_large = np.abs(signs @ given) >= abs(given.sum()) - 1e-9
    return float((as_large.sum() + 1) / (ROUNDS + 1))


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean difference, by the percentiles of the paired bootstrap.

    Sakai, 2006, "Evaluating evaluation metrics based on the bootstrap".
    """
    given = np.asarray(differences)
    drawn = np.random.default_rng(SEED).integers(len(given), size=(ROUNDS, len(given)))
    low, high = np.percentile(given[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
