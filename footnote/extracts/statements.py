"""Financial statements that a question names, the pages that are one, and how both name the same line. Pure.

A statement has few of the question's words: its title, labels and figures. What it is, is found by the lines that all
companies must have in it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LEAST_LINES = 3  # of those that a statement must have
LEAST_FIGURES = 5  # lines that end in a figure


@dataclass(frozen=True)
class FinancialStatement:
    """`asked` is how questions call it, `titles` how documents do, `lines` what is in it, `words` its words."""

    asked: re.Pattern[str]
    titles: re.Pattern[str]
    lines: tuple[re.Pattern[str], ...]
    words: str


def _statement(asked: str, titles: str, lines: str, words: str) -> FinancialStatement:
    compiled = tuple(re.compile(line.strip(), re.IGNORECASE) for line in lines.strip().split("\n"))
    return FinancialStatement(re.compile(asked, re.IGNORECASE), re.compile(titles, re.IGNORECASE), compiled, words)


STATEMENTS = (
    _statement(
        r"cash[- ]?flows? statements?|statements? of (?:consolidated )?cash flows?|kapitalflussrechnung"
        r"|flux de trésorerie|flujos? de efectivo|rendiconto finanziario|kasstroomoverzicht",
        r"statements? of cash flows?|cash flow statements?|kapitalflussrechnung|flux de trésorerie|flujos? de efectivo",
        r"""
        operating activities|betrieblicher tätigkeit|activités opérationnelles|actividades de operación
        investing activities|investitionstätigkeit|activités d'investissement|actividades de inversión
        financing activities|finanzierungstätigkeit|activités de financement|actividades de financia
        depreciation|abschreibungen|amortissements|depreciaci
        dividends|dividende|dividendos
        (?:purchases?|additions?|expenditures?|payments?)\b.{0,25}\b(?:property|capital|equipment)|capital spending
        (?:increase|decrease|change)\b.{0,25}\bcash
        """,
        r"""
        consolidated statements of cash flows net cash provided by operating activities investing activities financing
        activities depreciation and amortization dividends paid purchases of property plant and equipment capital
        spending kapitalflussrechnung flux de trésorerie flujos de efectivo
        """,
    ),
    _statement(
        r"balance sheets?|statements? of (?:consolidated )?financial position|\bbilanz\b|\bbilan\b|balance general"
        r"|situación financiera|stato patrimoniale|\bbalans\b",
        r"(?<!supplemental )balance sheets?|statements? of financial position|\bbilanz\b|\bbilan\b|balance general"
        r"|situación financiera",
        r"""
        total current assets|current assets:|umlaufvermögen|actifs? courants?|activos? corrientes?
        total assets|summe (?:der )?aktiva|total (?:de l')?actif|total (?:del )?activo
        total (?:current )?liabilities|verbindlichkeiten|total (?:du )?passif|total (?:del )?pasivo
        accounts payable|trade payables|fournisseurs|cuentas por pagar
        receivables?|forderungen|créances|cuentas por cobrar
        inventor(?:y|ies)|vorräte|stocks|inventarios
        property,? (?:plant )?and equipment|sachanlagen|immobilisations|propiedades
        (?:share|stock)holders[’']? equity|total equity|eigenkapital|capitaux propres|patrimonio
        retained earnings|gewinnrücklagen
        """,
        r"""
        consolidated balance sheets total current assets inventories accounts receivable property plant and equipment
        net total assets accounts payable total current liabilities long-term debt total liabilities retained
        earnings shareholders equity bilanz aktiva passiva bilan actif passif balance activo pasivo
        """,
    ),
    _statement(
        r"income statements?|statements? of (?:consolidated )?(?:net )?(?:income|earnings|operations)|\bp ?& ?l\b"
        r"|profit[- ]and[- ]loss|gewinn- und verlust|compte de résultat|cuenta de resultados|estado de resultados"
        r"|conto economico|resultatenrekening",
        r"statements? of (?:consolidated )?(?:income|earnings|operations)|income statements?|gewinn- und verlust"
        r"|compte de résultat|estado de resultados",
        r"""
        net (?:sales|revenues?)|(?:total|operating) (?:net )?(?:revenues?|sales)|umsatzerlöse|chiffre d'affaires
        cost of (?:sales|goods|products|revenues?)|costs and expenses|umsatzkosten|coût des ventes|costo de ventas
        selling, general|operating expenses|vertriebs|frais
        operating (?:income|profit)|income from operations|betriebsergebnis|résultat opérationnel|resultado operativo
        before (?:provision for )?(?:income )?tax|income tax|ertragsteuern|impôts?|impuestos?
        net (?:income|earnings|profit|loss)|jahresüberschuss|résultat net|utilidad neta
        per (?:common )?share|diluted|je aktie|par action|por acción
        """,
        r"""
        consolidated statements of income earnings operations net sales total revenues cost of sales cost of goods sold
        selling general and administrative operating income income before income taxes provision net income per share
        diluted umsatzerlöse jahresüberschuss chiffre d'affaires résultat net ventas netas utilidad neta
        """,
    ),
)

# How questions call a line, and how statements do.
_TERMS: tuple[tuple[str, Sequence[str]], ...] = (
    (
        r"capital expenditures?|cap-?ex",
        (
            "purchases of property, plant and equipment",
            "purchases of property and equipment",
            "additions to property, plant and equipment",
            "additions to property and equipment",
            "payments for property and equipment",
            "capital spending",
            "capital expenditures",
        ),
    ),
    (
        r"\b(?:net )?pp(?:n?e|&e)\b",
        ("property, plant and equipment, net", "property and equipment, net", "property, plant and equipment – net"),
    ),
    (
        r"\bcogs\b|cost of goods sold",
        ("cost of sales", "cost of goods sold", "cost of revenue", "cost of products sold"),
    ),
    (
        r"\brevenues?\b",
        ("net sales", "total net sales", "net revenue", "revenues", "total revenues", "operating revenues"),
    ),
    (r"\bnet income\b", ("net earnings", "net income")),
    (r"\bd&a\b|\bebitda\b|\bdepreciation\b", ("depreciation and amortization", "depreciation")),
    (
        r"\bebitda\b",
        ("operating income", "operating profit", "income from operations", "consolidated operating income"),
    ),
    (r"\bdividends? paid\b|\bretention ratio\b", ("cash dividends paid", "dividends paid")),
    (
        r"\bdpo\b|\bdays payable outstanding\b|\baccounts payable\b",
        ("accounts payable", "trade payables", "trade accounts payable"),
    ),
    (
        r"\bdso\b|\bdays sales outstanding\b|\baccounts receivable\b",
        ("accounts receivable", "receivables", "trade receivables"),
    ),
    (
        r"\bdio\b|\bdays inventory outstanding\b|\binventor(?:y|ies)\b",
        ("inventories", "inventory", "merchandise inventories"),
    ),
    (r"\btotal assets\b|\basset turnover\b", ("total assets",)),
    (r"\boperating (?:income|profit|margin)\b", ("operating income", "operating profit", "income from operations")),
)
TERMS = tuple((re.compile(asked, re.IGNORECASE), stated) for asked, stated in _TERMS)

# What is computed from several lines is in none.
_COMPUTED = re.compile(
    r"\b(?:ratio|margin|turnover|average|cycle|conversion|ebitda|roa|roe|days \w+ outstanding|year-over-year"
    r"|growth rate|cagr|calculated?|compute|divided|defined as)\b|%",
    re.IGNORECASE,
)
_ENDS_IN_FIGURE = re.compile(r"(?m)[\d)%—–-]\s*$")
_NOTE = re.compile(r"parent company|guarantor|condensed consolidating", re.IGNORECASE)


def named(question: str) -> list[FinancialStatement]:
    """The statements that it names, in their order there."""
    found = [(match.start(), each) for each in STATEMENTS if (match := each.asked.search(question))]
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def likeness(statement: FinancialStatement, text: str, heading: str = "") -> float:
    """How surely the text is of the statement, not only about it: 0 if it is not."""
    lines = sum(line.search(text) is not None for line in statement.lines)
    if lines < LEAST_LINES or len(_ENDS_IN_FIGURE.findall(text)) < LEAST_FIGURES or _NOTE.search(text):
        return 0.0
    return lines + 2.0 * (statement.titles.search(f"{heading}\n{text[:300]}") is not None)


def is_computed(question: str) -> bool:
    """Whether it asks for a computed value, which no line has."""
    return _COMPUTED.search(question) is not None


def stated(question: str) -> Iterator[str]:
    """How statements may call the lines that the question asks for."""
    for asked, lines in TERMS:
        if asked.search(question):
            yield from lines


def lines_of(question: str, labels: Sequence[str]) -> list[tuple[re.Pattern[str], str]]:
    """For each line that the question asks for, how it calls it, and how one of the labels does."""
    found = []
    for asked, lines in TERMS:
        if asked.search(question):
            own = next((label for line in lines for label in labels if _says(label, line)), None)
            if own:
                found.append((asked, own))
    return found


def _says(label: str, line: str) -> bool:
    return plain(label).startswith(plain(line))


def plain(text: str) -> str:
    """The words alone, in lower case, with a space on either side."""
    words = " ".join(re.findall(r"\w+", text.lower()))
    return f" {words} "
