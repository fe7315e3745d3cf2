"""What kind of thing a question asks for, by its words."""

import re
from dataclasses import dataclass

from footnote.extracts.calendar import years
from footnote.extracts.question_names import named
from footnote.extracts.sections import AskedSection, section_asked_for
from footnote.extracts.wording import FOREIGN_STOP, KINDS, MEASURED, MEASURES, STOP, Kind, Measure
from footnote.text import folded
from footnote.text.languages import detected
from footnote.text.sentences import stems, words

LOOKED_AT = 400  # characters: the beginning of a question shows its kind

_POSSESSIVE = re.compile(r"['’]s\b|(?<=s)['’](?!\w)|\b[dlnDLN]['’](?=\w)")
_ASKING = (
    r"(?:what(?:'s|s| is| are| does| do|)|was (?:ist|sind|bedeutet|heißt|tut|macht)|wofür steht"
    r"|que (?:signifie|fait|é|são|significa|faz)|qu'est-ce (?:que c'est que|que|qu'|qui)|qué (?:es|son|significa|hace)"
    r"|cosa (?:è|sono|significa|fa)|cos'è|wat (?:is|zijn|betekent|doet)|waar staat|define|definition of|meaning of"
    r"|meant by)"
)
_ARTICLE = r"(?:an?|the|der|die|das|eine?|une?|l[ae]|les|el|los|las|il|lo|gli|uma?|os?|as?|het|de|een)"
_OPENING = rf"(?:it mean that |the (?:term|acronym|abbreviation|meaning of|definition of) |{_ARTICLE}\s)"
_SUBJECT = re.compile(rf"\b{_ASKING}(?:\W+|(?<=')){_OPENING}?(.{{1,200}})", re.IGNORECASE)
_BEHIND = re.compile(
    r"\s(?:stands? for|means?|do|does|about|für|voor|for)\W*\Z"
    r"|\s(?:in|of|under|according|bei|mit|dans|en|nel)\s.*\Z|\W+\Z"
)
_SHORT_FORM = re.compile(r"\b[A-Z][A-Z0-9&]{1,7}s?\b")
_WHAT_IS_SHORT = re.compile(rf"(?i:{_ASKING}\W+(?:{_ARTICLE}\s)?)({_SHORT_FORM.pattern})(?: mean\b.{{0,80}})?\W*")


# Asks what something happens to, not what it is: "What is not reimbursed?"
_HAPPENS = re.compile(r"not\b.*|(?:[a-z]+ly )?[a-z]{3,}(?<!e)ed\b")

MODAL = (
    r"(?:may|must|can|should|shall|ought to|ha(?:s|ve) to|needs? to|(?:is|are) allowed to|darf|dürfen|muss|müssen|kann"
    r"|können|sollen?|doit|doivent|peut|peuvent|debe|deben|puede|pueden|deve|devono|devem|può|possono|pode|podem|mag|moet(?:en)?"
    r"|kan)"
)
_RULE = re.compile(
    rf"\W*(?:(?:who|when|wer|wann|qui|quand|qui[eé]n(?:es)?|cu[aá]ndo|chi|quando|quem|wie|wanneer)\W+{MODAL}"
    r"|(?:when|wann|quand|cu[aá]ndo|quando|wanneer)\W+(?:is|are|do|does|ist|sind|wird|werden|est|sont|es|son|sono|wordt))\b"
)

_DOING = re.compile(
    r"\W*(?:what do(?:es)? .{1,120} do\b|was (?:tut|macht|bewirkt)\b|que fait|qué hace|(?:che )?cosa fa|(?:o )?que faz"
    r"|wat doet)"
)

# A claim to be checked asks for no value. "Give the sales of 2018." does, as does what has a question in it.
_STATEMENT = re.compile(
    r"(?!\W*(?:give|tell|show|state|find|list|name|compute|calculate|compare|determine|what|which|how|when|who|please"
    r"|nenne|gib|zeige|berechne|donne|donnez|indique|indiquez|calcule[rz]?|da|di|calcola|mostra|geef|noem|bereken)\b)[^?]+\."
)

# Asks for one of several: only a text that says the same of it answers that.
SUPERLATIVE = re.compile(
    r"\b(?:largest|biggest|greatest|highest|lowest|smallest|fewest|longest|shortest|oldest|youngest|fastest|slowest"
    r"|the (?:most|least|best|worst)|größten?|höchsten?|niedrigsten?|kleinsten?|ältesten?|längsten?|am meisten"
    r"|(?:le|la|les) (?:plus|moins)|(?:el|la|los|las|lo) (?:más|menos|mayor|menor)|(?:il|la) (?:più|meno))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class QuestionIntent:
    """What a question asks for. `words` are the stems that carry its meaning, `subject` what is to be explained.

    `measure` is the kind of number that it asks for, None if any will do. `is_rule`: it asks who may or must, or when
    something is done: not for a name or a date, but for a role or a condition. `common`: those of its words that name
    nothing; `counted`: of "how many people" what is counted; `years`: those that it names. `is_statement`: it asks
    nothing. `is_superlative`: it asks for the largest, or the like, of several. `is_english`: it may be; words of other
    languages have more forms. `is_doing`: it asks what something does, not only what it is. `section`: of what a
    document is about, the part that it asks for.
    """

    kind: Kind
    words: frozenset[str]
    subject: str = ""
    measure: Measure | None = None
    is_rule: bool = False
    common: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()
    years: frozenset[int] = frozenset()
    is_statement: bool = False
    is_superlative: bool = False
    is_english: bool = True
    is_doing: bool = False
    section: AskedSection | None = None


def understood(question: str) -> QuestionIntent:
    """The kind of thing that is asked for: that of the first pattern that fits, `fact` if none does."""
    question = _plain(question)
    asked, kind = question.lower(), _kind(question)
    subject, is_statement = "", _STATEMENT.fullmatch(asked) is not None
    if kind == "acronym":
        subject = _explained(question)
    elif kind == "definition":
        subject = _subject(question)
        kind = "definition" if words(subject) and not _HAPPENS.fullmatch(subject) else "fact"
    if kind in ("fact", "list", "definition") and MEASURED.search(asked) and not is_statement:
        kind = "value"
    numeric = kind in ("value", "compare")
    measure = next((name for name, pattern in MEASURES if pattern.search(asked)), None) if numeric else None
    telling, dated = _telling(question), frozenset(year for _, _, year in years(question, asked=True))
    common = telling.difference(_PERIOD, *(meaning(name.text) for name in named(question)))
    common = frozenset(word for word in common if not word.isdecimal())
    counted = _counted(asked) if measure == "count" else frozenset[str]()
    is_rule, is_superlative = _RULE.match(asked) is not None, SUPERLATIVE.search(asked) is not None
    is_english = detected(question) in ("", "english")
    is_doing = kind == "definition" and _DOING.match(asked) is not None
    section = section_asked_for(asked) if kind == "about" else None
    claims = is_statement, is_superlative, is_english, is_doing, section
    return QuestionIntent(kind, telling, subject, measure, is_rule, common, counted, dated, *claims)


def abbreviation(question: str) -> str:
    """What the question asks to be spelled out; empty for questions of other kinds."""
    question = _plain(question)
    return _explained(question) if _kind(question) == "acronym" else ""


def _plain(question: str) -> str:
    return " ".join(folded(question[: 2 * LOOKED_AT]).replace("’", "'").split())[:LOOKED_AT]


def _kind(question: str) -> Kind:
    """That of the first pattern that fits."""
    if _WHAT_IS_SHORT.fullmatch(question):
        return "acronym"
    asked = question.lower()
    if section_asked_for(asked) is not None:
        return "about"
    return next((kind for kind, pattern in KINDS if pattern.search(asked)), "fact")


def _explained(question: str) -> str:
    return _short_form(question) or _subject(question)


def meaning(text: str) -> frozenset[str]:
    """The stems of a text, without possessives and articles that are joined to a word."""
    return frozenset(stems(_POSSESSIVE.sub("", text)))


def _telling(question: str) -> frozenset[str]:
    wanted = meaning(question) - STOP
    return wanted - FOREIGN_STOP or wanted


# Of a span of time: what is said about another matter in the same span has these words, too.
_PERIOD = frozenset(
    stems(
        "much many end ended ending period fiscal day days week weeks month months quarter quarters year years three "
        "six nine twelve first second third fourth january february march april may june july august september october "
        "november december"
    )
)
_COUNTED = re.compile(
    r"\b(?:how many|wie ?viele|combien d(?:e |')|cuánt[oa]s|quant[ie]|quant[oa]s|hoeveel|number of) "
    r"(?P<what>(?:[^\W\d][\w'-]* ?){1,5})"
)
_VERB = re.compile(
    r"\b(?:did|do|does|are|were|is|was|has|have|had|can|could|may|must|might|will|would|should|shall|in|of|on|at|for|from|to"
    r"|hat|hatten?|haben|sind|waren?|gab|gibt|werden|wurden|können|dürfen|bei|im|am|a|ont|est|sont|étaient|avait|dans|en"
    r"|tiene[n]?|ten[ií]an?|hay|hubo|son|eran|hanno|ha|sono|de|do|da|tem|tinha|são|heeft|hebben|zijn)\b.*"
)


def _counted(asked: str) -> frozenset[str]:
    """Of `how many full-time employees did ...` the stems of what is counted."""
    found = _COUNTED.search(asked)
    return meaning(_VERB.sub("", found["what"])) - STOP if found else frozenset()


def _short_form(question: str) -> str:
    """The first word in capital letters, such as `NATO`, which is not the question's own first word."""
    found = (match[0] for match in _SHORT_FORM.finditer(question) if match.start())
    return next(found, "")


def _subject(question: str) -> str:
    found = _SUBJECT.search(question)
    return _BEHIND.sub("", _BEHIND.sub("", found[1])).strip() if found else ""
