"""Splits a question into the questions that it consists of, by rules for English, German, French and Spanish.

Each part can be searched and answered alone. What is not certainly several questions stays one: `Procter and Gamble`,
`between 1914 and 1918`, `what happens when I push and when I pull`.
"""

import re
from collections.abc import Sequence

MOST_PARTS = 4
LONGEST = 500  # characters of a question; a longer one is a text with a question in it

_AND, _OR = r"(?:and|und|sowie|et|y|e)", r"(?:or|oder|ou|o)"
_ASKED = (
    r"(?:who|whom|whose|what|which|when|where|why|how(?: (?:much|many|long|often|old|large|far|high|big))?"
    r"|wer|wem|wen|wessen|was|wann|wo|woher|wohin|warum|weshalb|wieso"
    r"|wie(?: viele?| lange| oft| hoch| groß| alt| weit)?|welche[rsnm]?|quand|où|qui|pourquoi|comment|combien"
    r"|quels?|quelles?|cuándo|dónde|quién(?:es)?|cómo|cuánt[oa]s?|cuál(?:es)?|(?:por )?qué)"
)
_BY = (
    r"(?:(?:by|for|to|from|with|at|in|since|von|für|mit|seit|bis|an|à|de|par|pour|depuis|avec|a|por|para|con|desde|en)"
    r" )?"
)
_EN_VERB = r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)"
# Words after `and` that begin a question. In English and French the same words also begin other clauses.
_OWN = (
    rf"(?:{_BY}(?:who|what|when|where|why|how)(?: \w+)? {_EN_VERB}|{_BY}(?:which|what|whose)(?: \w+){{1,3}} {_EN_VERB}"
    r"|(?:by|for|to|from|with) (?:whom|what|which)|how (?:much|many)|who (?!(?:i|we|you|they|he|she|it)\b)\w+"
    rf"|{_BY}(?:wer|wem|wen|wessen|wann|wo|woher|wohin|warum|weshalb|wieso|wie viele?|welche[rsnm]?)"
    rf"|{_BY}(?:combien|pourquoi|quels?|quelles?|comment|quand (?:est|a|ont|fut)|où (?:est|se|a|sont)|qui (?:est|a) )"
    rf"|{_BY}(?:cuándo|dónde|quién(?:es)?|cómo|cuánt[oa]s?|cuál(?:es)?|qué))\b"
)
_BARE = rf"{_BY}{_ASKED}(?= *[.!?]*(?:\Z|,))"
_JOINT = re.compile(rf",? {_AND} (?:also |auch |aussi |también )?(?={_OWN}|{_BARE})", re.I)
_BEGINS_ASKED = re.compile(rf"{_BY}{_ASKED}(?!\w)", re.I)
_RELATIVE = re.compile(r" who\b", re.I)  # that both clauses have it makes them clauses of one question
_VERB_FIRST = re.compile(
    r"^ ?(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|ist|sind|war|waren|hat|haben|wurden?"
    r"|wird|est|sont|a|ont|était|es|son|fue|era|ha|han) ",
    re.I,
)
_TWO_WORDS = re.compile(rf"^({_ASKED}) {_AND} ({_ASKED}) (.+)", re.I)
_LEANING = re.compile(
    r"\b(?:it|its|they|them|their|he|him|his|she|her|this|that|these|those|each|both|either"
    r"|es|sie|er|ihn|ihm|ihr|ihre[rnms]?|sein|seine[rnms]?|diese[rnms]?|jede[rnms]?|beide[rn]?|davon|dafür"
    r"|il|elle|ils|elles|lui|leurs?|chacune?|ell[ao]s?|él|su|sus|est[eao]s?|cada un[oa]|ambos)\b",
    re.I,
)
_OPENING = re.compile(rf"^(?:{_AND}|also|so|then|auch|dann|alors|entonces)\b[\s,]*", re.I)

_YEAR = r"(?:1[5-9]|20)\d\d"
_BEFORE = r"(?:(?:in|for|of|during|the|end|fiscal|year|FY|im|für|von|Jahr|en|de|del|pour|para|ejercicio) ){0,4}"
_AGAINST = (
    r"(?:compared (?:with|to)|in comparison (?:with|to)|versus|vs\.?|against|with|to|than|verglichen mit"
    r"|im Vergleich zu|gegenüber|mit|zu|comparé à|par rapport à|contre|avec|à|comparado con|en comparación con"
    r"|frente a|con|a)"
)
_BETWEEN = rf"(?:,? ?(?:as )?(?:{_AND}|{_OR}|{_AGAINST}) |, ?| ?[/&] ?)(?:(?:that|those|dem|ceux|celui|el|los) )?"
_YEARS = re.compile(rf"\b(?P<before>{_BEFORE}){_YEAR}(?:{_BETWEEN}{_BEFORE}{_YEAR}){{1,3}}(?![\w,.]?\d)", re.I)
_FROM = re.compile(r"\b(?:from|between|since|von|zwischen|seit|de|entre|desde) $", re.I)
_SPAN = re.compile(
    rf"\b(?:between|zwischen|entre|from|since|von|seit|de|du|desde) (?:\w+ )?{_YEAR} |{_YEAR}[-–/]\d", re.I
)
_CHANGE = re.compile(
    r"\b(?:chang|grew|grow|rose|rise|increas|decreas|fell|fall|declin|differ|compar|veränder|änder|gestiegen|gesunken"
    r"|gewachsen|vergl|unterschie|évolu|augment|diminu|chang|cambi|aument|disminu|crec)",
    re.I,
)

_COMPARE = re.compile(
    r"^(?:please |bitte )?(?:compare|vergleichen? sie|vergleiche?|comparez|compara) (?P<both>.+)", re.I
)
_DIFFERENCE = re.compile(
    r"\b(?:differences?|unterschiede?|différences?|diferencias?)"
    r"(?: (?:in|im|de|en) (?P<topic>[^?]{2,80}?))? (?:between|zwischen|entre) (?P<both>.+)",
    re.I,
)
_DIFFER = re.compile(
    r"^(?:how|worin|wie|en quoi|en qué) (?:do |does |did |unterscheiden sich |diffèrent |se diferencian )(?P<both>.+?)"
    r"(?: (?:in terms of|regarding|in|bezüglich|hinsichtlich|en) (?P<topic>.+))?$",
    re.I,
)
_SAID_TO_DIFFER = re.compile(r" differ\b(?: from each other)?|unterscheiden|diffèrent|diferencian", re.I)
_PAIR = re.compile(rf"(?P<one>.+?),? (?:as )?(?:{_AND}|{_AGAINST}) (?P<other>.+)", re.I)
_SHARED = re.compile(r"(?P<topic>.+ (?:of|von|du|des|de|del|der|for|für)) (?P<one>\S.*)", re.I)
_THAT_OF = re.compile(
    r"^(?:that|those|the one|dem|der|denen|celui|celle|ceux|celles|l[ao]s?|el) (?:of|von|de|du|des|del) ", re.I
)
# By the words that compare: how to ask what one thing is, and for a property of it.
_LANGUAGES = (
    (re.compile(r"vergleich|unterschie|unterscheid", re.I), "Was ist {}?", "{} von {}"),
    (re.compile(r"comparez|différ|diffèr", re.I), "Qu'est-ce que {} ?", "{} de {}"),
    (re.compile(r"compara|diferenc", re.I), "¿Qué es {}?", "{} de {}"),
    (re.compile(r""), "What is {}?", "What is {} of {}?"),
)
_CHOICE = re.compile(
    rf"^(?P<asked>[^,:]+)[,:] (?P<one>[^,:]{{1,60}}?) {_OR} (?P<other>[^,:]{{1,60}}?)(?:,? {_AND} [^,:]+)?$", re.I
)
_CHOOSES = re.compile(
    r"^(?:who|which|what|wer|welche[rs]?|was|qui|quel(?:le)?|lequel|laquelle|quién|cuál|qué)\b ?", re.I
)
_MORE = {
    "How much": re.compile(r"\b(?:more|less|fewer|(?:the )?most|(?:the )?least)\b ?", re.I),
    "Wie viel": re.compile(r"\b(?:mehr|weniger|am meisten|am wenigsten)\b ?", re.I),
    "Combien": re.compile(r"\b(?:(?:le )?plus|(?:le )?moins)\b ?(?:de |d')?", re.I),
    "Cuánto": re.compile(r"\b(?:más|menos)\b ?", re.I),
}
_OBJECT = re.compile(r"(?!(?:from|than|in|of|for|by|to|at|on|aus|von|als|de|du|des|que|en)\b)(?:[\w-]+ ?){1,2}", re.I)
_LARGER = re.compile(r"^(?P<verb>is|are|was|were) (?:the )?(?P<adjective>\w{2,}?)(?:er|est)$", re.I)
_BASES = (
    (re.compile(r"i$"), "y"),
    (re.compile(r"([bdgmnpt])\1$"), r"\1"),
    (re.compile(r"(rg|os|id|at|af|ic)$"), r"\1e"),
)


def parts(question: str) -> list[str]:
    """The questions that it consists of, in order, four at most; the question itself if it is one."""
    text = " ".join(question.split()).lstrip("¿¡ ")
    if len(text) > LONGEST:
        return [question]
    found = _chosen(text.rstrip(" ?.!")) or [each for part in _asked(text) for each in _compared(part) or [part]]
    found = list(dict.fromkeys(found))
    return found[:MOST_PARTS] if len(found) > 1 else [question]


def _asked(text: str) -> list[str]:
    """What is asked one after the other; a question that leans on the one before gets its words."""
    if two := _TWO_WORDS.match(text):
        return [_question(f"{word} {two[3]}") for word in two.group(1, 2)]
    sentences = re.split(r"(?<=[^\s?]\?) (?=\w)", text)
    if len(sentences) > 1 and not all(each.endswith("?") for each in sentences):
        return [text]
    found: list[str] = []
    for sentence in sentences:
        for piece in _pieces(_OPENING.sub("", sentence)):
            found.append(_complete(piece, found))
    return found


def _pieces(sentence: str) -> list[str]:
    """A sentence at each `and` after which another question begins."""
    if not _BEGINS_ASKED.match(sentence):
        return [sentence]
    pieces = _JOINT.split(sentence)
    relative = _RELATIVE.search(pieces[0]) and any(_RELATIVE.match(f" {each}") for each in pieces[1:])
    return [sentence] if relative else pieces


def _complete(piece: str, before: Sequence[str]) -> str:
    """The question with the words of the first one, if it says too little alone or points back."""
    rest = _BEGINS_ASKED.sub("", piece, count=1)
    if not before or (len(rest.split()) > 1 and not _LEANING.search(rest)):
        return _question(piece)
    topic = _BEGINS_ASKED.sub("", before[0].rstrip("?"), count=1)
    if re.search(_YEAR, piece):
        topic = re.sub(rf"\b{_BEFORE}{_YEAR}\b", "", topic).rstrip()
    return _question(f"{piece.rstrip(' ?.!')} ({_VERB_FIRST.sub('', topic).strip()})")


def _compared(part: str) -> list[str]:
    """The part for each of the years, or of the two things, that it compares."""
    bare = part.rstrip(" ?.!")
    named = _COMPARE.match(bare)
    asking = _language(bare)[0] if named and bare[:1] in "Cc" else "{}"
    return _of_each_year(named["both"] if named else bare, asking) or _of_both(bare)


def _of_each_year(text: str, asking: str) -> list[str]:
    years = _YEARS.search(text)
    if years is None or (_SPAN.search(text) and not _CHANGE.search(text)):
        return []
    before = _FROM.sub("", text[: years.start()]) + years["before"]
    found = dict.fromkeys(re.findall(rf"\b{_YEAR}\b", years[0]))
    return [_question(asking.format(f"{before}{year}{text[years.end() :]}")) for year in found]


def _of_both(text: str) -> list[str]:
    """`What is the number of owners of Box<T>?` and the same of Rc<T>, for `How do Box<T> and Rc<T> differ in ...`."""
    match = _COMPARE.match(text) or _DIFFERENCE.search(text)
    if match is None and _SAID_TO_DIFFER.search(text):
        match = _DIFFER.match(text)
    pair = _PAIR.fullmatch(_SAID_TO_DIFFER.sub("", match["both"])) if match else None
    if match is None or pair is None:
        return []
    one, other = pair["one"].strip(), _THAT_OF.sub("", pair["other"]).strip()
    topic = match.groupdict().get("topic")
    shared = _SHARED.fullmatch(one)
    if shared and not topic and not _SHARED.fullmatch(other):
        other = f"{shared['topic']} {other}"
    asking, asking_for = _language(text)
    return [asking_for.format(topic, each) if topic else asking.format(each) for each in (one, other)]


def _language(text: str) -> tuple[str, str]:
    return next((asking, asking_for) for words, asking, asking_for in _LANGUAGES if words.search(text))


def _chosen(text: str) -> list[str]:
    """`How much Siobhan gains from it?` and the same of Eddie, for `Who gains more from it, Siobhan or Eddie`."""
    choice = _CHOICE.match(text)
    if choice is None or not _CHOOSES.match(choice["asked"]):
        return []
    said, both = _CHOOSES.sub("", choice["asked"]), choice.group("one", "other")
    if larger := _LARGER.match(said):
        return [f"How {_base(larger['adjective'])} {larger['verb']} {one}?" for one in both]
    for asking, more in _MORE.items():
        if found := more.search(said):
            object_ = _OBJECT.match(said, found.end())
            rest = said[object_.end() if object_ else found.end() :]
            words = [asking, object_[0] if object_ else "", "{}", said[: found.start()], rest]
            return [" ".join(" ".join(words).split()).format(one) + "?" for one in both]
    return [f"{one}: {choice['asked']}?" for one in both]


def _base(stem: str) -> str:
    """`large` of `larg`, `big` of `bigg`, `heavy` of `heavi`."""
    for ending, instead in _BASES:
        if ending.search(stem):
            return ending.sub(instead, stem)
    return stem


def _question(text: str) -> str:
    text = text.strip(" ?.!,;")
    return f"{text[:1].upper()}{text[1:]}?"
