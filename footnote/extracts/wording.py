"""How questions are worded in eight languages: what they ask for, and which words say nothing about their subject."""

import re
from typing import Literal

from footnote.text.sentences import stems

Kind = Literal[
    "about", "acronym", "compare", "when", "who", "howto", "value", "list", "definition", "yes_no", "where", "fact"
]
Measure = Literal["money", "percent", "duration", "count"]

# Words of an English question that say nothing about its subject.
_ENGLISH = (
    "a an and any are as at be been but by can could did do does for from had has have how i if in into is it its may "
    "me my no not of on or our should so some such than that the their them then there these they this those to us was "
    "we were what when where which who whom whose why will with would you your between about according also each tell "
    "give explain describe list name mean means"
)
# The same of German, French, Spanish, Italian, Portuguese and Dutch, as far as they are no English words of substance.
_FOREIGN = """
    der die das den dem des ein eine einer einem einen eines und oder ist sind war waren wird werden wurde wurden hat
    haben hatte kann können konnte soll sollte muss darf dürfen ich du er sie es wir ihr man mir mich uns mit von vom
    zu zum zur im ins an am auf für bei aus nach über unter vor seit bis durch um als wie was wer wen wem wessen wo
    wann warum welche welcher welches welchem welchen viel viele wieviel wieviele nicht kein keine auch noch sich tut
    macht heißt bedeutet sein seine seiner seinem seinen
    le la les un une du de et ou est sont était étaient sera ont avait avoir être peut peuvent doit il elle ils
    elles on je tu nous vous se ce cette ces dans par pour avec sur sous aux au que qui quoi quand où comment
    pourquoi combien quel quelle quels quelles depuis pas ne en son sa ses leur leurs fait est-ce qu'est-ce est-il
    el los las una unos unas del al y o era eran fue fueron ser están está puede pueden debe hay su sus lo con
    por para sin sobre desde hasta como qué quién quiénes cuál cuáles cuándo dónde cómo cuánto cuánta cuántos
    cuántas ni
    gli uno della dello delle degli dei nel nella nelle sul sulla è erano può possono deve chi cosa quale quali
    quando dove come perché quanto quanta quanti quante che cos'è non si per tra fra
    os um uma uns umas da do dos na nas nos ao à é são foi foram pode podem quem qual quais onde quantos quantas
    com sem não
    het een van voor met op te dat zijn wordt worden heeft hebben kunnen moet mag wie wat welke welk wanneer waar
    waarom hoe hoeveel niet ook naar bij uit
"""
STOP = frozenset(stems(_ENGLISH))
FOREIGN_STOP = frozenset(stems(_FOREIGN))


def _pattern(alternatives: str) -> re.Pattern[str]:
    """One alternative a line; `^` stands for the beginning of the question, after a preposition or not."""
    joined = "|".join(line.strip() for line in alternatives.strip().splitlines())
    return re.compile(joined.replace("^", _START))


_START = (
    r"\A[\W_]*(?:(?:and|so|und|et|y|e|en)\s)?(?:(?:in|on|by|at|for|from|to|since|until|with|of|im|am|an|seit|bis|von|mit"
    r"|für|bei|zu|auf|um|depuis|à|a|dans|de|par|pour|avec|desde|por|para|con|da|di|per|em|com|sinds|op|van|met|voor|bij)\s)?"
)
# In the order in which they are tried.
KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "acronym",
        _pattern(r"""
            \bstands? for\b|\bspelled out\b|\babbreviat|\bacronym
            \bwofür steht|\babkürzung|\bsteht\b.{1,40}\bfür\W*\Z
            \bsigles?\b|\bsiglas?\b|\bsta per\b
            \bwaar staat\b.{1,40}\bvoor|\bafkorting
        """),
    ),
    (
        "about",
        _pattern(r"""
            ^what(?:'s| is| are| was)\b.{1,120}\babout\W*\Z|\bsummar(?:y|i[sz]e)|\boverview of\b
            ^what do(?:es)?\b.{1,120}\b(?:report|describe|cover|discuss|contain|deal with|talk about|say)\W*\Z
            ^(?:what|which) (?:kind|sort|type) of (?:document|file|report|text|paper|book)
            \bworum geht|\bwovon handel|\bzusammenfass|\bfasse?\b.{1,80}\bzusammen
            ^quoi (?:parle|traite|s'agit|est-il question)|\brésum
            ^(?:de )?qué (?:trata|habla|va)\b|\bresum[eai]
            ^(?:che )?cosa (?:parla|tratta)|\briassu
            ^(?:o )?que (?:trata|fala)
            \bwaar gaat\b.{1,80}\bover|\bsamenvat
        """),
    ),
    (
        "compare",
        _pattern(r"""
            \bcompare[ds]?\b|\bdifferences?\b|\bdiffers?\b|\bversus\b|\bvs\b
            \b(?:more|less|higher|lower|larger|smaller|better|longer|faster)\b.{1,80}\bor\b
            \bvergleich|\bunterschied|\bunterscheide|\bcompar[aeé]|\bdifférence|\bdiferen[cç]
            \bconfront|\bdifferenz|\bvergelijk|\bverschil
        """),
    ),
    (
        "when",
        _pattern(r"""
            ^when\b|^(?:what|which)\b(?: \w+){0,2} (?:day|date|year|month|time)\b
            ^wann\b|^welche[mrsn]? (?:tag|datum|jahr|monat)
            ^quand\b|^quel(?:le)? (?:jour|date|année|mois)
            ^cuándo\b|^qué (?:día|fecha|año|mes)
            ^quando\b|^(?:che|quale) (?:giorno|data|anno|mese)|^que (?:dia|data|ano|mês)
            ^wanneer\b|^welke? (?:dag|datum|jaar|maand)
        """),
    ),
    (
        "who",
        _pattern(r"""
            ^(?:who|whom|whose|who's)\b|^(?:what|which) (?:person|people|author|man|woman)\b|\bwho (?:is|are|was|were)\b
            ^(?:wer|wen|wem|wessen)\b|^qui\b|^(?:quién|quiénes)\b|^chi\b|^quem\b
            ^wie (?:is|zijn|was|heeft|werd)\b
        """),
    ),
    (
        "howto",
        _pattern(r"""
            ^how (?:do|can|could|should|would|must|to|does one|might)\b(?!.{1,60}\bdo\W*\Z)|\bhow to\b
            \bdo i (?:have|need) to do\b
            \b(?:what|which) (?:command|option|flag|switch|key|setting|parameter|step|shortcut)s?\b
            ^wie (?:kann|könn|mach|soll|muss|geht|lass|lösch|stell|richt|install|füg|änder|erstell|konfigurier)|^womit\b
            ^welche[mrns]? (?:befehl|option|schalter|einstellung|taste|parameter)
            ^comment\b|^quel(?:le)?s? (?:commande|option|réglage|touche|paramètre)
            ^cómo\b|^qué (?:comando|opción|tecla|ajuste|parámetro)
            ^come (?:si|posso|faccio|devo|puoi|fare)|^(?:che|quale) (?:comando|opzione|tasto|parametro)
            ^como\b|^que (?:comando|opção|tecla|parâmetro)
            ^hoe (?:kan|moet|doe|maak|stel|verwijder|installeer|voeg)|^welke? (?:opdracht|optie|toets|instelling)
        """),
    ),
    (
        "value",
        _pattern(r"""
            \bhow (?:much|many|long|far|big|large|high|often|old|tall|fast|heavy|deep|wide|few|late|early|soon)\b
            ^(?:what|which) (?:percent|share|proportion|number|amount|fraction|factor|rate|ratio|price|size|portion)
            ^wie ?(?:viele?|lange|oft|hoch|gro(?:ß|ss)|weit|teuer|alt|schwer|schnell|breit|tief)\b|^wieviele?\b
            ^combien\b|^quel(?:le)? (?:pourcentage|part|nombre|montant|taux|prix)
            ^cuánt|^qué (?:porcentaje|parte|número)
            ^quant[aeio]s?\b|^(?:che|quale) (?:percentuale|numero|importo)|^que (?:percentagem|porcentagem|número)
            ^hoe ?(?:veel|lang|vaak|hoog|groot|ver|oud|duur)\b|^welk (?:percentage|aantal|bedrag)
        """),
    ),
    (
        "where",
        _pattern(r"""
            ^where\b|^(?:what|which) (?:city|country|place|state|address)\b
            ^(?:wo|wohin|woher)\b|^où\b|^dónde\b|^dove\b|^onde\b|^waar\b
        """),
    ),
    (
        "list",
        _pattern(r"""
            ^what are (?:the|all|some)\b|^(?:list|name|enumerate)\b|\b(?:kinds|types|examples) of\b
            ^(?:which|what) (?!(?:is|was|does|do|did|has) )(?:\w+ ){1,4}(?:are|were|have|do|did|can|may|must)\b
            ^(?:which|what) (?:\w+ ){1,4}(?:belong|exist)\b
            ^(?:welche[nr]?|nenne|nennen)\b|^quel(?:le)?s\b|^citez\b|^cuáles\b|^qué (?!es\b)\w+s\b|^enumera
            ^quali\b|^elenca|^quais\b|^welke \w+en\b|^noem\b
        """),
    ),
    (
        "definition",
        _pattern(r"""
            \bwhat(?:'s|s| is| are)? (?:an?|the term|meant by)\b|\bmeaning of\b|\bdefin(?:e|ition)\b
            ^what do(?:es)?\b.{1,120}\bdo(?: (?:in|on|for|with|when|to) .{1,60})?\W*\Z
            ^what does\b.{1,120}\bmean\b|^what does it mean\b
            ^what(?:'s|s| is| are) (?!the\b.{1,60}\b(?:of|at|per|in (?:19|20)\d\d)\b)
            ^was (?:ist|sind|bedeutet|heißt|tut|macht|bewirkt|bezeichnet)\b
            ^qu'est-ce qu|^que (?:signifie|fait|veut dire)\b|^c'est quoi
            ^qué (?:es|son|significa|hace)\b|^(?:che )?cos(?:a (?:è|sono|significa|fa)|'è)
            ^(?:o )?que (?:é|são|significa|faz)\b|^wat (?:is|zijn|betekent|doet)\b
        """),
    ),
    (
        "yes_no",
        _pattern(r"""
            ^(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should|may|must)\b
            ^(?:kann|können|ist|sind|war|hat|haben|wird|darf|soll|muss|gibt|est-ce|peut-on|a-t-|puede|tiene|hay)\b
            ^(?:può|pode|tem|há|mag|moet|heeft)\b
        """),
    ),
)
# What is a number, though the question has no word for it.
MEASURED = _pattern(r"""
    \b(?:sales|revenues?|income|earnings|costs?|price|expenses?|expenditures?|spend(?:ing)?|profits?|loss(?:es)?)\b
    \b(?:dividends?|margins?|growth|rate|ratio|assets|liabilities|equity|debt|cash|capex|budget|turnover|salary)\b
    \b(?:wages?|population|weight|height|length|width|speed|temperature|pressure|limit|deadline|timeout|capacity)\b
    \b(?:quota|fee|fine|votes?|score|charge|allowance|fare|tariff|surcharge|rent|mileage|altitude|depth|distance)\b
    \b(?:umsatz|umsätze|kosten|preis|gewinn|verlust|anteil|ertrag|einnahmen|ausgaben)\b
    \b(?:chiffre d'affaires|coûts?|prix|bénéfices?|dépenses|revenus?)\b
    \b(?:ventas|costos?|costes?|precio|ingresos|gastos|beneficios?|vendite|costi|prezzo|ricavi|utili)\b
    \b(?:vendas|custos?|preço|receitas?|lucros?|omzet|prijs|winst|uitgaven)\b
""")
MEASURES: tuple[tuple[Measure, re.Pattern[str]], ...] = (
    (
        "percent",
        _pattern(r"percent|per cent|\bshare of\b|proportion|fraction|\bgrowth\b|margin|prozent|pourcent|porcent|%"),
    ),
    (
        "duration",
        _pattern(r"""
            \bhow many (?:\w+ )?(?:seconds|minutes|hours|days|nights|weeks|months|years)\b
            \bwie ?viele (?:\w+ )?(?:sekunden|minuten|stunden|tage|nächte|wochen|monate|jahre)\b
            \bcombien (?:de |d')(?:secondes|minutes|heures|jours|nuits|semaines|mois|ann[eé]es|ans)\b
            \bcuánt[oa]s (?:segundos|minutos|horas|días|noches|semanas|meses|años)\b
            \bquant[ie] (?:secondi|minuti|ore|giorni|notti|settimane|mesi|anni)\b
            \bhow (?:long|often|old|late|soon)\b|duration|deadline|time-?out|\bdauer
            \bwie ?(?:lange|oft|alt)\b|combien de temps|cuánto tiempo|quanto tempo|\bhoe ?(?:lang|vaak|oud)\b
        """),
    ),
    (
        "money",
        _pattern(r"""
            \bhow much (?:money|did|do|does|was|were|is|are|will|must|has|have)\b|\bmoney\b|\bcosts?\b|\bprice
            \bpay|\bpaid|sales|revenue|income|earnings|profit|dividend|expens|expenditure|\bfee\b|\bfine\b|capex|budget
            umsatz|umsätze|kosten|preis|gewinn|chiffre d'affaires|coût|prix|bénéfice|dépens|revenu|ventas|cost[oe]s?
            \bspen[dt]|precio|ingresos|gastos|vendite|prezzo|ricavi|preço|receita|lucro|omzet|prijs|winst
        """),
    ),
    (
        "count",
        _pattern(r"""
            \bhow many\b|\bnumber of\b|wie ?viele\b|combien d|cuánt[oa]s|quant[ie]\b|quant[oa]s\b|hoeveel|votes
        """),
    ),
)
