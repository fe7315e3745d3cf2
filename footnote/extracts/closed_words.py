"""Closed lists of words by which names are told from other words in a question. Data."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of grammar, of English and of languages that write names as it does. Capitals on them mean a title, and a
# question without any of them is a list of keywords.
GRAMMAR = _words(
    "a about after all also an and any are as at based be been before being between both but by can could did do does "
    "during each for from give had has have he her his how i if in into is it its just many me more most much my no "
    "not of on only or our over please same she should since so some such than that the their them then there these "
    "they this those through to under until up us was we were what when where whether which while who whom whose why "
    "will with within without would you your au aux avec ce ces combien comment dans de depuis des du elle en est et "
    "il ils la le les leur mais ou où par pas plus pour quand que quel quelle quelles quels qui sa se ses son sont "
    "sur un une al como con cuando cuanto cuantos cuál cuáles cuándo cuánto cuántos cómo del desde donde dónde el "
    "ella ellos entre era es esta este fue ha hay las lo los más para pero por qué quién según ser sin sobre su sus "
    "una uno y che chi come cosa cui da dal dalla dei della delle di dove gli hanno nel nella non per perché più "
    "quale quali quando quanti quanto sono tra um uma o os ao das dos em na nas nos foi com não qual quais quem het "
    "een van wat wie waar hoe hoeveel wanneer welke zijn er op met"
)
# Of a language that writes all nouns with a capital.
GERMAN = _words(
    "aber als am an auch auf aus bei bis das dass dem den der des die durch ein eine einem einen einer eines für hat "
    "haben hatte ich im ist kann können man mit muss nach nicht oder seit sich sie sind soll über um und unter vom "
    "von vor wann war waren warum was welche welchem welchen welcher welches wenn wer werden wie wieso wieviel wird "
    "wo womit worüber wurde wurden zu zum zur zwischen"
)
# What begins a sentence and is no name.
STARTERS = _words(
    "according address among answer approximately assume assuming basing calculate can compare compute considering "
    "could define describe did discuss do does evaluate explain find following give given has have help here identify "
    "if is let list name outline please provide recommend respond round show state suggest summarise summarize "
    "suppose tell translate using was were what when where which who why write yes no hello hi hey thanks thank okay "
    "ok"
)
# Written with a capital, and no names: months, days, forms of address, parts of a document.
NO_NAMES = _words(
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun mr "
    "mrs ms dr prof professor president chairman chair director sir madam lord lady st internet earth web english "
    "german french spanish god christmas easter i'm i'd i've i'll section article chapter figure fig table page part "
    "appendix annex item exhibit note paragraph question"
)
# Abbreviations of measures, currencies, roles and kinds of text. A question may use one where the documents write it
# out, or give what it is computed from.
TERMS = _words(
    "agm api arpu bn bps btw cagr capex ccc ceo cet cfo cio ckd cogs coo cpi cpu css csv cto dio dpo dso ebit ebita "
    "ebitda ebt edt eg egm eps est eu eur eta etc faq fcf fifo fte fx fy gaap gb gbp gdp gmt gpu hr html http https "
    "id ie ifrs inr ip ipo irr it jpy json kb kpi led lifo llc ltd m&a mb md mm mw nav npv ok opex p&l pb pc pdf pe "
    "ph png ppe ppne pp&e pr pto q&a qoq r&d roa roce roe roi roic sec sg&a sla sme sms sql tb tbd ttm tv ui uk un "
    "url us usa usb usd utc ux vat vp vs wacc xml yaml yoy ytd"
)
# What single letters tell apart.
KINDS = _words(
    "vitamin hepatitis influenza type class group plan schedule series category grade factor model option phase"
)
# What the number of a version follows.
VERSION_WORDS = _words("version versions release v ver versión versione versie versao versão edition")
# After these, a name: "did 3M pay".
DOING = _words("is was does did do has had have were are can could will would should when for by")
