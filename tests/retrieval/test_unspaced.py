"""Keyword search in scripts that put no space between words: Chinese, Japanese, Korean, Thai."""

import random

import pytest
from sqlalchemy import text

from footnote.retrieval import Query, search
from footnote.runtime import Runtime
from footnote.text import searched
from tests import driving

pytestmark = pytest.mark.anyio

# Documents, and questions with the place of the document that answers.
CORPORA = {
    "chinese": (
        (
            "图书馆周一至周五上午八点开放，周末关闭。",
            "借书证遗失后需要缴纳十元补办费用。",
            "阅览室内禁止饮食，手机请调至静音。",
        ),
        (("图书馆周末开放吗？", 0), ("借书证丢了怎么补办？", 1), ("阅览室可以饮食吗", 2)),
    ),
    "japanese": (
        (
            "図書館は月曜日から金曜日まで開館しています。",
            "カードを紛失した場合、再発行手数料は十円です。",
            "閲覧室での飲食は禁止されています。",
        ),
        (("図書館はいつ開館していますか", 0), ("カードの再発行はいくらですか", 1), ("閲覧室で飲食できますか", 2)),
    ),
    "korean": (
        (
            "도서관은 월요일부터 금요일까지 문을 엽니다.",
            "대출카드를 분실하면 재발급 수수료를 내야 합니다.",
            "열람실에서는 음식을 먹을 수 없습니다.",
        ),
        (("도서관이 문을 여는 요일은?", 0), ("대출카드의 재발급은 어떻게 하나요", 1), ("열람실 음식", 2)),
    ),
    "thai": (
        ("ห้องสมุดเปิดทุกวันจันทร์ถึงวันศุกร์", "หากบัตรยืมหายต้องเสียค่าธรรมเนียมสิบบาท", "ห้ามรับประทานอาหารในห้องอ่านหนังสือ"),
        (("ห้องสมุดเปิดวันไหน", 0), ("บัตรยืมหายทำอย่างไร", 1), ("รับประทานอาหารได้ไหม", 2)),
    ),
}


@pytest.mark.parametrize("language", CORPORA)
async def test_questions_find_the_words_of_their_document(rt: Runtime, language: str) -> None:
    documents, questions = CORPORA[language]
    tenant = await driving.new_tenant(rt)
    for number, each in enumerate(documents):
        await driving.ready(rt, tenant, each.encode(), f"{number}.txt")
    for question, place in questions:
        hits = (await search(rt.for_tenant(tenant), Query(question, mode="keyword"))).hits
        assert hits[0].filename == f"{place}.txt", question


async def test_a_quoted_phrase_must_stand_there_to_the_letter(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    for name, each in {"near": "期限退货，退货期长，货期限定", "there": "商品的退货期限为三十天"}.items():
        await driving.ready(rt, tenant, each.encode(), f"{name}.txt")
    [first, *_] = (await search(rt.for_tenant(tenant), Query("“退货期限”", mode="keyword"))).hits
    assert (first.filename, first.exact_matches) == ("there.txt", 1)


async def test_the_length_of_a_chunk_is_counted_in_what_stands_for_words(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    document = await driving.ready(rt, tenant, "退货期限为30天".encode(), "a.txt")
    async with rt.transaction() as session:
        words = await session.scalar(text("SELECT words FROM chunk WHERE document_id = :id"), {"id": document})
    assert words == len(["退货", "货期", "期限", "限为", "30", "天"])


LETTERS = "退货期限あいアイー々가나ก็น้ำເບີដំណ မြန် aB7é-'\u200b\u3099\u0e48\u00ad\uff21１。、\U00020000"


@pytest.mark.parametrize("seed", range(40))
async def test_postgres_takes_what_stands_for_words_as_it_is(rt: Runtime, seed: int) -> None:
    """Chunks and questions are made searchable alike; what Postgres makes of a word is its own matter."""
    chance = random.Random(seed)
    given = searched("".join(chance.choice(LETTERS) for _ in range(200)))
    pairs = [each for each in given.split() if not each.isascii() and all(c.isalpha() or c > "\u0300" for c in each)]
    async with rt.transaction() as session:
        whole = await session.scalar(text("SELECT tsvector_to_array(to_tsvector('simple', :text))"), {"text": given})
        alone = await session.scalar(
            text(
                "SELECT array_agg(DISTINCT lexeme) FROM unnest(CAST(:words AS text[])) AS word, "
                "unnest(to_tsvector('simple', word))"
            ),
            {"words": given.split()},
        )
    assert set(alone) == set(whole)
    assert searched(given).split() == given.split()
    assert pairs
