"""Sections that a question asks for by what they hold: conclusions, recommendations, findings. Pure.

Patterns of headings are written so that Python and Postgres read them alike.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from footnote.extracts.wording import STOP
from footnote.text.sentences import stems

# By what is asked for, words of the headings under which it stands, in five languages. Data: what a word begins with,
# all of it where `!` ends it, and all of it without a word behind it where `=` does.
_HEADINGS = {
    "conclusions": "conclusion concluding conclusión conclusiones conclusioni fazit schlussfolgerung",
    "recommendations": "recommendation recommandation recomendaci empfehlung handlungsempfehlung raccomandazion",
    "findings": ("finding= findings results ergebnis erkenntnis befund résultat constat resultado hallazgo risultat"),
}
# Where such things stand in a text without that section.
_NEAR = "summary zusammenfassung résumé! synthèse resumen sintesi riassunto discussion diskussion discusión discussione"
_WORDS = _HEADINGS | {"near": " ".join((*_HEADINGS.values(), _NEAR))}
_ENDS = {"!": r"(?!\w)", "=": r"(?=\W*(?:\d|\Z)|\s*[:\n])"}
_BEFORE = (
    "key|main|major|principal|most important|general|overall|our|summary of|discussion and|summary and|results and"
    "|findings and|wichtigste|zentrale|unsere|principales|principaux|principali|as|le|la|les|las|los|el|i|die|das|the"
)
_NUMBERED = r"[\W\d_]*(?:[ivx]+\.\s+)?"
# Words for a document, and for what is asked of one.
GENERIC = STOP | frozenset(
    stems(
        "about kind sort type give overview document documents file files text report paper article book presentation "
        "slides page summary summarize summarise content contents study audit review authors evaluation survey inquiry "
        "investigation team committee commission panel board researchers auditors inspectors conclude conclusion "
        "conclusions recommend "
        "recommendations recommendation find found finding findings result results main key major important principal "
        "dokument datei worum geht bericht studie fazit ergebnis ergebnisse empfehlungen fichier rapport étude "
        "documento archivo informe estudio"
    )
)
LONGEST = 60  # characters of a heading
BEFORE = 3000  # characters before a passage, in which its section may begin

_CONCLUDE = r"conclusions?|schlussfolgerung(?:en)?|fazit|conclusion(?:es|i)|conclusión"
_RECOMMEND = r"recommendations?|empfehlungen|recommandations|recomendaciones|raccomandazioni"
_FIND = r"findings?|results?|ergebnisse?|erkenntnisse|résultats?|constatations|constats|resultados?|hallazgos|risultati"
_NOUNS = {"conclusions": _CONCLUDE, "recommendations": _RECOMMEND, "findings": _FIND}
_VERBS = {
    "conclusions": r"conclude|folgert|schließt|conclut|concluye|conclude",
    "recommendations": r"recommend|advise|empfiehlt|recommande|préconise|recomienda|raccomanda|consiglia",
    "findings": r"find(?: out)?|discover|constate|découvre|encuentra|halla|trova",
}
_TEXT = (
    r"(?:\w+ ){0,4}(?:l['’])?(?:report|paper|study|document|article|audit|review|evaluation|survey|text|file|thesis"
    r"|book|analysis|presentation|inquiry|investigation|team|committee|commission|panel|board|researchers|auditors|inspectors|authors?|bericht\w*|studie|dokument\w*|artikels?|autor(?:en|es|i)?|rapport|étude|auteurs?"
    r"|informe|estudio|documento|artículo|autores|relazione|rapporto|studio|articolo|it|they|\S+\.[a-z]\w{1,4})"
    r"(?: (?:on|about|of|by|über|zu|von|sur|sobre|su) [^?]{1,60}?)?"
)
_OF = rf"(?: (?:of|in|from|by|des|der|im|in|aus|du|de|dans|dell[aoe]|del|dei|nel|nella|dell['’]) {_TEXT})?\W*\Z"
_WHICH = (
    r"\W*(?:what (?:are|is|were|was)|which (?:are|were)|list|name|was (?:ist|sind|waren)|(?:welche|nenne)(?: sind)?"
    r"|quel(?:le)?s? (?:est|sont)|cuál(?:es)? (?:es|son)|qué|quali sono|qual è)"
    r" (?:\w+ ){0,3}"
)
_MAIN = r"(?: (?:principal(?:es|i)|principaux|clave|clés?|chiave))?"
_DOES = (
    r"\W*(?:what (?:does|do|did) {text} (?:{verbs})|was (?:{verbs}) {text}|que (?:{verbs}) {text}"
    r"|qué (?:{verbs}) {text}|(?:che )?cosa (?:{verbs}) {text}"
    r"|zu welche[mn] schl[uü]ss(?:en)? kom(?:mt|men) {text})\W*\Z"
)
_SUMMARIZED = re.compile(r"\bsummar|\bzusammenfass|\bfasse?\b.{0,200}\bzusammen|\brésum|\bresum|\briassu")


@dataclass(frozen=True)
class AskedSection:
    """A kind of section. `pattern` fits the beginning of its headings, whatever case they are in."""

    name: str

    @cached_property
    def pattern(self) -> str:
        each = (word.rstrip("!=") + _ENDS.get(word[-1], r"\w*") for word in _WORDS[self.name].split())
        return rf"{_NUMBERED}(?:(?:{_BEFORE})\w*\s+)*(?:{'|'.join(each)})(?![\w-]|\s+of\s+operat)"

    @property
    def in_path(self) -> str:
        """For a path of headings."""
        return rf"(?:\A|> ){self.pattern}[^>]{{0,{LONGEST}}}(?: >|\Z)"

    @property
    def in_text(self) -> str:
        """For a text in which a heading stands on a line of its own, or before a colon."""
        return rf"(?:\A|\n){self.pattern}[^\n.,;=(){{}}]{{0,{LONGEST}}}(?:\n|:|\Z)"

    @property
    def in_capitals(self) -> str:
        """For a text in which it is a label in capitals, as in abstracts."""
        return rf"(?:\A|[.\n]\s*)(?:{'|'.join(word.upper().rstrip('!=') for word in _WORDS[self.name].split())})"

    @cached_property
    def _own(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)

    def spans(self, path: str, before: str, text: str) -> Iterator[tuple[int, int]]:
        """`(start, end)` of what of a text stands in it: `path` are its headings, `before` stands on its page."""
        before = f"{before[-BEFORE:]}\n"
        start, level, is_marked, whole = -1, 0, False, before + text
        if any(self.begins(heading) for heading in path.split(" > ")[1:]):
            start = len(before)
        for begin, end in _headings(whole):
            line = whole[begin:end].strip()
            if self.begins(line):
                start, level = (start if start >= 0 else begin), _level(line)  # what it leads in begins with it
                is_marked = line.startswith("#")
            elif start >= 0 and begin > start and not 0 < level < _level(line):
                if is_marked and line[0].isdecimal():  # of a list: headings have marks here
                    continue
                yield from _within(start, begin, len(before))
                start = -1
        if start >= 0:
            yield from _within(start, len(whole), len(before))

    def begins(self, heading: str) -> bool:
        """Whether a heading is that of such a section."""
        return self._own.match(heading) is not None


NEAR = AskedSection("near")


@lru_cache(maxsize=256)
def section_asked_for(question: str) -> AskedSection | None:
    """What a question in small letters asks for, if it asks for nothing else: not "the conclusions about aspirin"."""
    for name, nouns in _NOUNS.items():
        does = _DOES.format(text=_TEXT, verbs=_VERBS[name])
        if re.match(rf"{_WHICH}(?:{nouns}){_MAIN}{_OF}|{does}", question):
            return AskedSection(name)
        if _SUMMARIZED.search(question) and re.search(
            rf"\b(?:{nouns})(?:{_MAIN}{_OF}|.{{0,60}}\bzusammen\W*\Z)", question
        ):
            return AskedSection(name)
    return None


_LINES = re.compile(r"(?m)^[ \t]*(?P<line>\S[^\n]*)$")
# A label before a sentence: "RESULTS We found ...".
_LABELS = re.compile(r"(?m)(?:^|(?<=[.!?] ))(?:[A-Z]{5,}(?: [A-Z]{2,}){0,4}(?=:| [A-Z])|[A-ZÀ-Þ][\w ]{3,40}(?=:\s))")
# What begins another section: marked, numbered, in capitals, or called as such are.
_OTHER = re.compile(
    r"#{1,6} |\d+(?:\.\d+)*\.? [A-ZÀ-Þ]|[A-ZÀ-Þ][A-ZÀ-Þ\W\d]{4,}\Z"
    r"|(?:References|Bibliogra|Appendi|Acknowledg|Introduction|Background|Method|Limitation|Anhang|Literatur|Quellen"
    r"|Annexe|Remerciements|Anexo|Referencias|Allegat)"
)
_LETTER = re.compile(r"[^\W\d_]")
_LEADER = re.compile(r"(?:\.[ .]*\.|…)[ .]*\d*\Z|\|")  # of a table of contents; or it is the row of a table
_AT_END = re.compile(r"\s\d{1,4}\Z")
_WORD = re.compile(r"\w+[\s,;:'’-]")  # no "a)" or "ii."
_NUMBER = re.compile(r"(?P<above>(?:\d{1,4}\.){0,5})(?P<last>\d{1,4})[.)]?\s")


def _headings(text: str) -> Iterator[tuple[int, int]]:
    """Places of short lines and of labels that may be headings, in their order."""
    lines = [match.span("line") for match in _LINES.finditer(text)]
    found = set()
    for number, (start, end) in enumerate(lines):
        line = text[start:end].strip()
        if len(line) > LONGEST or not _may_be_heading(line):
            continue
        around = (*lines[max(0, number - 1) : number], *lines[number + 1 : number + 2])
        beside = [text[slice(*each)].strip() for each in around]
        goes_on = text[end + 1 : end + 2].islower() and _WORD.match(text, end + 1)  # a line of a paragraph
        if not goes_on and not any(_are_listed(line, other) for other in beside):
            found.add((start, end))
    labels = [match.span() for match in _LABELS.finditer(text) if match[0].isupper() or _may_be_heading(match[0])]
    yield from sorted({*found, *labels})


def _are_listed(line: str, beside: str) -> bool:
    """Whether two lines are entries of a list: of a table of contents, or the steps of something."""
    if _AT_END.search(line) and _AT_END.search(beside):
        return True
    one, other = _NUMBER.match(line), _NUMBER.match(beside)
    return bool(one and other and one["above"] == other["above"] and abs(int(one["last"]) - int(other["last"])) == 1)


def _may_be_heading(line: str) -> bool:
    letter = _LETTER.search(line)
    if letter is None or letter[0].islower() or line.endswith((".", ",", ";")) or _LEADER.search(line):
        return False
    return _OTHER.match(line) is not None or NEAR.begins(line)


def _level(line: str) -> int:
    """How deep a heading is, by its marks or its number; 0 if it has neither."""
    marks = re.match(r"#+|\d+(?:\.\d+)*", line)
    return 0 if marks is None else marks[0].count("#") or marks[0].count(".") + 1


def _within(start: int, end: int, shift: int) -> Iterator[tuple[int, int]]:
    if end > shift:
        yield max(0, start - shift), end - shift
