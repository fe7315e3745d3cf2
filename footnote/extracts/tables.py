"""The row and the column of a table that answer a question about a value."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from footnote.extracts import Passage, grids
from footnote.extracts.grids import TableCell, TableRow
from footnote.extracts.units import Kind
from footnote.extracts.values import dates, of_another_kind, values
from footnote.text.sentences import stems

MOST_ROWS = 4
WORTH_ADDING = 0.75  # of the best row's score
_LONGEST_TITLE = 120

# What each place of a word is worth: the row's own label and column say what the value is, the rest where it is from.
_LABEL, _SECTION, _COLUMN, _HEAD, _CAPTION, _TITLE = 1.0, 0.95, 1.0, 0.85, 0.75, 0.7
_ABSENT = 0.4  # of a word's weight if no row has it: a verb, most of the time

# Words of a question that no row repeats.
_ASKING = frozenset(
    stems(
        "a an and any are as at be been but by can could did do does for from had has have how i if in into is it its "
        "may me my no of on or our should so some such than that the their them then there these they this those to us "
        "was we were what when where which who whom whose why will with would you your between about according much "
        "many amount value number figure report reported tell give show say state compare compared comparison "
        "difference versus million millions billion billions thousand usd dollars fiscal year years fy end ended "
        "during full quarter wie viel viele hoch war waren der die das des dem den im in und von für combien quel quelle "
        "est les des du de la le en cuánto cuántos cuál fue el los las del"
    )
)
# Words of a label that many rows have.
_GENERIC = frozenset(stems("total net consolidated company group business segment amount and of the in for from to"))
_RATE = re.compile(
    r"percent|%|growth|change|increase|decrease|rate|margin|ratio|share of|mix|proportion", re.IGNORECASE
)
_QUARTERLY = re.compile(r"three months|13 weeks|quarter|\bQ[1-4]\b", re.IGNORECASE)
_KINDS: dict[Kind, re.Pattern[str]] = {
    "duration": re.compile(r"\bhow (?:long|old)\b|\bduration\b|\bwie (?:lange|alt)\b|\bcombien de temps\b", re.I),
    "percent": re.compile(r"\bpercent|%|\bper cent\b|\bprozent|\bpour cent|\bpor ciento", re.I),
    "date": re.compile(r"^\W*(?:when|wann|quand|cuándo)\b|\bwhat date\b", re.I),
}
_ASKS_VALUE = re.compile(
    r"\bhow (?:much|many|long|big|large|high|low|far|old|often|fast|heavy|tall|deep)\b|\b(?:19|20)\d\d\b|\bFY ?\d\d"
    r"|\bwie (?:viele?|hoch|lange|groß|weit|alt)\b|\bcombien|\bcu[aá]nt|\bquant|\bcompare|\bpercent|%"
    r"|\b(?:number|amount|value|rate|price|cost|total|average|size|length|duration)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class RowAnswer:
    """A sentence that says a value, and its row to the letter; `score`, 0 to 1, is how well they meet the question."""

    text: str
    marker: int
    quote: str
    score: float


@dataclass(frozen=True)
class _Asked:
    text: str
    weights: dict[str, float]
    years: tuple[str, ...]
    quarters: frozenset[int]

    def weight(self, words: Iterable[str]) -> float:
        return sum(self.weights.get(word, 0.0) for word in words)

    @property
    def kind(self) -> Kind | None:
        """The kind of value that the question asks for, if it says so."""
        return next((kind for kind, pattern in _KINDS.items() if pattern.search(self.text)), None)

    @property
    def is_rate(self) -> bool:
        return _RATE.search(self.text) is not None

    @property
    def is_quarterly(self) -> bool:
        return bool(self.quarters) or "quarter" in self.text.lower()


@dataclass(frozen=True)
class _Candidate:
    row: TableRow
    passage: Passage
    label: frozenset[str]
    section: frozenset[str]
    head: frozenset[str]
    caption: frozenset[str]
    title: frozenset[str]

    @property
    def words(self) -> frozenset[str]:
        return self.label | self.section | self.head | self.caption | self.title


def rows(question: str, passages: Sequence[Passage]) -> list[RowAnswer]:
    """The rows that meet a question about a value, best first; none where no row is about its words."""
    wanted = _words(question) - _ASKING
    candidates = list(_candidates(passages, wanted))
    if not wanted or not candidates:
        return []
    asked = _asked(question, wanted, candidates)
    scored = [
        (score, candidate, cells) for candidate in candidates for score, cells in [_score(asked, candidate)] if score
    ]
    scored.sort(key=lambda each: -each[0])
    return list(_chosen(asked, scored))


def _words(text: str) -> frozenset[str]:
    """Stems without possessives; those of `3M's` and `AWS` as those of `3M` and `aws`."""
    return frozenset(stems(re.sub(r"['’]s?\b|[_.]", " ", text)))


def _candidates(passages: Sequence[Passage], wanted: frozenset[str]) -> Iterator[_Candidate]:
    """The rows whose label or section has a word of the question; a cheap look comes before the stems."""
    known: dict[str, frozenset[str]] = {}

    def words(text: str) -> frozenset[str]:
        if text not in known:
            known[text] = _words(text)
        return known[text]

    found = [(row, passage) for passage in passages for row in grids.rows(passage.text, passage.before, passage.title)]
    phrases = frozenset(row.label.lower() for row, _ in found if 0 < row.label.count(" ") < 3)
    for row, passage in found:
        label = words(_keys(row))
        section = words(row.section)
        if wanted & (label | section):
            named = grids.with_words(row, phrases)
            head = words(" ".join([row.head, *(cell.name for cell in named.cells)]))
            yield _Candidate(named, passage, label, section, head, words(row.caption), words(passage.title))


def _keys(row: TableRow) -> str:
    """What a row is about: its label, or the cells of words where bars divide it."""
    return " ".join(cell.text for cell in row.cells if not _is_figure(cell)) if row.barred else row.label


def _is_figure(cell: TableCell) -> bool:
    return bool(re.match(r"\W*\d", cell.text))


def _asked(question: str, wanted: frozenset[str], candidates: Sequence[_Candidate]) -> _Asked:
    """The question's words with their weights: rare ones tell more. Names count in full although no row has them."""
    said = dates(question)
    years = tuple(dict.fromkeys(str(int(each.number))[:4] for each in said if each.number > 10))
    quarters = frozenset(int(each.number) % 10 for each in said if each.kind == "quarter")
    frequency = Counter(word for candidate in candidates for word in candidate.words & wanted)
    names = _words(" ".join(re.findall(r"(?<=\s)[A-Z0-9][\w&.-]+", question)))
    weights = {
        word: math.log(1 + len(candidates) / (1 + frequency[word]))
        * (1.0 if frequency[word] or word in names else _ABSENT)
        for word in wanted
        if word not in years
    }
    return _Asked(question, weights, years, quarters)


def _score(asked: _Asked, candidate: _Candidate) -> tuple[float, tuple[TableCell, ...]]:
    row = candidate.row
    cells = _cells(asked, candidate)
    if not cells or (not any(character.isdecimal() for cell in cells for character in cell.text) and not row.barred):
        return 0.0, ()
    columns = (
        _words(" ".join(cell.name for cell in cells)) if len(cells) < len(row.cells) or len(cells) == 1 else frozenset()
    )
    places = (
        (candidate.label, _LABEL),
        (columns, _COLUMN),
        (candidate.section, _SECTION),
        (candidate.head, _HEAD),
        (candidate.caption, _CAPTION),
        (candidate.title, _TITLE),
    )
    worth = {word: max((value for words, value in places if word in words), default=0.0) for word in asked.weights}
    whole = sum(asked.weights.values())
    held = sum(weight * worth[word] for word, weight in asked.weights.items()) / whole if whole else 0.0
    if not (candidate.label - _GENERIC) & asked.weights.keys() and not columns & asked.weights.keys():
        held *= 0.5 if candidate.label & asked.weights.keys() else 0.3
    score = held * _precise(candidate.label, asked) * math.sqrt(_precise(candidate.section, asked))
    score *= _fits_period(asked, candidate, cells) * _fits_kind(asked, candidate, cells)
    score *= 1.0 if _ASKS_VALUE.search(asked.text) else 0.7
    return score / (1 + 0.02 * (candidate.passage.marker - 1)), cells


def _precise(words: frozenset[str], asked: _Asked) -> float:
    """Less for each word of a label that the question does not have: `Consumer Health Care` is not `Health Care`."""
    more = len(words - asked.weights.keys() - _GENERIC - _ASKING)
    met = len(words & asked.weights.keys())
    return (1 + met) / (1 + met + 0.5 * more)


def _cells(asked: _Asked, candidate: _Candidate) -> tuple[TableCell, ...]:
    """The cells that are asked for: of the years, of the columns whose names have words of the question, or all."""
    row = candidate.row
    cells = tuple(cell for cell in row.cells if cell.text != row.label or not row.barred)
    if row.periods or any(_years(cell.name) for cell in cells):
        of_years = tuple(cell for cell in cells if set(_years(cell.name)) & set(asked.years))
        if of_years:
            return of_years
        named = any(cell.name for cell in cells)
        held = {year for period in row.periods for year in _years(period)} & set(asked.years)
        return () if asked.years and (named or not held) else cells
    if asked.kind and (of_kind := tuple(cell for cell in cells if _has_kind(cell, asked.kind))):
        cells = of_kind
    weights = {cell: asked.weight(_words(cell.name) - candidate.label) for cell in cells if cell.name}
    best = max(weights.values(), default=0.0)
    return tuple(cell for cell, weight in weights.items() if weight == best) if best else cells


def _has_kind(cell: TableCell, kind: Kind) -> bool:
    return any(value.kind == kind for value in values(cell.text, cell.name))


def _years(name: str) -> list[str]:
    return [str(int(each.number))[:4] for each in dates(name) if each.number > 1000] if name else []


def _fits_period(asked: _Asked, candidate: _Candidate, cells: Sequence[TableCell]) -> float:
    row, factor = candidate.row, 1.0
    if asked.years and not any(_years(cell.name) for cell in cells):
        near = f"{row.head} {row.section} {row.caption} {row.label} {candidate.passage.title}"
        factor = 0.75 if any(year in near for year in asked.years) else 0.4
    elif asked.years:
        has = {year for cell in cells for year in _years(cell.name)}
        factor = math.sqrt(len(has & {*asked.years}) / len(asked.years))
    is_quarterly = _QUARTERLY.search(f"{row.head} {row.section} {row.caption}") is not None
    if is_quarterly == asked.is_quarterly:
        return factor
    return factor * (0.6 if asked.is_quarterly else 0.5)


def _fits_kind(asked: _Asked, candidate: _Candidate, cells: Sequence[TableCell]) -> float:
    """Less for a percentage where an amount is asked for, and the other way round."""
    row = candidate.row
    is_rate = all("%" in cell.text for cell in cells) or bool(
        re.search("percent|%", f"{row.section} {row.label}", re.I)
    )
    return 1.0 if is_rate == asked.is_rate or row.barred else 0.85 if asked.is_rate else 0.6


def _is_rate(row: TableRow) -> bool:
    return re.search(r"percent|%", f"{row.section} {row.label}", re.IGNORECASE) is not None


# Saying


def _chosen(asked: _Asked, scored: Sequence[tuple[float, _Candidate, tuple[TableCell, ...]]]) -> Iterator[RowAnswer]:
    """The best row and those about as good that say something else; a row of a year that the best one lacks."""
    said: set[tuple[str, ...]] = set()
    lacking = set(asked.years)
    best = scored[0][0] if scored else 0.0
    for score, candidate, cells in scored:
        figures = tuple(re.sub(r"\W", "", cell.text) for cell in cells)
        has = {year for cell in cells for year in _years(cell.name)}
        enough = score >= WORTH_ADDING * best or (lacking & has and score >= best / 2)
        if len(said) == MOST_ROWS or figures in said or not enough:
            continue
        said.add(figures)
        lacking -= has
        row = candidate.row
        quote = candidate.passage.text[row.start : row.end]
        yield RowAnswer(_sentence(row, cells), candidate.passage.marker, quote, min(1.0, score))


def _sentence(row: TableRow, cells: Sequence[TableCell]) -> str:
    """Row label, column, value, unit, table title."""
    subject = ", ".join(filter(None, (row.section, row.label)))
    title = _title(row)
    if all(cell.name for cell in cells):
        values = "; ".join(f"{cell.name}: {_with_unit(row, cell)}" for cell in cells)
        return f"{subject}, {values}{title}."
    values = " | ".join(_with_unit(row, cell) for cell in cells)
    head = f" (columns: {row.head})" if row.head and len(cells) > 1 else title
    return f"{subject}: {values}{head}."


def _title(row: TableRow) -> str:
    caption = re.sub(r"^\(\w{1,3}\) |\s?\([^()]*\)\s?(?=:?$)", "", re.split(r"[.!?]\s", row.caption)[-1])
    caption = re.sub(r"(?: (?:is|are|was|were) as follows)?:?$", "", caption).strip()
    return f" ({caption})" if 0 < len(caption) <= _LONGEST_TITLE and caption not in (row.section, row.label) else ""


_SCALE_NAMES = {1_000: "thousand", 1_000_000: "million", 1_000_000_000: "billion"}


def _with_unit(row: TableRow, cell: TableCell) -> str:
    text = re.sub(r"(?<=[$€£¥(]) | (?=[%)])", "", cell.text)
    scale = _SCALE_NAMES.get(int(row.unit.scale))
    if row.barred or not re.search(r"\d", text) or re.search(r"[%xX]", text):
        return text
    if row.is_rate or _is_rate(row):
        return f"{text}%"
    return f"{text} {scale}" if scale and not of_another_kind(f"{row.section} {row.label}") else text
