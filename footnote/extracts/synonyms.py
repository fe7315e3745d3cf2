"""Synonyms: words that mean the same in a question and in its answer.

Data: groups of English words, then of other languages.
"""

from collections.abc import Iterable

from footnote.text.sentences import stems

_GROUPS = """
    employ employs employed employee workforce worker staff personnel headcount
    buy bought acquire acquired acquisition purchase purchased takeover take took taken
    begin began begun start commence launch
    end finish conclude terminate expire
    happen occur occurred take place
    write wrote written author
    earn income profit
    revenue sales turnover
    spend spent expense expenditure cost
    die died death fatality fatal killed
    receive get obtain paid pay payment
    permit allow allowed
    forbid forbidden prohibit prohibited ban
    remove delete erase
    show display print
    make create build
    big large size
    illness disease
    drug medicine medication
    doctor physician
    child children
    person people
    woman women
    man men
    foot feet
    found founded establish established
    headquarters headquartered
    lawyer attorney counsel
    car vehicle automobile
    sue lawsuit litigation
    mitarbeiter beschäftigte angestellte
    kaufen gekauft erwerben erworben übernehmen übernommen
    beginnen begann begonnen anfangen
    verdienen gewinn einkommen
    umsatz umsätze erlöse
    ausgaben aufwand aufwendungen kosten
    employés salariés effectif
    acheter acheté acquis acquérir acquisition
    commencer débuter
    chiffre d'affaires ventes revenus
    dépenses charges coûts
    empleados trabajadores plantilla
    comprar comprado adquirir adquirido adquisición
    comenzar empezar iniciar
    ventas ingresos
    gastos costos costes
"""

# What is counted where people are.
_PEOPLE = frozenset(
    stems(
        "people person persons employees workers staff passengers patients participants members individuals men women "
        "children fatalities killed died dead deaths casualties victims residents inhabitants students users occupants "
        "personen menschen leute mitarbeiter beschäftigte tote personnes gens salariés morts personas gente empleados "
        "muertos persone persoon mensen pessoas"
    )
)


def _groups() -> dict[str, frozenset[str]]:
    """For each stem those of the words of its groups."""
    found: dict[str, frozenset[str]] = {}
    for line in filter(None, map(str.strip, _GROUPS.splitlines())):
        group = frozenset(stems(line))
        for stem in group:
            found[stem] = found.get(stem, frozenset()) | group
    return found


_SYNONYMS = _groups()


def synonyms_of(words: Iterable[str]) -> dict[str, frozenset[str]]:
    """For each of the stems that has any, the stems that mean the same, itself among them."""
    return {word: _SYNONYMS[word] for word in words if word in _SYNONYMS}


def counted_with(words: frozenset[str]) -> frozenset[str]:
    """With the words that may follow a number of them."""
    return words.union(*synonyms_of(words).values(), _PEOPLE if words & _PEOPLE else ())
