"""Misspelt words of a question are taken for the nearest words of what is searched."""

import pytest
from sqlalchemy import delete, func, select, text

from footnote import collections
from footnote.documents import deletion
from footnote.models import Chunk, VocabularyRemoval, VocabularyWord
from footnote.retrieval import Query, SearchResult, search, spelling
from footnote.retrieval.spelling import Correction
from footnote.runtime import Runtime
from tests import driving

pytestmark = pytest.mark.anyio
GENERICS = "Monomorphization turns generic code into specific code. The compensation of miners has a default deadline."
GERMAN = "Die Kündigung ist möglich. Die Frist beträgt drei Monate."


async def _stored(rt: Runtime, *texts: str) -> str:
    tenant = await driving.new_tenant(rt)
    for number, each in enumerate(texts):
        await driving.ready(rt, tenant, each, f"{number}.txt")
    return tenant


async def _asked(rt: Runtime, tenant: str, question: str, mode: str = "hybrid") -> SearchResult:
    return await search(rt.for_tenant(tenant), Query(question, mode=mode))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
async def test_a_misspelt_word_is_taken_for_the_nearest(rt: Runtime, mode: str) -> None:
    tenant = await _stored(rt, GENERICS)
    found = await _asked(rt, tenant, "waht is Monomorphizaton, and compensaton", mode)
    assert found.text == "what is monomorphization, and compensation"
    assert list(found.searched_for) == [
        Correction("waht", ("what",)),
        Correction("Monomorphizaton", ("monomorphization",)),
        Correction("compensaton", ("compensation",)),
    ]
    assert found.hits


@pytest.mark.parametrize(
    "question",
    [
        "what is the specific code",
        "which word is there in a bikes minor",  # in the dictionary
        "monomorphizations",  # another form of a word that is there
        "M0nomorphization and ERR_42",  # with digits
        "cide",  # short, and a letter replaced
        "xylophonist quixotry",  # near to nothing
    ],
)
async def test_what_is_not_misspelt_stays(rt: Runtime, question: str) -> None:
    tenant = await _stored(rt, GENERICS)
    found = await _asked(rt, tenant, question)
    assert (found.text, found.searched_for) == (question, ())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("dealdine", "deadline"),  # swapped
        ("deadlien", "deadline"),
        ("edadline", "deadline"),
        ("deaadline", "deadline"),  # too much
        ("deadlne", "deadline"),  # missing
        ("dedline", "deadline"),
        ("deatline", "deadline"),  # wrong
        ("deadlyne", "deadline"),
        ("monomorphisaton", "monomorphization"),  # two mistakes
    ],
)
async def test_mistakes(rt: Runtime, wrong: str, right: str) -> None:
    tenant = await _stored(rt, GENERICS)
    assert (await _asked(rt, tenant, wrong)).text == right


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("wen is the deadline of the compensation", "when is the deadline of the compensation"),  # a word elsewhere
        ("hwo mny miners", "how many miners"),  # short ones, without their vowel
        ("untill the deadline", "until the deadline"),
        ("whatis the deadline", "what is the deadline"),  # written as one
        ("which minner", "which miner"),  # another form of it is there
        ("the deffault deadline", "the default deadline"),  # a doubled letter rather than another one
        ("the uncompensated, the UnIt", "the uncompensated, the UnIt"),  # a syllable before a word; an abbreviation
        ("the codex", "the codex"),  # short, and a letter less makes another word
        ("the DEFALT", "the DEFALT"),  # an abbreviation
        ("THE DEFALT", "THE default"),
    ],
)
async def test_words_that_questions_are_made_of(rt: Runtime, wrong: str, right: str) -> None:
    tenant = await _stored(rt, GENERICS, "The words defeault and defmault differ.")
    assert (await _asked(rt, tenant, wrong)).text == right


@pytest.mark.parametrize(
    ("question", "searched"),
    [
        ("the media survival of keepers", "the median survival of keepers"),  # a word, beside the same neighbour
        ("the media of keepers", "the media of keepers"),  # and beside no neighbour
        ("the stain survival of keepers", "the stain survival of keepers"),
        ("lockeed martn keepers", "lockheed martin keepers"),
        ("when does the light house keep", "when does the light house lighthouse keep"),  # written apart
        ("the keepers of the hnadkerrchieff", "the keepers of the handkerchief"),  # more than two mistakes
        ("the keepers of the omoring", "the keepers of the mooring"),
        ("Is Thet a keeper", "Is Thet a keeper"),  # within a question a capital begins a name
    ],
)
async def test_what_the_other_words_find_tells_the_word_that_is_meant(
    rt: Runtime, question: str, searched: str
) -> None:
    texts = (
        "The median survival of keepers was 14 months. A strain of rice.",
        "The keepers of Lockheed Martin sleep in the lighthouse, and keep a handkerchief at the mooring.",
    )
    tenant = await _stored(rt, *texts)
    assert (await _asked(rt, tenant, question)).text == searched


async def test_the_corrected_question_is_embedded(rt: Runtime) -> None:
    tenant = await _stored(rt, GENERICS)
    wrong, right = await _asked(rt, tenant, "the defalt dedline"), await _asked(rt, tenant, "the default deadline")
    assert [hit.similarity for hit in wrong.hits] == [hit.similarity for hit in right.hits]
    assert [hit.bm25 for hit in wrong.hits] == [hit.bm25 for hit in right.hits]


async def test_a_compound_is_searched_by_its_parts(rt: Runtime) -> None:
    tenant = await _stored(rt, GERMAN)
    found = await _asked(rt, tenant, "Wie lang ist die Kündigungsfrist?")
    assert list(found.searched_for) == [Correction("Kündigungsfrist", ("kündigung", "frist"))]
    assert found.text == "Wie lang ist die Kündigungsfrist kündigung frist?"


async def test_a_question_in_another_language_is_not_taken_for_misspelt(rt: Runtime) -> None:
    tenant = await _stored(rt, "The first directions were audited by a compensator.")
    for question in ("Wie lang ist die Frist?", "Depuis quand l'auditer est le directeur ?"):
        assert not (await _asked(rt, tenant, question)).searched_for
    assert (await _asked(rt, tenant, "how long is the frist")).searched_for


async def test_a_word_goes_with_the_last_document_that_holds_it(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await _stored(rt, GENERICS, "Monomorphization again.")
    documents = sorted({hit.document_id for hit in (await _asked(rt, tenant, "monomorphization")).hits})
    await deletion.remove(rt.for_tenant(tenant), documents[0])
    assert (await _asked(rt, tenant, "monomorphizaton")).searched_for
    await deletion.remove(rt.for_tenant(tenant), documents[1])
    async with rt.transaction() as session:
        assert await session.scalar(select(func.count()).where(VocabularyWord.tenant_id == tenant)) == 0


async def test_two_that_are_deleted_at_once_leave_no_word(committing_rt: Runtime) -> None:
    """Each sees the words of the other until that has ended."""
    rt = committing_rt
    tenant = await _stored(rt, GENERICS, f"{GENERICS} And more.")
    async with rt.transaction() as session:
        documents = sorted((await session.scalars(select(Chunk.document_id).where(Chunk.tenant_id == tenant))).all())
    async with rt.transaction() as second:
        await second.execute(delete(Chunk).where(Chunk.document_id == documents[-1]))
        async with rt.transaction() as first:
            await first.execute(delete(Chunk).where(Chunk.document_id == documents[0]))
    async with rt.transaction() as session:
        assert await session.scalar(select(func.count()).where(VocabularyWord.tenant_id == tenant)) == 0
        assert await session.scalar(select(func.count()).select_from(VocabularyRemoval)) == 0


async def test_a_version_that_replaces_another_takes_its_words(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, "The cistern rusts.", external_id="e")
    await driving.ready(rt, tenant, "The siren rusts.", external_id="e")
    async with rt.transaction() as session:
        words = set(await session.scalars(select(VocabularyWord.word).where(VocabularyWord.tenant_id == tenant)))
        assert {"siren", "rusts"} <= words
        assert "cistern" not in words


async def test_words_stay_when_their_documents_are_stemmed_in_another_language(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    document_id = await driving.ready(rt, tenant, "Die Bohrungen sind tief.", external_id="e")
    async with rt.for_tenant(tenant).transaction() as session:
        await collections.change(session, rt.for_tenant(tenant), "default", {"language": "dutch"})
    await driving.ready(rt, tenant, "Die Bohrungen sind sehr tief.", external_id="e")
    assert {each.language for each in await driving.chunks_of(rt, document_id)} == {"dutch"}
    assert (await _asked(rt, tenant, "Bohrungne", "keyword")).searched_for


async def test_words_of_another_tenant_are_not_seen(committing_rt: Runtime) -> None:
    rt = committing_rt
    ours, theirs = await _stored(rt, "A lamp."), await _stored(rt, GENERICS)
    assert (await _asked(rt, theirs, "monomorphizaton")).searched_for
    assert not (await _asked(rt, ours, "monomorphizaton")).searched_for
    async with rt.for_tenant(ours).transaction() as session:
        assert set(await session.scalars(select(VocabularyWord.tenant_id))) == {ours}
        assert set(await session.scalars(text("SELECT tenant_id FROM vocabulary_of_tenant"))) == {ours}
        for privilege in ("UPDATE", "DELETE"):
            may = text("SELECT has_table_privilege('vocabulary', :privilege)")
            assert not await session.scalar(may, {"privilege": privilege})


async def test_what_is_known_already_is_not_written_again(rt: Runtime) -> None:
    tenant = await _stored(rt, GENERICS, GENERICS + " Again.", GENERICS)
    async with rt.transaction() as session:
        words = (await session.scalars(select(VocabularyWord.word).where(VocabularyWord.tenant_id == tenant))).all()
        assert len(words) == len(set(words)) > 5


async def test_chunks_that_go_by_any_path_take_their_words(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await _stored(rt, GENERICS)
    await rt.execute(delete(Chunk).where(Chunk.tenant_id == tenant))
    async with rt.transaction() as session:
        assert await session.scalar(select(func.count()).where(VocabularyWord.tenant_id == tenant)) == 0


def test_suspects_are_words_of_no_dictionary() -> None:
    asked = "How do I bake teh sourdough in 2019 with KB-42 and a worktree, whats knativ"
    assert spelling.suspects(asked) == ["teh", "sourdough", "worktree", "whats", "knativ"]
