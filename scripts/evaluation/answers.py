"""How good the answers are that need no model: what they cite, and what is refused.

Each set is asked its own questions, ELSEWHERE, which nothing in any set answers, and the dev questions of the other
sets: the gate's threshold is learned from these and reported on the rest.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from footnote.answering.evidence import strength
from footnote.settings import Settings
from scripts.evaluation.product import Json, Product, gently, names_of
from scripts.evaluation.sets import Set

ELSEWHERE = Path(__file__).with_name("elsewhere.txt").read_text(encoding="utf-8").splitlines()
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
    hits = await product.explained(one, question)
    return max((strength(hit["explain"]["similarity"], hit["explain"]["coverage"]) for hit in hits), default=0.0)


def learned(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The threshold with the fewest errors: the share of `inside` below it plus that of `outside` above.

    In the middle of where it may lie.
    """

    def errors(least: float) -> float:
        return statistics.fmean(each < least for each in inside) + statistics.fmean(each >= least for each in outside)

    steps = [step / 100 for step in range(151)]
    fewest = min(map(errors, steps))
    return statistics.median(least for least in steps if errors(least) <= fewest + 1e-9)


def threshold(answers: Sequence[tuple[Set, Answers]]) -> float | None:
    """Learned on the dev questions of all sets; None if there were no others to tell them from."""
    inside = [one.strengths[question] for each, one in answers for question in each.part("dev")]
    outside = [each for _, one in answers for each in one.others]
    return learned(inside, outside) if inside and outside else None


def right(cited: Sequence[str], judged: Mapping[str, int]) -> Iterator[bool]:
    return (judged.get(name, 0) > 0 for name in cited)
