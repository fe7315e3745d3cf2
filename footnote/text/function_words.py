"""Words that every text of a language has, and the language of a text by them."""

FUNCTION_WORDS = {
    name: frozenset(words.split())
    for name, words in {
        "en": "a an the and or but of to in on at by for from with as is are was were be been it its this that these "
        "those he she they we you his her their our has have had do does did will would can could may which who "
        "what when where not no than then there if so such into over under after before about also all any each "
        "more most other some only how why i me my your up out both between during through while because however",
        "de": "der die das den dem des ein eine einen einem einer und oder aber von zu zum zur im in am an auf bei mit "
        "für aus nach ist sind war waren wird werden wurde wurden hat haben hatte es sie er wir sich nicht kein "
        "keine als auch noch nur wie wenn dass diese dieser dieses über unter durch bis was wer wann wo ich ihr "
        "sein seine",
        "fr": "le la les l un une des du de d et ou mais à au aux en dans sur pour par avec sans ce cette ces il elle "
        "ils elles on nous vous est sont était a ont été qui que qu quoi dont où ne pas plus se son sa ses leur "
        "leurs je c n s",
        "es": "el la los las un una unos unas de del y o pero a al en con por para sin que se es son era fue ha han su "
        "sus este esta estos estas lo no más como cuando donde quien cual entre sobre desde hasta muy también ser "
        "está",
        "it": "il lo la i gli le un uno una di del della dei delle e o ma a al alla in nel nella con per da che si è "
        "sono era ha hanno non più come anche questo questa su dal sul",
        "pt": "o a os as um uma de do da dos das e ou mas em no na nos nas com por para sem que se é são foi era tem "
        "não mais como também este esta ao à pelo pela seu sua",
        "nl": "de het een en of maar van te in op aan bij met voor uit naar is zijn was waren wordt werd heeft hebben "
        "niet geen als ook nog dat deze dit die er door over onder tot wat wie ik hij zij wij",
    }.items()
}
AHEAD = 1.3  # times as many words as of any other language


def language(text: str) -> str | None:
    """The likeliest language of a text of a few words; None if that is not clear.

    `languages.detected` says less of so short a text: a document that is stemmed in a wrong language is not found.
    """
    words = [
        word for piece in text.casefold().replace("’", "'").split() for word in piece.strip('.,;:!?()"').split("'")
    ]
    counts = sorted(
        ((sum(word in known for word in words), name) for name, known in FUNCTION_WORDS.items()), reverse=True
    )
    (most, name), (second, _) = counts[:2]
    return name if most and most >= AHEAD * second else None
