"""Words and signs next to numbers: currencies, scales, units, number words, months."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Kind = Literal["number", "ordinal", "money", "percent", "date", "year", "quarter", "duration", "measure", "factor"]


@dataclass(frozen=True)
class Unit:
    """`factor` of the base unit `name`; months are no seconds, because they are not equally long."""

    name: str
    kind: Kind
    factor: Decimal


@dataclass(frozen=True)
class Value:
    """`text[start:end]` with sign, currency, scale and unit; `number` is in the base unit of `UNITS`.

    `unit` is an ISO code for money, `%`, `second`, `month`, `byte`, ...; None for a bare number. `step` is what the
    last digit that is written counts: 100,000,000 in `$6.0 billion`. `factor`: by what the figures are multiplied. The
    number of a date is YYYYMMDD with zeros for what is not said, that of a quarter YYYYQ.
    """

    start: int
    end: int
    number: Decimal
    unit: str | None = None
    kind: Kind = "number"
    step: Decimal = Decimal(1)
    factor: Decimal = Decimal(1)


def _spelled(lines: str) -> dict[str, str]:
    """By each spelling, the first word of its line."""
    return {word: name for line in lines.strip().splitlines() for name, *words in [line.split()] for word in words}


_CURRENCIES = _spelled(
    """
    USD $ US$ USD dollar dollars Dollar dólares
    EUR € EUR euro euros Euro Euros
    GBP £ GBP sterling
    JPY ¥ JPY yen Yen 円
    CNY CN¥ RMB CNY yuan 元
    INR ₹ INR rupee rupees
    KRW ₩ KRW won 원
    CHF CHF Franken
    CAD C$ CA$ CAD
    AUD A$ AU$ AUD
    HKD HK$ HKD
    BRL R$ BRL reais
    SEK SEK
    NOK NOK
    DKK DKK
    PLN PLN zł
    RUB ₽ RUB
    """
)
CURRENCIES = {word: Unit(name, "money", Decimal(1)) for word, name in _CURRENCIES.items()}

_SCALES = _spelled(
    """
    3 thousand thousands k K Tsd Tausend mil mille milliers millier tys 千
    4 万 萬
    5 lakh lakhs
    6 million millions mn m M MM mm mio Mio mln Millionen millón millones milhão milhões milioni milione
    7 crore crores
    8 億 亿
    9 billion billions bn bln B Mrd mrd Milliarde Milliarden milliard milliards miliardi miliardo bilhão bilhões mld
    12 trillion trillions tn trn T Billionen 兆
    """
)
SCALES = {word: Decimal(10) ** int(power) for word, power in _SCALES.items()}
# A scale after a currency or joined to its figure; elsewhere these are units or names.
SHORT_SCALES = frozenset(("k", "K", "m", "M", "MM", "mm", "B", "T"))


def _units(kind: Kind, lines: str) -> dict[str, Unit]:
    """Lines of a base unit, how many of it the unit is, and the unit's spellings."""
    return {
        word: Unit(name, kind, Decimal(factor))
        for line in lines.strip().splitlines()
        for name, factor, *words in [line.split()]
        for word in words
    }


UNITS = {
    **_units("percent", "% 1 % ％ percent pct Prozent prozent procent"),
    **_units("factor", "x 1 x X × times fold mal fois veces"),
    **_units(
        "duration",
        """
        second 1e-9 ns nanosecond nanoseconds
        second 1e-6 µs μs microsecond microseconds
        second 1e-3 ms millisecond milliseconds Millisekunden
        second 1 s sec secs second seconds Sekunde Sekunden seconde secondes segundo segundos 秒
        second 60 min mins minute minutes Minute Minuten minuto minutos minuti 分 分钟
        second 3600 h hr hrs hour hours Stunde Stunden heure heures hora horas ore 小时 時間
        second 86400 day days Tag Tage Tagen jour jours día días giorni dias 日 天
        second 604800 week weeks Woche Wochen semaine semaines semana semanas settimane
        month 1 month months Monat Monate Monaten mois mes meses mesi
        month 12 year years yr yrs Jahr Jahre Jahren an ans année années año años anni anos
        month 120 decade decades Jahrzehnt Jahrzehnte
        night 1 night nights Nacht Nächte Nächten nuit nuits noche noches notte notti
        """,
    ),
    **_units(
        "measure",
        """
        byte 1 byte bytes Byte Bytes
        byte 1e3 KB kB
        byte 1e6 MB megabyte megabytes
        byte 1e9 GB gigabyte gigabytes
        byte 1e12 TB terabyte terabytes
        byte 1024 KiB
        byte 1048576 MiB
        byte 1073741824 GiB
        m 1e-9 nm
        m 1e-6 µm μm
        m 1e-3 mm millimetres millimeters
        m 1e-2 cm centimetres centimeters
        m 1 m metre metres meter meters Meter
        m 1e3 km kilometre kilometres kilometer kilometers Kilometer
        m 0.0254 inch inches
        m 0.3048 ft foot feet
        m 1609.344 mile miles
        m² 1 m² sqm qm Quadratmeter Quadratmetern
        m² 1e4 ha hectare hectares Hektar hectárea hectáreas ettari
        g 1e-3 mg milligrams
        g 1 g gram grams Gramm
        g 1e3 kg kilogram kilograms kilogrammes Kilogramm
        g 1e6 tonne tonnes Tonnen
        g 453.59237 lb lbs pound pounds
        l 1e-3 ml mL
        l 1 l L litre litres liter liters Liter
        W 1 W watt watts Watt
        W 1e3 kW
        W 1e6 MW
        W 1e9 GW
        Wh 1 Wh
        Wh 1e3 kWh
        Wh 1e6 MWh
        Hz 1 Hz
        Hz 1e3 kHz
        Hz 1e6 MHz
        Hz 1e9 GHz
        °C 1 °C ℃
        °F 1 °F ℉
        pixel 1 px pixel pixels
        """,
    ),
}
# Units of several words.
PHRASES = {
    "per cent": UNITS["%"],
    "pour cent": UNITS["%"],
    "por ciento": UNITS["%"],
    "por cento": UNITS["%"],
    "per cento": UNITS["%"],
    "percentage points": Unit("point", "percent", Decimal(1)),
    "percentage point": Unit("point", "percent", Decimal(1)),
    "basis points": Unit("point", "percent", Decimal("0.01")),
    "square metres": UNITS["m²"],
    "square meters": UNITS["m²"],
    "mètres carrés": UNITS["m²"],
    "metros cuadrados": UNITS["m²"],
    "metri quadrati": UNITS["m²"],
    "square feet": Unit("square foot", "measure", Decimal(1)),
}

# `one` is a pronoun more often than a number, and `once` (eleven) an English adverb.
NUMBER_WORDS = {
    word: int(value)
    for word, value in _spelled(
        """
        0 zero zéro
        2 two zwei deux dos dois twee
        3 three drei trois tres três drie tre
        4 four vier quatre cuatro quatro quattro
        5 five fünf cinq cinco vijf cinque
        6 six sechs seis zes
        7 seven sieben sept siete sete zeven sette
        8 eight acht huit ocho oito otto
        9 nine neun neuf nueve nove negen
        10 ten zehn dix diez dez tien dieci
        11 eleven elf onze
        12 twelve zwölf douze doce dozen Dutzend
        13 thirteen dreizehn treize trece
        14 fourteen vierzehn quatorze catorce
        15 fifteen fünfzehn quinze
        16 sixteen sechzehn dieciséis
        17 seventeen siebzehn
        18 eighteen achtzehn
        19 nineteen neunzehn
        20 twenty zwanzig vingt veinte
        30 thirty dreißig trente treinta
        40 forty vierzig quarante cuarenta
        50 fifty fünfzig cinquante cincuenta
        60 sixty sechzig soixante sesenta
        70 seventy siebzig setenta
        80 eighty achtzig ochenta
        90 ninety neunzig noventa
        """
    ).items()
}

MONTHS = {
    word: int(value)
    for word, value in _spelled(
        """
        1 january jan januar janvier enero janeiro januari gennaio
        2 february feb februar février febrero fevereiro februari febbraio
        3 march mar märz mars marzo março maart
        4 april apr avril abril aprile
        5 may mai mayo maio mei maggio
        6 june jun juni juin junio junho giugno
        7 july jul juli juillet julio julho luglio
        8 august aug août agosto augustus
        9 september sep sept septembre septiembre setembro settembre
        10 october oct okt oktober octobre octubre outubro ottobre
        11 november nov novembre noviembre novembro
        12 december dec dez dezember décembre diciembre dezembro dicembre
        """
    ).items()
}
