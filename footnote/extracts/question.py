"""What kind of thing a question asks for, told by its words in eight languages."""

import re
from dataclasses import dataclass
from typing import Literal

from footnote.text import folded
from footnote.text.sentences import stems, words

Kind = Literal[
    "about", "acronym", "compare", "when", "who", "howto", "value", "list", "definition", "yes_no", "where", "fact"
]
Measure = Literal["money", "percent", "duration", "count"]

LOOKED_AT = 400  # characters: what a question asks for, it says at its beginning

# Words of an English question that say nothing about its subject.
STOP_WORDS = (
    "a an and any are as at be been but by can could did do does for from had has have how i if in into is it its may "
    "me my no not of on or our should so some such than that the their them then there these they this those to us was "
    "we were what when where which who whom whose why will with would you your between about according also each tell "
    "give explain describe list name mean means"
)
STOP = frozenset(stems(STOP_WORDS))
# The same of German, French, Spanish, Italian, Portuguese and Dutch: none of them is an English word of substance.
_FOREIGN = frozenset(
    stems(
        "der die das den dem des ein eine einer einem einen eines und oder ist sind war waren wird werden wurde wurden hat "
        "haben hatte kann können konnte soll sollte muss darf dürfen ich du er sie es wir ihr man mir mich uns mit von vom "
        "zu zum zur im ins in an am auf für bei aus nach über unter vor seit bis durch um als wie was wer wen wem wessen wo "
        "wann warum welche welcher welches welchem welchen viel viele wieviel wieviele nicht kein keine auch noch sich tut "
        "macht heißt bedeutet "
        "le la les un une des du de et ou est sont était étaient sera ont avait avoir être peut peuvent doit il elle ils "
        "elles on je tu nous vous se ce cette ces dans par pour avec sur sous aux au que qui quoi quand où comment pourquoi "
        "combien quel quelle quels quelles depuis pas ne en son sa ses leur leurs qu'est-ce est-ce est-il a-t-il fait "
        "el los las una unos unas del al y o es era eran fue fueron ser están está puede pueden debe hay se su sus lo con "
        "por para sin sobre desde hasta como qué quién quiénes cuál cuáles cuándo dónde cómo cuánto cuánta cuántos cuántas "
        "no ni que "
        "il gli uno della dello delle degli dei nel nella nelle sul sulla è erano può possono deve chi cosa quale quali "
        "quando dove come perché quanto quanta quanti quante che cos'è non si per tra fra "
        "os as um uma uns umas da do das dos na nas nos ao à é são foi foram pode podem quem qual quais onde quanto quantos "
        "quantas com sem não "
        "de het een en van voor met op te dat die er is zijn was waren wordt worden heeft hebben kan kunnen moet mag wie wat "
        "welke welk wanneer waar waarom hoe hoeveel niet ook naar bij uit"
    )
)

_START = (
    r"\A[\W_]*(?:(?:and|so|und|et|y|e|en)\s+)?"
    r"(?:(?:in|on|by|at|for|from|to|since|until|with|of|im|am|an|seit|bis|von|mit|für|bei|zu|depuis|à|a|dans|de|par|pour"
    r"|avec|desde|por|para|con|da|di|per|em|com|sinds|op|van|met|voor|bij|auf|um)\s+)?"
)
# In the order in which they are tried. `^` stands for the start of the question, a preposition before it or not.
_KINDS: tuple[tuple[Kind, str], ...] = (
    (
        "acronym",
        r"\bstands? for\b|\bspelled out\b|\babbreviat|\bacronym|\bwofür steht|\babkürzung|\bsteht\b.{1,40}\bfür\W*\Z"
        r"|\bsigles?\b|\bsiglas?\b|\bsta per\b|\bwaar staat\b.{1,40}\bvoor|\bafkorting",
    ),
    (
        "about",
        r"^what(?:'s| is| are| was)\b.{1,120}\babout\W*\Z|^what do(?:es)?\b.{1,120}\b(?:report|describe|cover|discuss"
        r"|contain|deal with|talk about|say)\W*\Z|\bsummar(?:y|i[sz]e)|\boverview of\b"
        r"|\bworum geht|\bwovon handel|\bzusammenfass|\bfasse?\b.{1,80}\bzusammen"
        r"|^de quoi (?:parle|traite|s'agit|est-il question)|^quoi parle|^quoi traite|\brésum"
        r"|^qué (?:trata|habla|va)\b|\bresum[eai]|^che cosa (?:parla|tratta)|^cosa (?:parla|tratta)|\briassu"
        r"|^(?:o )?que (?:trata|fala)|\bwaar gaat\b.{1,80}\bover|\bsamenvat",
    ),
    (
        "compare",
        r"\bcompare[ds]?\b|\bdifferences?\b|\bdiffers?\b|\bversus\b|\bvs\b|\b(?:more|less|higher|lower|larger|smaller"
        r"|better|longer|faster)\b.{1,80}\bor\b|\bvergleich|\bunterschied|\bunterscheide|\bcompar[aeé]|\bdifférence"
        r"|\bdiferen[cç]|\bconfront|\bdifferenz|\bvergelijk|\bverschil",
    ),
    (
        "when",
        r"^when\b|^(?:what|which) (?:day|date|year|month|time)\b|^(?:what|which)\b.{1,30}\b(?:day|date|year)\b"
        r"|^wann\b|^welche[mrsn]? (?:tag|datum|jahr|monat)|^quand\b|^quel(?:le)? (?:jour|date|année|mois)"
        r"|^cuándo\b|^qué (?:día|fecha|año|mes)|^quando\b|^(?:che|quale) (?:giorno|data|anno|mese)"
        r"|^que (?:dia|data|ano|mês)|^wanneer\b|^welke? (?:dag|datum|jaar|maand)",
    ),
    (
        "who",
        r"^(?:who|whom|whose|who's)\b|^(?:what|which) (?:person|people|author|man|woman)\b|\bwho (?:is|are|was|were)\b"
        r"|^(?:wer|wen|wem|wessen)\b|^qui\b|^(?:quién|quiénes)\b|^chi\b|^quem\b|^wie (?:is|zijn|was|heeft|werd)\b",
    ),
    (
        "howto",
        r"^how (?:do|can|could|should|would|must|to|does one|might)\b(?!.{1,60}\bdo\W*\Z)|\bhow to\b"
        r"|\bdo i (?:have|need) to do\b"
        r"|\b(?:what|which) (?:command|option|flag|switch|key|setting|parameter|step|shortcut)s?\b"
        r"|^wie (?:kann|könn|mach|soll|muss|geht|lass|lösch|stell|richt|install|füg|änder|erstell|konfigurier)|^womit\b"
        r"|^welche[mrns]? (?:befehl|option|schalter|einstellung|taste|parameter)"
        r"|^comment\b|^quel(?:le)?s? (?:commande|option|réglage|touche|paramètre)|^cómo\b"
        r"|^qué (?:comando|opción|tecla|ajuste|parámetro)|^come (?:si|posso|faccio|devo|puoi|fare)"
        r"|^(?:che|quale) (?:comando|opzione|tasto|parametro)|^como\b|^que (?:comando|opção|tecla|parâmetro)"
        r"|^hoe (?:kan|moet|doe|maak|stel|verwijder|installeer|voeg)|^welke? (?:opdracht|optie|toets|instelling)",
    ),
    (
        "value",
        r"\bhow (?:much|many|long|far|big|large|high|often|old|tall|fast|heavy|deep|wide|few|late|early|soon)\b"
        r"|^(?:what|which) (?:percent|share|proportion|number|amount|fraction|factor|rate|ratio|price|size|portion)"
        r"|^wie ?(?:viele?|lange|oft|hoch|gro(?:ß|ss)|weit|teuer|alt|schwer|schnell|breit|tief)\b|^wieviele?\b"
        r"|^combien\b|^quel(?:le)? (?:pourcentage|part|nombre|montant|taux|prix)|^cuánt|^qué (?:porcentaje|parte|número)"
        r"|^quant[aeio]s?\b|^(?:che|quale) (?:percentuale|numero|importo)|^que (?:percentagem|porcentagem|número)"
        r"|^hoe ?(?:veel|lang|vaak|hoog|groot|ver|oud|duur)\b|^welk (?:percentage|aantal|bedrag)",
    ),
    (
        "where",
        r"^where\b|^(?:what|which) (?:city|country|place|state|address)\b|^(?:wo|wohin|woher)\b|^où\b|^dónde\b|^dove\b"
        r"|^onde\b|^waar\b",
    ),
    (
        "list",
        r"^what are (?:the|all|some)\b|^(?:which|what) (?:\w+ ){1,4}(?:are|were|have|do|did|can|may|must|belong|exist)\b"
        r"|^(?:list|name|enumerate)\b|\b(?:kinds|types|examples) of\b"
        r"|^(?:welche[nr]?|nenne|nennen)\b|^quel(?:le)?s\b|^citez\b|^cuáles\b|^qué \w+s\b|^enumera|^quali\b|^elenca"
        r"|^quais\b|^welke \w+en\b|^noem\b",
    ),
    (
        "definition",
        r"\bwhat(?:'s|s| is| are)? (?:an?|the term|meant by)\b|^what does\b.{1,120}\bmean\b|^what do(?:es)?\b.{1,120}\bdo\W*\Z"
        r"|\bmeaning of\b|\bdefin(?:e|ition)\b|^what(?:'s|s| is| are) (?!the\b)|^what does it mean\b"
        r"|^was (?:ist|sind|bedeutet|heißt|tut|macht|bewirkt|bezeichnet)\b|^qu'est-ce qu|^que (?:signifie|fait|veut dire)\b"
        r"|^c'est quoi|^qué (?:es|son|significa|hace)\b|^(?:che )?cos(?:a (?:è|sono|significa|fa)|'è)"
        r"|^(?:o )?que (?:é|são|significa|faz)\b|^wat (?:is|zijn|betekent|doet)\b",
    ),
    (
        "yes_no",
        r"^(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should|may|must)\b"
        r"|^(?:kann|können|ist|sind|war|hat|haben|wird|darf|soll|muss|gibt|est-ce|peut-on|a-t-|puede|tiene|hay|può|pode|tem"
        r"|há|mag|moet|heeft)",
    ),
)
_PATTERNS = [(kind, re.compile(pattern.replace("^", _START))) for kind, pattern in _KINDS]

_MEASURED = re.compile(
    r"\b(?:sales|revenues?|income|earnings|costs?|price|expenses?|expenditures?|spend(?:ing)?|profits?|loss(?:es)?|dividends?"
    r"|margins?|growth|rate|ratio|assets|liabilities|equity|debt|cash|capex|budget|turnover|salary|wages?|population|weight"
    r"|height|length|width|speed|temperature|pressure|limit|deadline|timeout|capacity|quota|fee|fine|votes?|score"
    r"|umsatz|umsätze|kosten|preis|gewinn|verlust|anteil|ertrag|einnahmen|ausgaben|chiffre d'affaires|coûts?|prix|bénéfices?"
    r"|dépenses|revenus?|ventas|costos?|costes?|precio|ingresos|gastos|beneficios?|vendite|costi|prezzo|ricavi|utili|vendas"
    r"|custos?|preço|receitas?|lucros?|omzet|prijs|winst|uitgaven)\b"
)
_MEASURES: tuple[tuple[Measure, re.Pattern[str]], ...] = (
    (
        "percent",
        re.compile(r"percent|per cent|\bshare of\b|proportion|fraction|\bgrowth\b|margin|prozent|pourcent|porcent|%"),
    ),
    (
        "duration",
        re.compile(
            r"\bhow (?:long|often|old|late|soon)\b|duration|deadline|time-?out|\bwie ?(?:lange|oft|alt)\b|combien de temps"
            r"|cuánto tiempo|quanto tempo|\bhoe ?(?:lang|vaak|oud)\b|\bdauer"
        ),
    ),
    (
        "money",
        re.compile(
            r"\bhow much (?:money|did|do|does|was|were|is|are|will|must|has|have)\b|\bmoney\b|\bcosts?\b|\bprice|\bspen[dt]"
            r"|\bpay|\bpaid|sales|revenue|income|earnings|profit|dividend|expens|expenditure|\bfee\b|\bfine\b|capex|budget"
            r"|umsatz|umsätze|kosten|preis|gewinn|chiffre d'affaires|coût|prix|bénéfice|dépens|revenu|ventas|cost[oe]s?|precio"
            r"|ingresos|gastos|vendite|prezzo|ricavi|preço|receita|lucro|omzet|prijs|winst"
        ),
    ),
    (
        "count",
        re.compile(
            r"\bhow many\b|\bnumber of\b|wie ?viele\b|combien d|cuánt[oa]s|quant[ie]\b|quant[oa]s\b|hoeveel|votes"
        ),
    ),
)
_SUBJECT = re.compile(
    r"\b(?:what(?:'s|s| is| are| does| do|)|was (?:ist|sind|bedeutet|heißt|tut|macht)|wofür steht|que signifie|que fait"
    r"|qu'est-ce que c'est que|qu'est-ce qu(?:e|i)?|qué (?:es|son|significa|hace)|cosa (?:è|sono|significa|fa)|cos'è"
    r"|o que (?:é|são|significa|faz)|que (?:é|são|significa|faz)|wat (?:is|zijn|betekent|doet)|waar staat|define"
    r"|definition of|meaning of|meant by)\W+"
    r"(?:it mean that |the term |the acronym |the abbreviation |(?:an?|the|der|die|das|eine?|une?|l[ae]|les|el|los|las|il|lo"
    r"|gli|uma?|os?|as?|het|de|een)\s)?(.{1,200})"
)
_AFTER_SUBJECT = re.compile(
    r"\s+(?:stands? for|means?|mean|do|does|about|für|voor|for)\W*\Z|\s+(?:in|of|under|according|bei|mit|dans|en|nel)\s.*\Z"
    r"|\W+\Z"
)
_WHAT_SHORT = re.compile(
    r"(?:[Ww]hat(?:'s| is| are| does)|[Ww]as (?:ist|heißt|bedeutet)|[Qq]ue signifie|[Qq]u'est-ce que|[Qq]ué (?:es|significa)"
    r"|[Cc]osa significa|[Cc]he cos'è|[Oo] que (?:é|significa)|[Ww]at (?:is|betekent))"
    r" (?:an? |the |der |die |das |l[ae] |el |il |lo |de |het |o )?[A-Z][A-Z0-9&]{1,7}s?(?: mean)?\W*"
)
_SHORT_FORM = re.compile(r"\b[A-Z][A-Z0-9&]{1,7}s?\b")


_POSSESSIVE = re.compile(r"['’]s\b|(?<=s)['’](?!\w)|\b[dlnDLN]['’](?=\w)")


def meaning(text: str) -> frozenset[str]:
    """The stems of a text, without possessives and articles that are joined to a word."""
    return frozenset(stems(_POSSESSIVE.sub("", text)))


@dataclass(frozen=True)
class Asked:
    """What a question asks for. `words` are the stems that carry its meaning, `subject` what is to be explained.

    `measure` is the kind of number that it asks for, None if any will do.
    """

    kind: Kind
    words: frozenset[str]
    subject: str = ""
    measure: Measure | None = None


def understood(question: str) -> Asked:
    """The kind of thing that is asked for: by the first pattern that fits, `fact` if none does."""
    question = folded(question)
    asked = _plain(question[:LOOKED_AT])
    wanted = meaning(question)
    telling = wanted - STOP - _FOREIGN or wanted - STOP
    kind = next((kind for kind, pattern in _PATTERNS if pattern.search(asked)), "fact")
    if kind == "definition" and not _explains(asked):
        kind = "fact"
    if _WHAT_SHORT.fullmatch(question.strip()):
        kind = "acronym"
    short = [each for each in _SHORT_FORM.findall(question[:LOOKED_AT]) if each.lower() != words(question)[0]]
    subject = ""
    if kind == "acronym" and short:
        subject = short[0]
    elif kind in ("definition", "acronym"):
        subject = _subject(question[:LOOKED_AT])
        if kind == "definition" and _SHORT_FORM.fullmatch(subject):
            kind = "acronym"
    if kind in ("fact", "list", "definition") and _MEASURED.search(asked) and not subject:
        kind = "value"
    measure = (
        next((name for name, pattern in _MEASURES if pattern.search(asked)), None)
        if kind in ("value", "compare")
        else None
    )
    return Asked(kind, telling, subject, measure)


def _plain(question: str) -> str:
    return " ".join(question.lower().replace("’", "'").split())


def _explains(asked: str) -> bool:
    """Whether it asks what something is, and not for one of its properties ("the capital of")."""
    subject = _subject(asked)
    return 0 < len(words(subject)) <= 12


def _subject(question: str) -> str:
    found = _SUBJECT.search(" ".join(question.replace("’", "'").split()))
    if found is None and (lower := _SUBJECT.search(_plain(question))):
        found = lower
    subject = found[1] if found else ""
    return _AFTER_SUBJECT.sub("", _AFTER_SUBJECT.sub("", subject)).strip()
