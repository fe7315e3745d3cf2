"""Generated texts: words as frequent as in a language, in sentences, sections and Markdown documents of two lengths.

Deterministic: the same on every run and machine. The words are invented, so that no text is anybody's.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

VOCABULARY = 12_000
_SYLLABLES = [start + end for start in [*"bdfgklmnprstv", "st", "tr"] for end in [*"aeiou", "an", "el", "or"]]
_SENTENCES = (10, 20)  # of a section, the fewest and the most: about 1,500 characters, as an abstract has


@dataclass(frozen=True)
class Document:
    name: str
    text: str


@dataclass(frozen=True)
class Shape:
    """`documents` of about `chunks` chunks of 1,000 characters that overlap by 200; some of them half as long as the
    average, some one and a half times.
    """

    chunks: int
    documents: int

    @property
    def name(self) -> str:
        return f"{self.chunks}-chunks"

    def corpus(self, documents: int | None = None) -> list[Document]:
        """All of them, or the first `documents`."""
        return [self._document(number) for number in range(documents or self.documents)]

    def _document(self, number: int) -> Document:
        rng = random.Random(f"{self.chunks}/{number}")
        sections = round(self.chunks * _SECTIONS_A_CHUNK * rng.uniform(0.5, 1.5))
        body = "\n\n".join(_section(rng) for _ in range(max(1, sections)))
        return Document(f"report-{self.chunks}-{number:05}.md", f"# Report {number}\n\n{body}\n")


# Of sections as below the splitter of the floor makes so many chunks.
_SECTIONS_A_CHUNK = 0.31
LONG, SHORT = Shape(19, 300), Shape(10, 500)


@cache
def words() -> tuple[list[str], list[float]]:
    """Invented words, the most frequent first, and their cumulative weights by Zipf's law."""
    rng = random.Random(1)
    made: dict[str, None] = {}
    while len(made) < VOCABULARY:
        frequent = len(made) < VOCABULARY // 40
        made["".join(rng.choices(_SYLLABLES, k=1 + (rng.random() < 0.5) if frequent else rng.randint(2, 4)))] = None
    return list(made), list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))


def sentence(rng: random.Random) -> str:
    """Of 8 to 24 words."""
    known, weights = words()
    return " ".join(rng.choices(known, cum_weights=weights, k=rng.randint(8, 24))).capitalize() + "."


def _section(rng: random.Random) -> str:
    heading = sentence(rng)[:60].rstrip(".")
    return f"## {heading}\n\n" + " ".join(sentence(rng) for _ in range(rng.randint(*_SENTENCES)))


def sentences(documents: Sequence[Document]) -> Iterator[str]:
    """Those of all documents."""
    for document in documents:
        for line in document.text.splitlines():
            if line.endswith("."):
                yield from (f"{each.rstrip('.')}." for each in line.split(". "))


def questions(documents: Sequence[Document], count: int) -> list[str]:
    """Sentences that stand in the documents, each once."""
    return random.Random(11).sample(sorted(set(sentences(documents))), count)
