"""Judged questions: what they are asked of, and how good the answers are.

A set is a folder of `questions.jsonl` and `collections.json`, which `questions/README.md` describes.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluation.judging import Judgement, Question, folded, judge, says
from benchmarks.evaluation.product import Json, Product
from benchmarks.evaluation.sets import Set

OURS = "questions"  # the set in this repository
PUBLIC = "answers"  # the one beside the documents
NAMES = (OURS, PUBLIC)


@dataclass(frozen=True)
class JudgedSet:
    """`collections`: for each name the documents it holds; `folder` is where they are copied to."""

    name: str
    collections: Mapping[str, Sequence[Path]]
    questions: Sequence[Question]
    folder: Path

    def stored(self) -> Iterator[Set]:
        """Each collection as a set to ingest, in a folder of its own."""
        for name, paths in self.collections.items():
            documents = self.folder / name
            documents.mkdir(parents=True, exist_ok=True)
            for path in paths:
                if not (documents / path.name).exists():
                    shutil.copyfile(path, documents / path.name)
            yield Set(self.collection(name), documents, {}, {}, (), "")

    def collection(self, name: str) -> str:
        return f"{self.name}-{name}"


def load(name: str, corpora: Path, data: Path) -> JudgedSet | None:
    """None if it is none of NAMES, or if its documents or questions are not there."""
    if name not in NAMES:
        return None
    folder = Path(__file__).with_name(OURS) if name == OURS else corpora / PUBLIC
    if not (folder / "questions.jsonl").exists() or not corpora.exists():
        return None
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    collections = json.loads((folder / "collections.json").read_text(encoding="utf-8"))
    return JudgedSet(
        name,
        {each: [corpora / path for path in paths] for each, paths in collections.items()},
        [Question.of(json.loads(line)) for line in lines if line],
        data / f"judged-{name}",
    )


@dataclass(frozen=True)
class Answered:
    """A question, what came of it, and milliseconds of the search alone and of the answer."""

    question: Question
    judgement: Judgement
    reply: Json
    search: float
    query: float

    @property
    def is_claimed(self) -> bool:
        """Whether the product says that the answer is supported, wholly or in part."""
        return self.reply["answer_status"] in ("supported", "partial")

    @property
    def is_false(self) -> bool:
        """Claimed, though nothing that is expected is in it."""
        return self.is_claimed and not self.judgement.good and not self.judgement.met


@dataclass(frozen=True)
class JudgedResult:
    set: JudgedSet
    answered: Sequence[Answered]

    @property
    def parts(self) -> list[str]:
        """`all`, and the set's own parts."""
        return ["all", *sorted({each.question.part for each in self.answered} - {""})]

    def of(self, part: str = "all", kinds: Collection[str] = ()) -> list[Answered]:
        return [
            each
            for each in self.answered
            if part in ("all", each.question.part) and (not kinds or each.question.kind in kinds)
        ]

    def share(self, outcomes: Collection[str], part: str = "all", kinds: Collection[str] = ()) -> float:
        """Of the answerable questions, or of those of the kinds."""
        of = [each for each in self.of(part, kinds) if kinds or not each.question.absent]
        return statistics.fmean(each.judgement.outcome in outcomes for each in of) if of else 0.0

    def false(self, part: str = "all") -> float:
        """The share of wrong ones among the answers that are said to be supported."""
        claimed = [each for each in self.of(part) if each.is_claimed]
        return statistics.fmean(each.is_false for each in claimed) if claimed else 0.0


async def ask(product: Product, one: JudgedSet) -> JudgedResult:
    """Ingests what is not there, then asks one question after the other, so that the times can be compared."""
    for each in one.stored():
        await product.ingest(each)
    await _name_unreachable(product, one)
    return JudgedResult(one, [await _answered(product, one, question) for question in one.questions])


async def _answered(product: Product, one: JudgedSet, question: Question) -> Answered:
    collection = one.collection(question.collection)
    started = time.perf_counter()
    await product.search(question.text, collection)
    searched = time.perf_counter()
    reply = await product.answer(question.text, collection)
    ended = time.perf_counter()
    times = (searched - started) * 1000, (ended - searched) * 1000
    return Answered(question, judge(question, reply), reply, *times)


async def _name_unreachable(product: Product, one: JudgedSet) -> None:
    """Says which expectations are on no page as it is stored: no answer could meet them."""
    for stored in one.stored():
        pages = await product.pages(stored)
        for question in one.questions:
            if one.collection(question.collection) == stored.name:
                for spellings in unreachable(question, pages):
                    print(f"{question.id}: {spellings} stands in no document that it names", file=sys.stderr)


def unreachable(question: Question, pages: Mapping[str, str]) -> list[Sequence[str]]:
    """Expectations that no page of the question's files holds; `pages` by `sets.target`."""
    stems = {Path(name).stem for name in question.files}
    texts = [folded(text) for page, text in pages.items() if page.rpartition("#")[0] in stems]
    return [spellings for spellings in question.expected if not any(says(text, spellings) for text in texts)]
