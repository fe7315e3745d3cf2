"""The row and the column of a table that answer a question about a value."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from footnote.extracts import Passage, grids
from footnote.extracts.question import understood
from footnote.extracts.row_sentence import is_rate, sentence
from footnote.extracts.synonyms import counted_with
from footnote.extracts.table_row import TableCell, TableRow
from footnote.extracts.units import Kind
from footnote.extracts.values import dates, values
from footnote.text.sentences import stems

MOST_ROWS = 4
OTHERWISE = 0.4  # factor for a row that counts other things than those that are asked for
_SURPLUS = 0.7  # penalty for a word of a label that the question does not have
LEAST = 0.25  # a row that scores less has little to do with the question
ANSWERS = 0.45  # a row with this score answers the question
_SHORT_CAPTION = 6  # words
_MOST_CELLS = 24  # of a row whose columns are not known
WORTH_ADDING = 0.8  # of the best row's score

# What a word of the question is worth by where it stands: the row's own label and column say what the value is, the
# rest where it is from.
_LABEL, _SECTION, _COLUMN, _NAMED, _HEAD, _CAPTION, _TITLE, _MENTIONED = 1.0, 0.95, 1.0, 0.9, 0.8, 0.75, 0.7, 0.3
# Of a word's weight: if no row has it, a verb most of the time; if it names the document; if many labels have it.
_ABSENT, _NAMING, _VAGUE = 0.25, 0.4, 0.5

# Words of a question that no row repeats.
_ASKING = frozenset(
    stems(
        "a an and any are as at be been but by can could did do does for from had has have how i if in into is it its "
        "may me my no of on or our should so some such than that the their them then there these they this those to us "
        "was we were what when where which who whom whose why will with would you your between about according much "
        "many amount value number figure report reported tell give show say state compare compared comparison "
        "difference versus million millions billion billions thousand usd dollars fiscal year years fy end ended "
        "during full quarter wie viel viele hoch war waren der die das des dem den im in und von für combien quel "
        "quelle est les des du de la le en cuánto cuántos cuál fue el los las del"
    )
)
# Words that many labels have, and those that introduce a table.
_GENERIC = frozenset(stems("total net consolidated company group business segment amount and of the in for from to"))
_INTRODUCING = frozenset(
    stems(
        "following follows presents set forth information table summary statement statements selected financial data "
        "results operations schedule details as is are our by"
    )
)
_ASK_VALUES = frozenset(("value", "compare", "fact"))  # kinds of questions
_NAME = re.compile(r"(?<=\s)[A-Z0-9][\w&.-]+")
_RATE = re.compile(r"percent|%|growth|change|increase|decrease|rate|margin|ratio|share of|mix|proportion", re.I)
_CONSOLIDATED = re.compile(r"(?<!notes to )consolidated|konzern|consolidé|consolidad", re.I)
_QUARTERLY = re.compile(r"(?:three|six|nine) months|(?:13|26|39) weeks|quarter|\bQ[1-4]\b", re.I)
_KINDS: dict[Kind, re.Pattern[str]] = {
    "duration": re.compile(r"\bhow (?:long|old)\b|\bduration\b|\bwie (?:lange|alt)\b|\bcombien de temps\b", re.I),
    "percent": re.compile(r"\bpercent|%|\bper cent\b|\bprozent|\bpour cent|\bpor ciento", re.I),
    "date": re.compile(r"^\W*(?:when|wann|quand|cuándo)\b|\bwhat date\b", re.I),
}


@dataclass(frozen=True)
class RowAnswer:
    """A sentence that says a value, and its row to the letter; `score`, 0 to 1, is how well they meet the question."""

    text: str
    marker: int
    quote: str
    score: float


def asks_value(question: str) -> bool:
    """Whether the question may ask for a value. `What is AWS?` does not: it would meet any row of that name."""
    return understood(question).kind in _ASK_VALUES


def rows(question: str, passages: Sequence[Passage]) -> list[RowAnswer]:
    """The rows that meet a question about a value, best first; none where no row is about its words."""
    if not asks_value(question):
        return []
    wanted = _words(_undated(question)) - _ASKING
    candidates = list(_candidates(question, passages, wanted)) if wanted else []
    if not candidates:
        return []
    asked = _asked(question, wanted, candidates)
    scored = [each for each in map(asked.scored, candidates) if each.score >= LEAST]
    return list(_chosen(asked, sorted(scored, key=lambda each: -each.score)))


def _words(text: str) -> frozenset[str]:
    """Stems; of `3M's` and `report_2018.pdf` those of their parts."""
    return frozenset(stems(re.sub(r"['’]s?\b|[_.]", " ", text)))


def _undated(question: str) -> str:
    """The question without dates and periods, which columns are chosen by."""
    for each in reversed(dates(question)):
        question = f"{question[: each.start]} {question[each.end :]}"
    return _QUARTERLY.sub(" ", question)


# Candidates


@dataclass(frozen=True)
class _Candidate:
    """A row with the words of all that is around it. `named` and `mentioned` are words of the question only."""

    row: TableRow
    passage: Passage
    label: frozenset[str]
    section: frozenset[str]
    head: frozenset[str]
    caption: frozenset[str]
    title: frozenset[str]
    named: frozenset[str]
    mentioned: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        return self.label | self.section | self.head | self.caption | self.title | self.named


def _candidates(question: str, passages: Sequence[Passage], wanted: frozenset[str]) -> Iterator[_Candidate]:
    """The rows whose label or section has a word of the question."""
    found = [(row, passage) for passage in passages for row in grids.rows(passage.text, passage.before, passage.title)]
    phrases = frozenset(row.label.lower() for row, _ in found if 0 < row.label.count(" ") < 3)
    naming = {passage.marker: (_named(question, passage), _mentioned(question, passage)) for passage in passages}
    known: dict[str, frozenset[str]] = {}

    def words(text: str) -> frozenset[str]:
        if text not in known:
            known[text] = _words(text)
        return known[text]

    for row, passage in found:
        label, section = words(_keys(row)), words(row.section)
        if wanted & (label | section):
            row = grids.with_words(row, phrases)
            head = words(" ".join([row.head, *(cell.name for cell in row.cells)]))
            around = words(row.caption), words(passage.title), *naming[passage.marker]
            yield _Candidate(row, passage, label, section, head, *around)


def _keys(row: TableRow) -> str:
    """What a row is about: its label, or the cells of words where bars divide it."""
    if not row.barred:
        return row.label
    return " ".join(_texts(row))


def _texts(row: TableRow) -> list[str]:
    """The label and the cells of words of a row that bars divide."""
    return [row.label, *(cell.text for cell in row.cells if not re.match(r"\W*\d", cell.text))]


def _named(question: str, passage: Passage) -> frozenset[str]:
    """Words of the question that are in the name of the passage's file, where words are often joined."""
    file = passage.title.partition(" > ")[0].lower()
    parts, joined = set(re.split(r"[\W_]+", file)), re.sub(r"[\W_]+", "", file)
    words = re.findall(r"\w+", re.sub(r"['’]s\b", "", question.lower()))
    pairs = {word for pair in pairwise(words) if "".join(pair) in joined for word in pair}
    found = (word for word in words if word in parts or word in pairs or (len(word) > 3 and word in joined))
    return _words(" ".join(found)) - _ASKING - _GENERIC


def _mentioned(question: str, passage: Passage) -> frozenset[str]:
    """Names of the question that the passage has somewhere."""
    text = set(re.findall(r"\w+", passage.text))
    return _words(" ".join(word for word in _NAME.findall(question) if word in text))


# Scores


@dataclass(frozen=True)
class _Scored:
    score: float
    candidate: _Candidate
    cells: tuple[TableCell, ...]

    @property
    def years(self) -> set[str]:
        return {year for cell in self.cells for year in _years(cell.name)}


@dataclass(frozen=True)
class _Asked:
    """The question: its words with their weights, the words that name a document among the passages, its periods."""

    text: str
    weights: dict[str, float]
    named: frozenset[str]
    years: tuple[str, ...]
    is_quarterly: bool
    counted: frozenset[str]  # of "how many people" the words for what is counted

    @cached_property
    def wants_rate(self) -> bool:
        return _RATE.search(self.text) is not None

    @cached_property
    def length(self) -> str:
        """How long the periods are that it asks about, `three months`; empty for years."""
        return _length(self.text)

    @cached_property
    def kind(self) -> Kind | None:
        """The kind of value that the question asks for, if it says so."""
        return next((kind for kind, pattern in _KINDS.items() if pattern.search(self.text)), None)

    def weight(self, words: Iterable[str]) -> float:
        return sum(self.weights.get(word, 0.0) for word in words)

    def is_as_long(self, period: str) -> bool:
        """Whether a period is as long as the one of the question: three months, or a year if it does not say."""
        return self.length == _length(period)

    def scored(self, candidate: _Candidate) -> _Scored:
        """How much of the question a row contains, less for other words in it and for what does not fit."""
        cells = _cells(self, candidate)
        if not 0 < len(cells) <= _MOST_CELLS or not (
            candidate.row.barred or re.search(r"\d", " ".join(cell.text for cell in cells))
        ):
            return _Scored(0.0, candidate, ())
        score = self._held(candidate, cells) * self._precise(self._met(candidate))
        score *= math.sqrt(self._precise(candidate.section))
        least = 0.7 if len(candidate.caption) <= _SHORT_CAPTION else 0.85  # a short one says of what the rows are parts
        score *= max(least, self._precise(candidate.caption - _INTRODUCING))
        score *= (
            self._fits_document(candidate) * self._fits_period(candidate, cells) * self._fits_kind(candidate, cells)
        )
        if self.counted and self.counted.isdisjoint(candidate.words):
            score *= OTHERWISE
        return _Scored(min(1.0, score / (1 + 0.01 * (candidate.passage.marker - 1))), candidate, cells)

    def _held(self, candidate: _Candidate, cells: Sequence[TableCell]) -> float:
        """The share of the question's weight that the row and what is around it have."""
        is_chosen = len(cells) < len(candidate.row.cells) or len(cells) == 1
        columns = _words(" ".join(cell.name for cell in cells)) if is_chosen else frozenset[str]()
        places = (
            (candidate.label, _LABEL),
            (columns, _COLUMN),
            (candidate.section, _SECTION),
            (candidate.named, _NAMED),
            (candidate.head, _HEAD),
            (candidate.caption, _CAPTION),
            (candidate.title, _TITLE),
            (candidate.mentioned, _MENTIONED),
        )
        held = sum(
            weight * next((worth for words, worth in places if word in words), 0.0)
            for word, weight in self.weights.items()
        )
        is_about = self.weight((candidate.label | columns) - self.named - _GENERIC) > 0
        return held / (sum(self.weights.values()) or 1.0) * (1.0 if is_about else 0.3)

    def _met(self, candidate: _Candidate) -> frozenset[str]:
        """The words of a row's label; of cells between bars, those that have a word of the question: the others say
        something else of it."""
        if not candidate.row.barred:
            return candidate.label
        met = [words for words in map(_words, _texts(candidate.row)) if not words.isdisjoint(self.weights)]
        return frozenset[str]().union(*met) or candidate.label

    def _precise(self, words: frozenset[str]) -> float:
        """Less for each word that the question does not have: `Consumer Health Care` is not `Health Care`."""
        more = len(words - self.weights.keys() - _GENERIC - _ASKING)
        met = len(words & self.weights.keys())
        return (1 + met) / (1 + met + _SURPLUS * more)

    def _fits_document(self, candidate: _Candidate) -> float:
        """Less in another document than the one that is named; more in a statement of the whole company."""
        row = candidate.row
        whole = _CONSOLIDATED.search(f"{row.head} {row.caption} {candidate.passage.title}")
        return (1.15 if whole else 1.0) * (0.6 if self.named - candidate.words else 1.0)

    def _fits_period(self, candidate: _Candidate, cells: Sequence[TableCell]) -> float:
        """Less if the row is of some of the years only, or its year is not known, or it is of a quarter."""
        row, factor = candidate.row, 1.0
        has = {year for cell in cells for year in _years(cell.name)}
        around = f"{row.head} {row.section} {row.caption} {row.label}"
        if self.years and has:
            factor = math.sqrt(len(has & {*self.years}) / len(self.years))
        elif self.years:
            factor = 0.75 if any(year in f"{around} {candidate.passage.title}" for year in self.years) else 0.4
        return factor if bool(_length(around)) == self.is_quarterly else factor * 0.5

    def _fits_kind(self, candidate: _Candidate, cells: Sequence[TableCell]) -> float:
        """Less for a percentage where an amount is asked for, and the other way round."""
        row = candidate.row
        rated = is_rate(row) or all("%" in cell.text for cell in cells)
        return 1.0 if rated == self.wants_rate or row.barred else 0.85 if self.wants_rate else 0.6


@lru_cache(maxsize=1024)
def _length(text: str) -> str:
    found = _QUARTERLY.search(text)
    return found[0].lower() if found else ""


def _asked(question: str, wanted: frozenset[str], candidates: Sequence[_Candidate]) -> _Asked:
    """The question's words weigh by their rarity among the rows. Names count in full although no row has them."""
    said = dates(question)
    years = tuple(dict.fromkeys(str(int(each.number))[:4] for each in said if each.number > 1000))
    frequency = Counter(word for candidate in candidates for word in candidate.words & wanted)
    names = _words(" ".join(_NAME.findall(question)))
    named = frozenset[str]().union(*(each.named for each in candidates)).difference(years)
    weights = {}
    for word in wanted.difference(years):
        absent = not frequency[word] and word not in names
        share = _ABSENT if absent else _NAMING if word in named else _VAGUE if word in _GENERIC else 1.0
        weights[word] = share * math.log(1 + len(candidates) / (1 + frequency[word]))
    is_quarterly = _QUARTERLY.search(question) is not None or any(each.kind == "quarter" for each in said)
    counted = counted_with(understood(question).counted)
    return _Asked(question, weights, named, years, is_quarterly, counted)


def _cells(asked: _Asked, candidate: _Candidate) -> tuple[TableCell, ...]:
    """The cells that are asked for: of the years, of the columns whose names have words of the question, or all."""
    row = candidate.row
    cells = tuple(cell for cell in row.cells if cell.text != row.label or not row.barred)
    if row.periods or any(_years(cell.name) for cell in cells):
        return _of_years(asked, row, cells)
    if of_kind := tuple(cell for cell in cells if asked.kind and _has_kind(cell, asked.kind)):
        cells = of_kind
    weights = {cell: asked.weight(_words(cell.name) - candidate.label) for cell in cells if cell.name}
    best = max(weights.values(), default=0.0)
    return tuple(cell for cell, weight in weights.items() if weight == best) if best else cells


def _of_years(asked: _Asked, row: TableRow, cells: tuple[TableCell, ...]) -> tuple[TableCell, ...]:
    """All cells if the question has no year, or if any of them may be of the year; none if the year is not there."""
    found = tuple(cell for cell in cells if set(_years(cell.name)) & set(asked.years))
    found = tuple(cell for cell in found if asked.is_as_long(cell.name)) or found
    is_there = {year for period in row.periods for year in _years(period)} & set(asked.years)
    is_known = any(cell.name for cell in cells)
    return found if found or (asked.years and (is_known or not is_there)) else cells


def _has_kind(cell: TableCell, kind: Kind) -> bool:
    return any(value.kind == kind for value in values(cell.text, cell.name))


@lru_cache(maxsize=1024)
def _years(name: str) -> tuple[str, ...]:
    """The year of a column; none if it compares two."""
    found = {str(int(each.number))[:4] for each in dates(name) if each.number > 1000} if name else set[str]()
    return tuple(found) if len(found) == 1 else ()


# Saying


def _chosen(asked: _Asked, ranked: Sequence[_Scored]) -> Iterator[RowAnswer]:
    """The best row and those about as good that say something else; a row of a year that the best one lacks."""
    said: set[tuple[str, ...]] = set()
    missing = set(asked.years)
    for each in ranked:
        figures = tuple(re.sub(r"\W", "", cell.text) for cell in each.cells)
        enough = each.score >= ranked[0].score * (0.5 if missing & each.years else WORTH_ADDING)
        if len(said) == MOST_ROWS or figures in said or not enough:
            continue
        said.add(figures)
        missing -= each.years
        row, passage = each.candidate.row, each.candidate.passage
        text = sentence(row, each.cells, _telling(asked, row, each.cells))
        yield RowAnswer(text, passage.marker, passage.text[row.start : row.end], each.score)


def _telling(asked: _Asked, row: TableRow, cells: Sequence[TableCell]) -> str:
    """Of a row between bars, the cell of words that the question names, if it is not among those that are said."""
    texts = _texts(row) if row.barred else []
    met = (text for text in texts if not _words(text).isdisjoint(asked.weights))
    return next((text for text in met if all(text != cell.text for cell in cells)), "")
