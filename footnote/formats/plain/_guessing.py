"""Which encoding an undeclared text is in: the one in which it reads most like a language.

Each encoding that decodes the bytes is tried with each language that was written in it. A reading is worth the sum of
the logarithms of how likely its characters beyond ASCII are there, each among its neighbours: capitals do not stand
within words, nor lines and signs between letters.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from footnote.formats import Guess
from footnote.formats.plain._charsets import decoded

# What texts of many languages are made of beyond ASCII, for guessing encodings.
#
# Letters in the order of their frequency; small words, of those in the Latin script, without accents; the encodings that
# such texts came in, the usual one first.

WESTERN = ("cp1252", "iso8859-15", "mac_roman", "cp850", "cp437")
NORDIC = (*WESTERN, "cp865", "cp861", "mac_iceland")
CENTRAL = ("cp1250", "iso8859-2", "cp852", "mac_latin2", "iso8859-16")
BALTIC = ("cp1257", "iso8859-13", "iso8859-4", "cp775")
TURKISH = ("cp1254", "cp857", "mac_turkish", "iso8859-3")
CYRILLIC = ("cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp866", "mac_cyrillic", "cp855")
GREEK = ("cp1253", "iso8859-7", "cp737", "mac_greek", "cp869")
HEBREW = ("cp1255", "iso8859-8", "cp862")
ARABIC = ("cp1256", "iso8859-6", "cp720")
DOUBLE = ("cp932", "euc_jp", "gb18030", "big5hkscs", "cp949")


@dataclass(frozen=True)
class Language:
    """`double`: one of thousands of characters, most of them not among `letters`."""

    encodings: tuple[str, ...]
    letters: str
    words: frozenset[str] = frozenset()
    double: bool = False

    @property
    def is_latin(self) -> bool:
        return bool(self.words)


def _latin(encodings: tuple[str, ...], letters: str, words: str) -> Language:
    return Language(encodings, letters, frozenset(words.split()))


# ruff: noqa: E501  ideographs are counted as two columns
_CHINESE = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现"
    "当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战"
    "向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔"
    "更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难"
    "且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运请号费收单价您商店户码货款订税付票退客服电话"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作里用道行所然家種事成方多經麼去法學如都同現"
    "當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰"
    "向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾"
    "更別打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬科司五基眼書非則聽白卻界達光放強即像難"
    "且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶導爭運請號費收單價您商店戶碼貨款訂稅付票退客服"
)
_KOREAN = (
    "이다는에의가을고한지은로하도사를기인시자어대리정그나부과서일아수전보해라들주제으니국만있것장상구원용여게조선면성공관동비우분중세유방문개경안습생와적학"
    "내소신오실무연거모발화물요간계진년스위때말마람명결체당된러려없같음았었는습니까합"
)
_KANA = "のにたいはをとるがしでてなれあらもかっまりすさこうよそきんくけせつえみちわめおやろばだどひゃょゅンスルトーイラリアクシドレジタプロマコ"

LANGUAGES = {
    "German": _latin(WESTERN, "üäöß", "der die und das ist nicht ein eine zu den mit von auf im dem sich wird werden"),
    "French": _latin(WESTERN, "éèàêçùâîôûëïœ", "le la les de des et en un une du que qui dans pour pas sur est au"),
    "Spanish": _latin(WESTERN, "óíáñéúü", "el la los las de y en que un una por con para del se no es al su"),
    "Portuguese": _latin((*WESTERN, "cp860"), "ãçáéíóõêúâôà", "o a os as de e em que um uma do da no na por com se ao"),
    "Italian": _latin(WESTERN, "èàùòìéî", "il lo la gli di e che un una del della in per non con si sono dei al"),
    "Catalan": _latin(WESTERN, "óàèíéçúòïü", "el la els les de i en que un una per amb del no es al"),
    "Dutch": _latin(WESTERN, "ëéïóèöüê", "de het een en van in is dat op te niet met voor zijn aan er wordt bij"),
    "Danish": _latin(NORDIC, "øåæé", "og i at det er en til af den for ikke som med de har et ved kan"),
    "Norwegian": _latin(NORDIC, "åøæéò", "og i er det en til av som ikke den for med de har et om ved kan"),
    "Swedish": _latin(NORDIC, "äåöé", "och i att det en som av den med till inte ett om de har vid kan"),
    "Finnish": _latin(NORDIC, "äöå", "ja on ei se joka oli ovat kun niin tai sen mutta kuin"),
    "Icelandic": _latin(NORDIC, "áíðóþéöúýæ", "og er sem um en til af var ekki hann fyrir frá eru"),
    "Irish": _latin(WESTERN, "áíéóú", "an na agus is ar go le do ag sa bhfuil seo"),
    "Albanian": _latin(WESTERN, "ëç", "dhe e i te ne me per nga se nuk ka"),
    "Polish": _latin(CENTRAL, "łęóążśćńź", "i w na z nie do o od po za jest przez dla jak oraz ze tylko sobie"),
    "Czech": _latin(CENTRAL, "íáěéřýčžšůúťňóď", "a v na je se o z do s k po za pro ale jako tak jsou od ve by"),
    "Slovak": _latin(CENTRAL, "áíéýčžúšôľťňäóďĺŕ", "a v na je sa o z do s k po za pre ale ako tak sú od vo by"),
    "Hungarian": _latin(CENTRAL, "áéőöíóüúű", "a az egy nem hogy ez van vagy csak meg de mint volt ha el ki"),
    "Romanian": _latin(CENTRAL, "ăîâşţșț", "de la nu o un cu pe din este care ca mai pentru sau al prin"),
    "Croatian": _latin(CENTRAL, "čšžćđ", "i u je na se da su za od s o koji nije bez kao"),
    "Slovenian": _latin(CENTRAL, "čšžćđ", "in v je na se da so za od z s o ki ne po ali kot pri"),
    "Turkish": _latin(TURKISH, "ıüşğçöİâî", "ve bir bu da de ne ile gibi daha olan her var en kadar sonra"),
    "Estonian": _latin((*BALTIC, "cp1252"), "äõüöšž", "ja on ei ka et see mis oli kui ning oma ta aga"),
    "Latvian": _latin(BALTIC, "āīšēžļņķģčūŗ", "un ir no ar uz par ka kas tas bija vai arī pie"),
    "Lithuanian": _latin(BALTIC, "ėųšįžąūęč", "ir yra kad su iš buvo tai jo bet kaip apie prie nuo"),
    "Maltese and Esperanto": _latin(("iso8859-3",), "ĝĉŝŭĥĵħġżċ", "la de kaj en estas ne al li il ta u jew"),
    "Vietnamese": _latin(
        ("cp1258",), "đ\u0301\u0300ăâêôơư\u0323\u0309\u0303áàéíóúèùãõý", "trong cho khi ra v n tr nh ng kh"
    ),
    "Russian": Language(CYRILLIC, "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"),
    "Ukrainian": Language(CYRILLIC, "оаинвіетрсклумдпзяьбгйчхжцюєїшфщґ"),
    "Belarusian": Language(CYRILLIC, "анеіылтсрокпвдзуьмяцгбйчхшўжюэфё"),
    "Bulgarian": Language((*CYRILLIC,), "аиоетнрсвлкдпмзгуъябчщцйжхшюфь"),
    "Serbian": Language(CYRILLIC, "аоиеунјрствкдмлпзбгљцњшчжхћђфџ"),
    "Macedonian": Language(CYRILLIC, "аоиетнрсвдклпмјузгбчцшќжњхљфѓѕџ"),
    "Greek": Language(GREEK, "αοιετσνηυρπκμλςόίάγωέδχήύθφβώξζψϊΐϋ"),
    "Hebrew": Language(HEBREW, "יוהלאמרתבשנעםדקפחטגכזסןצךףץ"),
    "Arabic": Language(ARABIC, "اليمنورتبةعدسفهكقأحجشصىخإطزذئءغضثآؤظ"),
    "Persian": Language(ARABIC, "اینردهتمبوشسکگلزفعخقجپحآغطصچضژظذثئءيك"),
    "Thai": Language(("cp874",), "านรอกเงมยลวดทสตะปบคหแจพชขใไโผซณศถษญภธฟฝฉ่้ัิี็ื์ุูึำๆ๊๋"),
    "Japanese": Language(("cp932", "euc_jp"), _KANA, double=True),
    "Simplified Chinese": Language(("gb18030",), _CHINESE, double=True),
    "Traditional Chinese": Language(("big5hkscs",), _TRADITIONAL, double=True),
    "Korean": Language(("cp949",), _KOREAN, double=True),
}


_SAMPLE = 16 * 1024  # bytes of lines that are not ASCII
_PLAUSIBLE = -9.0  # what a character is worth at least, on average, in a text of a language
# Among readings that are equally good: what is more common.
_PRIORS = {"iso8859-16": -1.0, "cp1252": 2.0, "cp125": 1.5, "koi8": 1.0, "iso8859": 0.7, "mac": -0.5}
_SIGNS = "“”„‘’«»–—…\u00a0·•"
_RARE_SIGNS = "°§€£©®™¿¡№º²³½¼×±µ†‰¹¨´\u00ad\u200c\u200d"
_WITHIN_WORDS = "’·´\u00ad\u200c\u200d"
_WIDE_SIGNS = "、。，．：；？！「」『』（）《》〈〉【】・～　－％／"
# First bytes of the characters that are used most, which the standards put in front of the others.
_COMMON = {"cp932": (0x88, 0x98), "gb18030": (0xB0, 0xD7), "big5hkscs": (0xA4, 0xC6), "cp949": (0xB0, 0xC8)}
_WINDOW = re.compile(r"(?s)(?=(.)([^\x00-\x7f])(.?))")
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class _Reading:
    encoding: str
    text: str
    worth: float
    characters: int


def guess(data: bytes) -> Guess:
    """The likeliest encoding; its confidence is small for short texts, and where another reads nearly as well."""
    sample = _sample(data)
    readings = sorted(_readings(sample), key=lambda reading: -reading.worth)
    if not readings or readings[0].worth < _PLAUSIBLE * readings[0].characters:
        return _by_library(data, readings)
    best = readings[0]
    others = (reading.worth for reading in readings if reading.text != best.text)
    margin = best.worth - next(others, -math.inf)
    return Guess(best.encoding, _confidence(margin, best.characters))


def _confidence(margin: float, characters: int) -> float:
    return round(min(0.99, characters / (characters + 2) / (1 + math.exp(-margin / 2))), 2)


def _by_library(data: bytes, readings: list[_Reading]) -> Guess:
    """For encodings and languages that are not among ours."""
    from charset_normalizer import from_bytes

    match = from_bytes(_sample(data)).best()
    if match is not None and match.encoding != "utf_8":
        return Guess(match.encoding.replace("_", "-"), 0.3)
    return Guess(readings[0].encoding if readings else "cp1252", 0.1)


def _sample(data: bytes) -> bytes:
    """Lines that are not ASCII, for they distinguish encodings; the first ones, as many as are enough."""
    found, length = [], 0
    for line in data.split(b"\n"):
        if not line.isascii():
            found.append(line)
            length += len(line) + 1
            if length > _SAMPLE:
                break
    return b"\n".join(found)[: 2 * _SAMPLE]


def _readings(sample: bytes) -> Iterator[_Reading]:
    """A reading for each encoding: that of the language in which it is worth most."""
    spoken: dict[str, list[Language]] = {}
    for language in LANGUAGES.values():
        for encoding in language.encodings:
            spoken.setdefault(encoding, []).append(language)
    words = Counter(_WORD.findall(re.sub(rb"[a-zA-Z]*[\x80-\xff]+[a-zA-Z]*", b" ", sample).decode("ascii").lower()))
    for encoding, languages in spoken.items():
        text = decoded(sample, encoding)
        windows = Counter((match[1], match[2], match[3]) for match in _WINDOW.finditer(f"\n{text}"))
        characters = sum(windows.values())
        broken = text.count("\ufffd")
        if not characters or (encoding in DOUBLE and broken * 50 > characters):
            continue
        worth = max(_worth(windows, words, language) for language in languages) + _prior(encoding)
        yield _Reading(encoding, text, worth, characters)


@cache
def _prior(encoding: str) -> float:
    return next((worth for start, worth in _PRIORS.items() if encoding.startswith(start)), 0.0)


def _worth(windows: Counter[tuple[str, str, str]], words: Counter[str], language: Language) -> float:
    likely = _likely(language)
    found = sum(count * _likelihood(*window, language, likely) for window, count in windows.items())
    if not language.is_latin:
        return found
    total = sum(words.values())
    share = sum(words[word] for word in language.words) / total if total else 0.0
    return found + 2 * min(total, 40) * share


@cache
def _likely(language: Language) -> dict[str, float]:
    """Logarithms of the shares of a language's letters, by Zipf's law."""
    weights = [1 / (rank + (20 if language.double else 4)) for rank in range(len(language.letters))]
    share = (0.6 if language.double else 0.85) / sum(weights)
    return {letter: math.log(weight * share) for letter, weight in zip(language.letters, weights, strict=True)}


def _likelihood(before: str, found: str, behind: str, language: Language, likely: dict[str, float]) -> float:
    if language.double:
        return likely.get(found) or _of_thousands(found, language)
    lower = found if found in likely else found.lower()
    if lower in likely:
        return likely[lower] + _among(before, found, behind, is_latin=language.is_latin)
    if found in _SIGNS or found in _RARE_SIGNS:
        is_within = before.isalpha() and behind.isalpha() and found not in _WITHIN_WORDS
        return (-5.0 if found in _SIGNS else -6.5) - (6.0 if is_within else 0.0)
    if found.isalpha():
        return -10.0
    if found == "\ufffd" or "\x80" <= found < "\xa0":
        return -16.0
    return -6.0 if found in {before, behind} else -11.0  # lines are drawn of many alike


def _among(before: str, found: str, behind: str, *, is_latin: bool) -> float:
    """What the neighbours of a letter take from its likelihood."""
    taken = 0.0
    if found.isupper():
        taken -= 7.0 if before.islower() else 0.7 if before.isupper() or behind.isupper() else 2.0
    elif before.isupper() and behind.isupper():
        taken -= 5.0
    if is_latin:
        taken -= 1.2 if before.isalpha() and not before.isascii() else 0.0
        taken -= 0.0 if before.isalpha() or behind.isalpha() else 2.5
    elif (before.isascii() and before.isalpha()) or (behind.isascii() and behind.isalpha()):
        taken -= 4.0
    return taken


def _of_thousands(found: str, language: Language) -> float:
    """The likelihood of a character of East Asia that is none of the most frequent ones."""
    if found in _WIDE_SIGNS:
        return -4.5
    if found in _SIGNS or "\uff01" <= found <= "\uff5e":
        return -7.5
    encoding = language.encodings[0]
    if "\uac00" <= found <= "\ud7a3" if encoding == "cp949" else "\u4e00" <= found <= "\u9fff":
        code = found.encode(encoding, "ignore")
        first, last = _COMMON[encoding]
        return -8.8 if len(code) == 2 and first <= code[0] <= last else -13.0
    if encoding == "cp932" and ("\u3040" <= found <= "\u30ff" or "\uff61" <= found <= "\uff9f"):
        return -7.0 if found < "\uff00" else -8.0
    return -14.0
