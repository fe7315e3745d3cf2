"""How good the answers are that need no model: what they cite, and what is refused.

Each set is asked its own questions, ELSEWHERE, which nothing in any set answers, and the dev questions of the other
sets: the gate's threshold is learned on dev questions and reported on the rest.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluation.product import Json, Product, gently, names_of
from benchmarks.evaluation.sets import Set
from footnote.answering.gate import strength
from footnote.settings import Settings

ELSEWHERE = Path(__file__).with_name("elsewhere.txt").read_text(encoding="utf-8").splitlines()
ENOUGH = 1.5  # what holds an identifier or a phrase to the letter is strong enough for any threshold
IN_FORCE = Settings.model_fields["least_evidence"].default


@dataclass(frozen=True)
class Answers:
    """By the set's questions: what each answer cites, in order, nothing if it was refused; and the strength of what
    was found. `unverified` counts citations; `elsewhere` says of each question of ELSEWHERE whether it was refused.
    """

    cited: Mapping[str, Sequence[str]]
    unverified: int
    strengths: Mapping[str, float]
    others: Sequence[float]  # strengths of what was found for the dev questions of other sets
    elsewhere: Sequence[bool]

    def refused(self) -> list[str]:
        return [question for question, cited in self.cited.items() if not cited]


async def ask(product: Product, one: Set, others: Sequence[Set]) -> Answers:
    foreign = [each.questions[question] for each in others if each is not one for question in each.part("dev")]
    answers = await gently([product.query(one, question) for question in one.questions.values()])
    strengths = await gently([_strength(product, one, question) for question in one.questions.values()])
    return Answers(
        {
            each: names_of(answer["citations"], by_page=one.by_page)
            for each, answer in zip(one.questions, answers, strict=True)
        },
        sum(not citation["verified"] for answer in answers for citation in answer["citations"]),
        dict(zip(one.questions, strengths, strict=True)),
        await gently([_strength(product, one, question) for question in foreign]),
        [_is_refused(answer) for answer in await gently([product.query(one, question) for question in ELSEWHERE])],
    )


def _is_refused(answer: Json) -> bool:
    return bool(answer["answer_status"] == "not_found")


async def _strength(product: Product, one: Set, question: str) -> float:
    told = [hit["explain"] for hit in await product.explained(one, question)]
    strengths = (ENOUGH if each["exact_matches"] else strength(each["relatedness"], each["coverage"]) for each in told)
    return max(strengths, default=0.0)


def learned(inside: Sequence[float]) -> float:
    """The highest threshold, in hundredths, below which no more than one in a hundred lies."""
    return max(
        least
        for least in (step / 100 for step in range(151))
        if sum(each < least for each in inside) <= len(inside) / 100
    )


def threshold(answers: Sequence[tuple[Set, Answers]]) -> tuple[float, float] | None:
    """Learned on the dev questions of all sets; and the share of those of other sets that are refused by it.

    None without any.
    """
    inside = [one.strengths[question] for each, one in answers for question in each.part("dev")]
    outside = [each for _, one in answers for each in one.others]
    if not inside or not outside:
        return None
    least = learned(inside)
    return least, statistics.fmean(each < least for each in outside)


def right(cited: Sequence[str], judged: Mapping[str, int]) -> Iterator[bool]:
    return (judged.get(name, 0) > 0 for name in cited)
