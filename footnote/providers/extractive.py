"""The generator without a model: picks the sentences that support an answer best and quotes them."""

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from footnote.providers import GenerationRequest, GeneratorEvent, Passage, Statement, Usage
from footnote.settings import Settings
from footnote.text.sentences import spans, stems

MOST_SENTENCES = 3
WORTH_ADDING = 0.6  # of the best sentence's score
UNHELD = 0.1  # the score of a sentence without a word of the question: it may answer in other words
LONGEST_SENTENCE = 600

# Words of a question that say nothing about its subject.
_STOP_WORDS = (
    "a an and any are as at be been but by can could did do does for from had has have how i if in into is it its may "
    "me my no not of on or our should so some such than that the their them then there these they this those to us was "
    "we were what when where which who whom whose why will with would you your between about according also each tell "
    "give explain describe list name mean means"
)
STOP = frozenset(stems(_STOP_WORDS))


_BULLET = re.compile(r"^(?:[#>*•-]+\s+)+")


@dataclass(frozen=True)
class _Sentence:
    text: str
    marker: int
    words: frozenset[str]
    heading: frozenset[str]


class ExtractiveGenerator:
    provider = "extractive"
    address = None
    model = "extractive"

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        # In a thread: ten long passages take a tenth of a second.
        for sentence in await asyncio.to_thread(choose, request.question, request.passages):
            yield Statement(_readable(sentence.text), sentence.marker, sentence.text)
        yield Usage(0, 0)

    async def close(self) -> None: ...


def open_generator(settings: Settings) -> ExtractiveGenerator:  # noqa: ARG001  every provider is opened alike
    return ExtractiveGenerator()


def choose(question: str, passages: Sequence[Passage]) -> list[_Sentence]:
    """Up to three sentences, best first, each from the passages and adding something to those before it.

    A sentence scores the share of the question's words that it holds, each weighted by its rarity among all sentences
    (idf), those of the title above it by half; more than in proportion, because two halves answer
    nothing. The score is lower for a long sentence, and for a passage that retrieval ranked lower.
    """
    wanted = set(stems(question)) - STOP
    candidates = list(_sentences(passages))
    if not wanted or not candidates:
        return []
    frequency = Counter(word for sentence in candidates for word in sentence.words)
    weight = {word: math.log(1 + len(candidates) / (1 + frequency[word])) for word in wanted}
    whole = sum(weight.values())

    def held(sentence: _Sentence) -> float:
        below_title = (wanted & sentence.heading) - sentence.words
        return (
            sum(weight[word] for word in wanted & sentence.words) + sum(weight[word] for word in below_title) / 2
        ) / whole

    def score(sentence: _Sentence) -> float:
        damped = math.sqrt((8 + len(sentence.words)) * (8 + sentence.marker))
        return math.pow(UNHELD + held(sentence), 1.5) / damped

    ranked = sorted(candidates, key=score, reverse=True)
    enough = WORTH_ADDING * score(ranked[0])
    chosen: list[_Sentence] = []
    for sentence in ranked:
        if len(chosen) == MOST_SENTENCES or score(sentence) < enough:
            break
        if all(len(sentence.words & other.words) < 0.7 * len(sentence.words) for other in chosen):
            chosen.append(sentence)
    return chosen


def _sentences(passages: Sequence[Passage]) -> list[_Sentence]:
    found = []
    for passage in passages:
        heading = frozenset(stems(passage.title))
        for start, end in spans(passage.text):
            text = _shortened(passage.text[start:end])
            words = frozenset(stems(text))
            if len(words) >= 4:
                found.append(_Sentence(text, passage.marker, words, heading))
    return found


def _shortened(sentence: str) -> str:
    """At most LONGEST_SENTENCE characters, without a word that would be cut."""
    if len(sentence) <= LONGEST_SENTENCE:
        return sentence
    cut = sentence[:LONGEST_SENTENCE]
    return cut if sentence[LONGEST_SENTENCE].isspace() or len(cut.split()) == 1 else cut.rsplit(maxsplit=1)[0]


def _readable(sentence: str) -> str:
    """One line, ended by a full stop; the quote keeps the original."""
    line = _BULLET.sub("", " ".join(sentence.split()))
    return line if line.endswith((".", "!", "?", "。", "！", "？", ":", "…")) else line + "."
