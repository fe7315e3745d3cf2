"""What a question names, read by plain rules: names, identifiers, versions, years, quarters. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from footnote.extracts.calendar import NUMBERS_OF_QUARTERS, quarters, years
from footnote.text import folded

Kind = Literal["name", "version", "year", "quarter"]

# Longer ones are cut: a name does not come after so much.
_LONGEST = 4_000

_WORD = re.compile(r"[^\W_]+(?:[-_.&'/+][^\W_]+)*(?:\+\+|#)?(?:'(?![^\W_]))?")
_SENTENCE_END = re.compile(r"[.?!:;\n•¿¡][\"')\]]*\s*$")
_JOINED = re.compile(r"^(?: | & )$")
_POSSESSIVE = re.compile(r"(?:'s|'|(?<=s)')$", re.I)

# Words of grammar, of English and of languages that write names as it does. Capitals on them mean a title, and a
# question without any of them is a list of keywords.
_GRAMMAR = frozenset(
    "a about after all also an and any are as at based be been before being between both but by can could did do does "
    "during each for from give had has have he her his how i if in into is it its just many me more most much my no "
    "not of on only or our over please same she should since so some such than that the their them then there these "
    "they this those through to under until up us was we were what when where whether which while who whom whose why "
    "will with within without would you your "
    "au aux avec ce ces combien comment dans de depuis des du elle en est et il ils la le les leur mais ou où par pas "
    "plus pour quand que quel quelle quelles quels qui sa se ses son sont sur un une "
    "al como con cuando cuanto cuantos cuál cuáles cuándo cuánto cuántos cómo del desde donde dónde el ella ellos en "
    "entre era es esta este fue ha hay las lo los más para pero por que qué quién se según ser sin sobre son su sus "
    "una uno y che chi come cosa cui da dal dalla dei della delle di dove gli ha hanno i il nel nella non per perché "
    "più quale quali quando quanti quanto sono tra um uma o os as ao da do das dos em na no nas nos foi com não qual "
    "quais quem het een van wat wie waar hoe hoeveel wanneer welke zijn was er en op met".split()
)
_GERMAN = frozenset(
    "aber als am an auch auf aus bei bis das dass dem den der des die durch ein eine einem einen einer eines für hat "
    "haben hatte ich im ist kann können man mit muss nach nicht oder seit sich sie sind soll über um und unter vom von "
    "vor wann war waren warum was welche welchem welchen welcher welches wenn wer werden wie wieso wieviel wird wo "
    "womit worüber wurde wurden zu zum zur zwischen".split()
)
# What begins a sentence and is no name.
_STARTERS = frozenset(
    "according address among answer approximately assume assuming basing calculate can compare compute considering "
    "could define describe did discuss do does evaluate explain find following give given has have help here identify "
    "if is let list name outline please provide recommend respond round show state suggest summarise summarize suppose "
    "tell translate using was were what when where which who why write yes no hello hi hey thanks thank okay ok".split()
)
# Written with a capital, and no names: months, days, forms of address, languages of the question itself.
_NO_NAMES = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun "
    "january's mr mrs ms dr prof professor president chairman chair director sir madam lord lady st "
    "internet earth web english german french spanish god christmas easter i'm i'd i've i'll january "
    "section article chapter figure fig table page part appendix annex item exhibit note paragraph question".split()
)
# Abbreviations of measures, currencies, roles and kinds of text. A question may use one where the documents write it
# out, or give what it is computed from.
_TERMS = frozenset(
    "agm api arpu bn bps btw cagr capex ccc ceo cet cfo cio ckd cogs coo cpi cpu css csv cto dio dpo dso ebit ebita "
    "ebitda ebt edt eg egm eps est eu eur eta etc faq fcf fifo fte fx fy gaap gb gbp gdp gmt gpu hr html http https id "
    "ie ifrs inr ip ipo irr it jpy json kb kpi led lifo llc ltd m&a mb md mm mw nav npv ok opex p&l pb pc pdf pe ph "
    "png ppe ppne pp&e pr pto q&a qoq r&d roa roce roe roi roic sec sg&a sla sme sms sql tb tbd ttm tv ui uk un url "
    "us usa usb usd utc ux vat vp vs wacc xml yaml yoy ytd".split()
)
# After a number they make it a quantity, before one a place in a document.
_PLACES = frozenset("page pages slide slides line lines row rows column columns question no nr step point seite p pp")
_KINDS = frozenset(
    "vitamin hepatitis influenza type class group plan schedule series category grade factor model option phase".split()
)
_VERSION_WORDS = frozenset("version versions release v ver versión versione versie versao versão edition".split())
_QUANTITY = re.compile(r"\d[\d.,]*(?:[a-zµ%°]{1,4}|st|nd|rd|th|[sx])$")
_AMOUNT = re.compile(r"\d+[KMBkmb]$")
_FILE = re.compile(r"[\w&+-]{2,}(?:\.[\w&+-]+)*\.[a-z][a-z0-9]{1,4}", re.I)
_INITIALS = re.compile(r"\w(?:&\w)+")  # R&D, P&L
_FORM = re.compile(r"\d+-?[KQ]")  # of a report
_COMPOUND = re.compile(r"\d+-[^\W\d].*")  # "0-dimensional", "5-year"


@dataclass(frozen=True)
class Named:
    """What is named: as it stands in the question, and its words, without case and accents."""

    kind: Kind
    text: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class _Word:
    text: str  # without a possessive ending
    start: int
    end: int
    is_first: bool  # in its sentence
    is_possessive: bool
    before: str  # what stands between the word before and this one

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def is_grammar(self) -> bool:
        return self.lower in _GRAMMAR or self.lower in _GERMAN

    @property
    def is_capitalised(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_acronym(self) -> bool:
        letters = [each for each in self.text if each.isalpha()]
        return len(letters) > 1 and all(each.isupper() for each in letters)

    @property
    def is_camel(self) -> bool:
        return any(a.islower() and b.isupper() for a, b in zip(self.text, self.text[1:], strict=False))

    @property
    def has_digit(self) -> bool:
        return any(each.isdigit() for each in self.text)

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit() and not any(each.isalpha() for each in self.text)


def named(question: str) -> list[Named]:
    """In the order of the question; a name of several words is one."""
    text = folded(question[:_LONGEST]).replace("’", "'").replace("‘", "'")
    found: list[tuple[int, Named]] = []
    found += [(start, Named("year", written, (str(year),))) for start, written, year in years(text, asked=True)]
    found += [(start, Named("quarter", written, (str(number),))) for start, written, number in quarters(text)]
    found += _names(text)
    return [one for _, one in sorted(found, key=lambda each: each[0])]


def _names(text: str) -> Iterator[tuple[int, Named]]:
    words = _words(text)
    told = _tell_names_by_case(words)
    group: list[_Word] = []
    for place, word in enumerate(words):
        if one := _version(words, place) or _kind_by_letter(words, place):
            yield word.start, one
        if _is_name(words, place, told) and not _is_defined(text, word):
            if group and not _JOINED.match(word.before):
                yield _grouped(group)
                group = []
            group.append(word)
            if word.is_possessive:
                yield _grouped(group)
                group = []
        elif group:
            yield _grouped(group)
            group = []
    if group:
        yield _grouped(group)


def _grouped(group: Sequence[_Word]) -> tuple[int, Named]:
    text = "".join([group[0].text, *(each.before + each.text for each in group[1:])])
    return group[0].start, Named("name", text, tuple(filter(None, (_core(each) for each in group))))


def _core(word: _Word) -> str:
    """Without what is only joined to a name: `-dependent`, `anti-`."""
    parts = word.text.split("-")
    marked = [each for each in parts if any(letter.isupper() or letter.isdigit() for letter in each)]
    return "-".join(marked) if any(each.isalpha() for part in marked for each in part) else word.text


def _words(text: str) -> list[_Word]:
    found, end = list[_Word](), 0
    for match in _WORD.finditer(text):
        bare = _POSSESSIVE.sub("", match.group())
        between = text[end : match.start()]
        is_first = not found or _SENTENCE_END.search(between) is not None
        word = _Word(bare or match.group(), match.start(), match.end(), is_first, bare != match.group(), between)
        found.append(replace(word, is_first=True) if not found else word)
        end = match.end()
    return found


def _tell_names_by_case(words: Sequence[_Word]) -> bool:
    """Whether a capital tells a name: not in a title, nor in German, nor where all is written in capitals."""
    inner = [each for each in words if not each.is_first and not each.has_digit and len(each.text) > 1]
    grammar = [each for each in inner if each.is_grammar]
    if any(each.is_capitalised for each in grammar if each.lower != "i"):
        return False
    if len(inner) > 2 and not grammar and all(each.is_capitalised for each in inner):
        return False
    return not _is_german(words)


def _is_german(words: Sequence[_Word]) -> bool:
    german = sum(each.lower in _GERMAN for each in words)
    return german > sum(each.lower in _GRAMMAR for each in words)


def _is_name(words: Sequence[_Word], place: int, told: bool) -> bool:
    word = words[place]
    if len(word.text) < 2 or word.is_grammar or word.lower in _NO_NAMES or word.lower in _TERMS or word.is_number:
        return False
    if _INITIALS.fullmatch(word.text):
        return False
    if word.has_digit:
        return _is_identifier(words, place)
    if _FILE.fullmatch(word.text):
        return True
    if word.is_camel or (word.is_acronym and not all(each.is_acronym or each.is_number for each in words)):
        return True
    if not told or not word.is_capitalised:
        return False
    return not word.is_first or (word.is_possessive and word.lower not in _STARTERS)


def _is_identifier(words: Sequence[_Word], place: int) -> bool:
    """Letters with digits that are no quantity, no ordinal number, no year, no quarter, no form of a report."""
    word = words[place]
    if word.text[0].isdigit():
        if (
            _QUANTITY.fullmatch(word.text)
            or _FORM.fullmatch(word.text)
            or _COMPOUND.fullmatch(word.text)
            or word.before.endswith(("$", "€", "£", "¥"))
        ):
            return False
        if _AMOUNT.fullmatch(word.text):
            return word.is_possessive or _stands_alone(words, place)
    return not any(years(word.text)) and not any(quarters(word.text)) and not word.lower.startswith("fy")


def _stands_alone(words: Sequence[_Word], place: int) -> bool:
    """Whether no noun follows that it could count: `3M` in "did 3M pay", not in "3M users"."""
    follows = words[place + 1] if place + 1 < len(words) else None
    before = words[place - 1].lower if place else ""
    return (
        follows is None or follows.is_grammar or follows.is_first or before in _DOING or not follows.text.endswith("s")
    )


_DOING = frozenset("is was does did do has had have were are can could will would should when for by".split())


def _is_defined(text: str, word: _Word) -> bool:
    """Whether the question itself gives it for another name: in brackets behind that, or by a definition."""
    if word.before.endswith("(") and text[word.end : word.end + 1] == ")":
        return True
    quoted = re.escape(word.text)
    return word.is_acronym and re.search(rf"\({quoted}\)|\b{quoted} (?:is defined|= )", text) is not None


def _version(words: Sequence[_Word], place: int) -> Named | None:
    """A number after a name or after a word like "version"; its parts end with the number."""
    word = words[place]
    number = re.fullmatch(r"v?(\d{1,4}(?:\.\d{1,5}){0,3})", word.lower)
    if number is None or not place or words[place - 1].is_possessive:
        return None
    before = words[place - 1]
    if before.lower in _VERSION_WORDS and word.before == " ":
        return Named("version", f"{before.text} {word.text}", (number[1],))
    dotted = "." in number[1] or word.lower.startswith("v")
    if (
        dotted
        and word.before == " "
        and before.is_capitalised
        and not before.is_grammar
        and _follows_free(words, place)
    ):
        return Named("version", f"{before.text} {word.text}", (number[1],))
    return None


def _kind_by_letter(words: Sequence[_Word], place: int) -> Named | None:
    """A kind and the capital that tells it from others: vitamin C, hepatitis B."""
    word, noun = words[place], words[place - 1] if place else None
    if noun is None or noun.lower not in _KINDS or len(word.text) > 1 or not word.is_capitalised or word.before != " ":
        return None
    return Named("name", f"{noun.text} {word.text}", (noun.text, word.text))


def _follows_free(words: Sequence[_Word], place: int) -> bool:
    follows = words[place + 1] if place + 1 < len(words) else None
    return follows is None or follows.lower not in {"million", "billion", "thousand", "percent", "trillion"}
