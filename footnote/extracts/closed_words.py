"""Closed lists of words by which names are distinguished from other words in a question. Data."""

from footnote.text.grammar import listed

# What begins a sentence and is no name.
STARTERS = listed(
    "according address among answer approximately assume assuming basing calculate can compare compute considering "
    "could define describe did discuss do does evaluate explain find following give given has have help here identify "
    "if is let list name outline please provide recommend respond round show state suggest summarise summarize "
    "suppose tell translate using was were what when where which who why write yes no hello hi hey thanks thank okay "
    "ok"
)
# Written with a capital, and no names: months, days, forms of address, parts of a document.
NO_NAMES = listed(
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun mr "
    "mrs ms dr prof professor president chairman chair director sir madam lord lady st internet earth web english "
    "german french spanish god christmas easter i'm i'd i've i'll section article chapter figure fig table page part "
    "appendix annex item exhibit note paragraph question revenue revenues inventory"
)
# Abbreviations of measures, currencies, roles and kinds of text. A question may use one where the documents write it
# out, or give what it is computed from.
TERMS = listed(
    "agm api arpu bn bps btw cagr capex ccc ceo cet cfo cio ckd cogs coo cpi cpu css csv cto dio dpo dso ebit ebita "
    "ebitda ebt edt eg egm eps est eu eur eta etc faq fcf fifo fte fx fy gaap gb gbp gdp gmt gpu hr html http https "
    "id ie ifrs inr ip ipo irr it jpy json kb kpi led lifo llc ltd m&a mb md mm mw nav npv ok opex p&l pb pc pdf pe "
    "ph png ppe ppne pp&e pr pto q&a qoq r&d roa roce roe roi roic sec sg&a sla sme sms sql tb tbd ttm tv ui uk un "
    "url us usa usb usd utc ux vat vp vs wacc xml yaml yoy ytd"
)
# What single letters distinguish.
KINDS = listed(
    "vitamin hepatitis influenza type class group plan schedule series category grade factor model option phase"
)
# What the number of a version follows.
VERSION_WORDS = listed("version versions release v ver versión versione versie versao versão edition")
# After these, a name: "did 3M pay".
DOING = listed("is was does did do has had have were are can could will would should when for by")
