"""How good a ranking is, per question; every metric is 0 to 1.

A ranking holds names of documents (or pages), the best first and each once; the judgements say how relevant a name
is, 0 where they are silent. At least one judgement of a question is positive.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

Judgements = Mapping[str, int]
Metric = Callable[[Sequence[str], Judgements], float]
Run = Mapping[str, Sequence[str]]  # the ranking of each question


def ndcg(ranking: Sequence[str], judged: Judgements, *, depth: int) -> float:
    """Normalised discounted cumulative gain: sum of relevance / log2(rank + 1), over that of the ideal ranking.

    Järvelin and Kekäläinen, 2002, "Cumulated gain-based evaluation of IR techniques", in the form of trec_eval's
    `ndcg_cut`: linear gains, the discount from the first rank on.
    """

    def dcg(gains: Sequence[int]) -> float:
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:depth], 1))

    ideal = sorted((gain for gain in judged.values() if gain > 0), reverse=True)
    return dcg([max(0, judged.get(name, 0)) for name in ranking[:depth]]) / dcg(ideal)


def recall(ranking: Sequence[str], judged: Judgements, *, depth: int) -> float:
    """The share of what is relevant that stands in the first `depth` ranks (trec_eval's `recall`)."""
    relevant = {name for name, gain in judged.items() if gain > 0}
    return len(relevant.intersection(ranking[:depth])) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], judged: Judgements) -> float:
    """1 / the rank of the first relevant name, 0 without one; its mean is MRR.

    Voorhees, 1999, "The TREC-8 Question Answering Track Report".
    """
    return next((1 / rank for rank, name in enumerate(ranking, 1) if judged.get(name, 0) > 0), 0.0)


def hit(ranking: Sequence[str], judged: Judgements, *, depth: int) -> float:
    """1 if anything relevant stands in the first `depth` ranks, else 0 (trec_eval's `success`)."""
    return float(any(judged.get(name, 0) > 0 for name in ranking[:depth]))


METRICS: dict[str, Metric] = {
    "nDCG@10": partial(ndcg, depth=10),
    "recall@10": partial(recall, depth=10),
    "recall@100": partial(recall, depth=100),
    "MRR": reciprocal_rank,
    "hit@1": partial(hit, depth=1),
    "hit@5": partial(hit, depth=5),
    "hit@10": partial(hit, depth=10),
}


def scores(metric: str, run: Run, judgements: Mapping[str, Judgements]) -> dict[str, float]:
    """The metric of every judged question; one that was not answered scores 0."""
    return {question: METRICS[metric](run.get(question, ()), judged) for question, judged in judgements.items()}
