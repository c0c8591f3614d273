"""The layers of a BERT in onnxruntime, in float32: the same numbers to rounding, in half of torch's time on an AMD processor.

The graph is written here and not traced: per layer one attention, two sums with their norm, and two products, each an operator that onnxruntime has
for BERTs (``com.microsoft``). The embeddings stay in torch, they cost nothing. It needs the packages onnx and onnxruntime, of the extra ``onnx``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DOMAIN = "com.microsoft"
OPSET, IR_VERSION = 17, 8
"""old enough for every onnxruntime that runs on the Pythons of this project"""


def is_faster_here() -> bool:
    """Whether to take it unasked: on an AMD processor.

    torch multiplies by MKL, which is slow there (BERT-base on one core, a report: 182 ms against 70 to 85) and not on Intel's own (74 against 100).
    """
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


class OnnxEncoder:
    """Word pieces to vectors, as ``network.Encoder``; on the CPU."""

    def __init__(self, bert: Any) -> None:
        """``bert`` is transformers' BertModel; its embeddings are kept, its layers copied."""
        import onnxruntime

        self._embeddings = bert.embeddings
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph(bert), options, providers=["CPUExecutionProvider"])

    def __call__(self, pieces: Tensor, lengths: Tensor) -> Tensor:
        """(M, T) numbers, filled up on the right, and (M,) pieces of each row -> (M, T, D)."""
        embedded = self._embeddings(input_ids=pieces).contiguous().numpy()
        mask = (torch.arange(pieces.shape[1]) < lengths[:, None]).int().numpy()
        return torch.from_numpy(self._session.run(None, {"embedded": embedded, "mask": mask})[0])


def graph(bert: Any) -> bytes:
    """The layers as a serialised ONNX model: embedded (M, T, D) and mask (M, T) int32, 1 where there is a piece -> vectors (M, T, D)."""
    from onnx import TensorProto, helper, numpy_helper

    config = bert.config
    if config.hidden_act != "gelu":
        raise ValueError(f"the activation is {config.hidden_act}, and only gelu is translated")
    nodes, weights = [], []

    def weight(name: str, value: Tensor) -> str:
        weights.append(numpy_helper.from_array(value.detach().cpu().float().contiguous().numpy(), name))
        return name

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], domain="" if operator == "MatMul" else DOMAIN, **attributes))
        return output

    def norm_of_sum(x: str, y: str, dense: Any, norm: Any, name: str) -> str:
        scale = [weight(f"{name}.norm", norm.weight), weight(f"{name}.norm_bias", norm.bias), weight(f"{name}.bias", dense.bias)]
        return add("SkipLayerNormalization", [y, x, *scale], f"{name}.sum", epsilon=float(config.layer_norm_eps))

    x = "embedded"
    for number, layer in enumerate(bert.encoder.layer):
        at, own = f"layer{number}", layer.attention.self
        together = [torch.cat([getattr(one, part).T if part == "weight" else one.bias for one in (own.query, own.key, own.value)], dim=-1)
                    for part in ("weight", "bias")]  # fmt: skip
        seen = add(
            "Attention",
            [x, weight(f"{at}.qkv", together[0]), weight(f"{at}.qkv_bias", together[1]), "mask"],
            f"{at}.seen",
            num_heads=config.num_attention_heads,
        )
        out = layer.attention.output
        projected = add("MatMul", [seen, weight(f"{at}.projection", out.dense.weight.T)], f"{at}.projected")
        x = norm_of_sum(x, projected, out.dense, out.LayerNorm, f"{at}.attention")
        inner, outer = layer.intermediate.dense, layer.output.dense
        hidden = add("MatMul", [x, weight(f"{at}.inner", inner.weight.T)], f"{at}.hidden")
        active = add("BiasGelu", [hidden, weight(f"{at}.inner_bias", inner.bias)], f"{at}.active")
        back = add("MatMul", [active, weight(f"{at}.outer", outer.weight.T)], f"{at}.back")
        x = norm_of_sum(x, back, outer, layer.output.LayerNorm, f"{at}.layer")
    shape = ["rows", "pieces", config.hidden_size]
    made = helper.make_graph(
        nodes,
        "bert",
        [
            helper.make_tensor_value_info("embedded", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("mask", TensorProto.INT32, shape[:2]),
        ],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    serialised: bytes = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    return serialised
