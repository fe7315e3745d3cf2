"""The encoder of BERT (Devlin and others, 2018) as an ONNX graph without its weights.

Both local models are of this kind. Needs the `onnx` package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper

from footnote.providers.local import DIMENSIONS

HEADS = 12
HEAD = DIMENSIONS // HEADS
EPSILON = 1e-12  # of the layer normalisations
MASKED = -1e9  # added to the attention score of padding: far below any score, and finite in float32
OPSET, IR_VERSION = 20, 9  # the first with Gelu; onnxruntime reads both since 1.17


@dataclass(frozen=True)
class Weight:
    """A tensor that is stored outside of the graph: where, as ONNX says it. `name`: in the graph, if another one."""

    shape: Sequence[int]
    place: Mapping[str, str]
    name: str = ""


class Graph:
    """Nodes and weights in the order they were added. Activations are flat, of shape (tokens, DIMENSIONS)."""

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._weights = weights
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
        weight = self._weights[name]
        proto = onnx.TensorProto(name=weight.name or name, data_type=TensorProto.FLOAT, dims=weight.shape)
        proto.data_location = TensorProto.EXTERNAL
        for key, value in weight.place.items():
            proto.external_data.add(key=key, value=value)
        self.initializers.append(proto)
        return proto.name

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


def share_shapes(graph: Graph, tokens: str) -> None:
    """Shapes and the score bias that every layer shares; `tokens` is an input of shape (batch, sequence)."""
    shape = graph.node("Shape", [tokens], "shape")
    graph.node("Concat", [shape, graph.constant("heads", [HEADS, HEAD])], "heads_shape", axis=0)
    graph.node("Concat", [shape, graph.constant("hidden", [DIMENSIONS])], "hidden_shape", axis=0)
    graph.constant("flat_shape", [-1, DIMENSIONS])
    graph.constant("scale", HEAD**-0.5)

    padding = graph.node("Sub", [graph.constant("unmasked", 1.0), "attention_mask"], "padding")
    bias = graph.node("Mul", [padding, graph.constant("masked", MASKED)], "padding_bias")
    graph.node("Unsqueeze", [bias, graph.constant("score_axes", [1, 2])], "score_bias")
    graph.constant("first", [0])
    graph.node("Shape", [tokens], "length", start=1)


def placed(graph: Graph, words: str) -> str:
    """The words' vectors with those of their positions and of the segment, normalised and flat."""
    table = graph.weight("embeddings.position_embeddings.weight")
    positions = graph.node("Slice", [table, "first", "length"], "positions")
    table = graph.weight("embeddings.token_type_embeddings.weight")
    segment = graph.node("Gather", [table, "first"], "segment")
    with_places = graph.node("Add", [words, positions], "placed_words")
    summed = graph.node("Add", [with_places, segment], "embedded_words")
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


def serialised(graph: Graph, value: str, layers: int, name: str, tokens: onnx.ValueInfoProto, sha256: str) -> bytes:
    """The model from `value` on, the embedded tokens: `embeddings`, float32 of shape (batch, DIMENSIONS), of length 1.

    `tokens` is its input beside `attention_mask`, float32 of shape (batch, sequence); `sha256` is that of the weights.
    """
    for layer in range(layers):
        value = encoder_layer(graph, value, f"encoder.layer.{layer}")
    pool(graph, value)
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.FLOAT, ["batch", "sequence"])
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", DIMENSIONS])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, [tokens, mask], outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="footnote",
    )
    helper.set_model_props(model, {"weights_sha256": sha256})
    found: bytes = model.SerializeToString(deterministic=True)
    return found
