"""Characters that are the same to a reader are the same to a search and to whatever compares texts."""

import re

import pytest

from footnote.answering.same_question import equivalent
from footnote.citations.quotes import locate
from footnote.extracts.choosing import choose
from footnote.formats import ParsedPage
from footnote.ingest.chunking import TextChunk, embedding_text, split
from footnote.providers import Passage
from footnote.retrieval import Query, search
from footnote.retrieval.shaping import distinct
from footnote.runtime import Runtime
from tests import driving
from tests.fakes import FakeEmbedder

WRITTEN = {
    "port.txt": "Die Hafen\u00adge\u00ad\nbühr ist am Monats\u00adersten fällig.",
    "stairs.txt": "The lamp\u200broom is above the stair\u2060case; its oﬃce is ﬁreproof.",
    "order.txt": "Bestellt ist das Teil ＱＲ－７７１５ für １２，８００ Yen.",
    "pump.txt": "The pump is listed as KV\u20114408 in the inventory.",
    "catalogue.txt": "型番はＺＴ－２２０９、価格は３３，９００円。ｶﾀﾛｸﾞは無料です。",
    "persian.txt": "او می\u200cنویسد که چراغ روشن است.",
    "oil.txt": "The oil is stored in the cellar beside the tower.",
}
ASKED = {
    "Hafengebühr": "port.txt",
    "Monatsersten": "port.txt",
    "Ha\u00adfen\u00adgebühr": "port.txt",
    "lamproom staircase": "stairs.txt",
    "fireproof office": "stairs.txt",
    "QR-7715": "order.txt",
    '"12,800 Yen"': "order.txt",
    "KV-4408": "pump.txt",
    "ＫＶ－４４０８": "pump.txt",
    "مینویسد": "persian.txt",
    "カタログ": "catalogue.txt",
    "ZT-2209": "catalogue.txt",
    "stored in the cel\u00adlar": "oil.txt",
}


@pytest.mark.anyio
async def test_search_finds_what_a_reader_would_type(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    for name, text in WRITTEN.items():
        document_id = await driving.ready(rt, tenant, text, name)
        (stored,) = (await driving.pages_of(rt, document_id)).values()
        assert stored == text, "what is stored is what was sent"
    assert isinstance(rt.embedder, FakeEmbedder)
    assert "\u00ad" not in str(rt.embedder.seen)
    for question, name in ASKED.items():
        hits = (await search(rt.for_tenant(tenant), Query(question, mode="keyword"))).hits
        assert hits[0].filename == name, question
        assert hits[0].text == WRITTEN[name]
        assert bool(hits[0].exact_matches) is bool(re.search(r"\d", question)), question
    rt.embedder.seen.clear()
    await search(rt.for_tenant(tenant), Query("Hafen\u00adgebühr"))
    assert rt.embedder.seen == [["Hafengebühr"]]


def test_what_is_embedded_is_folded_and_the_chunk_is_not() -> None:
    text = "Die Hafen\u00adgebühr."
    (chunk,) = split(ParsedPage(1, text), size=100, overlap=0)
    assert chunk == TextChunk(1, 0, len(text), (), text)
    assert embedding_text("ｆees", chunk) == "fees\n\nDie Hafengebühr."


@pytest.mark.parametrize(
    ("quote", "page", "found"),
    [
        (
            "Die Hafengebühr beträgt",
            "Die Hafen\u00adge\u00adbühr beträgt 45 Euro.",
            "Die Hafen\u00adge\u00adbühr beträgt",
        ),
        ("Hafengebühr", "Die Hafen\u00ad\ngebühr.", "Hafen\u00ad\ngebühr"),
        ("PX-1042 ガス", "型番ＰＸ－１０４２　ｶﾞｽ です", "ＰＸ－１０４２　ｶﾞｽ"),
        ("Der Ha\u00adfen ist zu", "Der Hafen ist zu.", "Der Hafen ist zu"),
        ("KV-4408 is", "The KV\u20114408 is old.", "KV\u20114408 is"),
        ("Die Hafen", "Die Hafen\u00adgebühr.", None),
        ("it is 102 metres", "it is 10² metres", None),
    ],
)
def test_a_quote_is_found_where_the_page_has_it_in_other_characters(quote: str, page: str, found: str | None) -> None:
    place = locate(quote, page)
    assert (place and page[slice(*place)]) == found


def test_the_extractive_answer_finds_the_sentence() -> None:
    passages = [
        Passage(1, "a", "The tower was built of granite by the harbour board in a year of storms."),
        Passage(2, "b", "The Har\u00adbour\u00admaster collects the mooring fee on the first day of a month."),
    ]
    assert choose("What does the harbourmaster collect?", passages).found[0].marker == 2


def test_near_duplicates_and_the_same_question_are_told_by_what_is_seen() -> None:
    plain = "the keeper of the lighthouse writes the log every evening at eight"
    assert distinct([plain, plain.replace("house", "\u00adhouse").replace("log", "l\u200bog")], 2) == [0]
    assert equivalent("Wie hoch ist die Hafengebühr 2019?", "Wie hoch ist die Hafen\u00adgebühr ２０１９?")
