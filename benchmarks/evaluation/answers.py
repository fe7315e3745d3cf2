"""How good the answers are that need no model: what they cite, and what is refused.

Each set is asked its own questions, ELSEWHERE, which nothing in any set answers, and the dev questions of the other
sets: the gate's threshold is learned on dev questions and reported on the rest. Documents of one company are asked
about it and, in the same words, about another company (near misses).
"""

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluation.judging import REFUSALS
from benchmarks.evaluation.product import Product, gently, names_of
from benchmarks.evaluation.sets import Set
from footnote.answering.gate import strength
from footnote.settings import Settings

ELSEWHERE = Path(__file__).with_name("elsewhere.txt").read_text(encoding="utf-8").splitlines()
ENOUGH = 1.5  # what holds an identifier or a phrase to the letter is strong enough for any threshold
IN_FORCE = Settings.model_fields["least_evidence"].default


@dataclass(frozen=True)
class Answers:
    """By the set's questions: what each answer cites, in order, nothing if there is none; and the strength of what
    was found. `unverified` counts citations, `related` answers that do not claim to answer. Of each question of
    ELSEWHERE, and of each near miss and the question that it was made from: whether it was refused.
    """

    cited: Mapping[str, Sequence[str]]
    unverified: int
    strengths: Mapping[str, float]
    others: Sequence[float]  # strengths of what was found for the dev questions of other sets
    elsewhere: Sequence[bool]
    related: int = 0
    near: Sequence[tuple[bool, bool]] = ()

    def refused(self) -> list[str]:
        return [question for question, cited in self.cited.items() if not cited]


async def ask(product: Product, one: Set, others: Sequence[Set]) -> Answers:
    foreign = [each.questions[question] for each in others if each is not one for question in each.part("dev")]
    answers = await gently([product.answer(question, one.name) for question in one.questions.values()])
    strengths = await gently([_strength(product, one, question) for question in one.questions.values()])
    return Answers(
        {
            each: names_of(answer["citations"], by_page=one.by_page)
            for each, answer in zip(one.questions, answers, strict=True)
        },
        sum(not citation["verified"] for answer in answers for citation in answer["citations"]),
        dict(zip(one.questions, strengths, strict=True)),
        await gently([_strength(product, one, question) for question in foreign]),
        await gently([_is_refused(product, one, question) for question in ELSEWHERE]),
        sum(answer["answer_status"] == "related" for answer in answers),
        await _near(product, one),
    )


async def _is_refused(product: Product, one: Set, question: str) -> bool:
    return (await product.answer(question, one.name))["answer_status"] in REFUSALS


@dataclass(frozen=True)
class NearMiss:
    """A question about a company, the same about another one, and the file names, without endings, of the first."""

    own: str
    other: str
    stems: Sequence[str]


def near_misses(one: Set) -> Iterator[NearMiss]:
    """Of the questions that name the company whose documents answer them; the other is the next by the alphabet."""
    company_of = one.companies()
    names = sorted(set(company_of.values()))
    other = dict(zip(names, names[1:] + names[:1], strict=True))
    for question, judged in one.judgements.items():
        company = company_of.get(next(iter(judged)).partition("#")[0])
        if company is None:
            continue
        text = one.questions[question]
        asked = re.sub(re.escape(company), other[company], text, flags=re.IGNORECASE)
        if asked != text:
            yield NearMiss(text, asked, [stem for stem, its in company_of.items() if its == company])


async def _near(product: Product, one: Set) -> list[tuple[bool, bool]]:
    """Whether each near miss was refused, and the question that it was made from."""
    made = list(near_misses(one))
    if not made:
        return []
    ids = {Path(each["filename"]).stem: each["id"] for each in await product.documents(one)}

    async def refused(question: str, near: NearMiss) -> bool:
        """Whether it is said to be about something else. What is `related` for another reason is not."""
        answer = await product.answer(question, one.name, document_ids=[ids[stem] for stem in near.stems])
        return answer["answer_status"] == "not_found" or bool(answer["not_mentioned"])

    others = await gently([refused(near.other, near) for near in made])
    return list(zip(others, await gently([refused(near.own, near) for near in made]), strict=True))


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
