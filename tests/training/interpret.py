"""An ONNX graph by PyTorch's functions: gradients of large networks to hold ours against.

One function an operator, as far as the networks have them; PyTorch differentiates what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Tensor = Any  # torch.Tensor: PyTorch is no dependency of the tests
Function = Callable[..., Tensor]


def _operators() -> dict[str, Function]:
    """What each operator does: its inputs (None where one is left out), then its attributes."""
    import torch  # pyright: ignore[reportMissingImports]
    import torch.nn.functional as f  # pyright: ignore[reportMissingImports]

    def ints(x: Tensor) -> list[int]:
        return [int(n) for n in x.reshape(-1)]

    def layer_norm(x: Tensor, scale: Tensor, bias: Tensor = None, **a: Any) -> Tensor:
        shape = x.shape[a.get("axis", -1) % x.dim() :]
        return f.layer_norm(x, shape, scale, bias, a.get("epsilon", 1e-5))

    def reshape(x: Tensor, shape: Tensor, **_: Any) -> Tensor:
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(ints(shape))]
        return x.reshape(sizes)

    def sliced(
        x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor, steps: Tensor = None
    ) -> Tensor:
        strides = [1] * len(ints(axes)) if steps is None else ints(steps)
        for start, end, axis, step in zip(
            ints(starts), ints(ends), ints(axes), strides, strict=True
        ):
            index = [slice(None)] * x.dim()
            index[axis] = slice(start, end, step)
            x = x[tuple(index)]
        return x

    def split(x: Tensor, sizes: Tensor = None, **a: Any) -> Tensor:
        axis = a.get("axis", 0)
        parts = ints(sizes) if sizes is not None else x.shape[axis] // a["num_outputs"]
        return torch.split(x, parts, axis)

    def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor = None, **a: Any) -> Tensor:
        three = q.dim() == 3
        if three:
            heads = (a["q_num_heads"], a["kv_num_heads"], a["kv_num_heads"])
            q, k, v = (
                x.unflatten(-1, (n, -1)).transpose(1, 2)
                for x, n in zip((q, k, v), heads, strict=True)
            )
        y = f.scaled_dot_product_attention(
            q, k, v, mask, is_causal=bool(a.get("is_causal")), scale=a.get("scale")
        )
        return y.transpose(1, 2).flatten(2) if three else y

    def unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
        for axis in sorted(ints(axes)):
            x = x.unsqueeze(axis)
        return x

    def total(x: Tensor, axes: Tensor = None, **a: Any) -> Tensor:
        return x.sum(ints(axes), keepdim=bool(a.get("keepdims", 1)))

    kinds = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64}
    kinds |= {onnx.TensorProto.BOOL: torch.bool, onnx.TensorProto.INT32: torch.int32}
    return {
        "Add": torch.add,
        "Sub": torch.sub,
        "Mul": torch.mul,
        "Div": lambda a, b: a / b if a.is_floating_point() else a // b,
        "Erf": torch.erf,
        "Equal": torch.eq,
        "Where": torch.where,
        "MatMul": torch.matmul,
        "Identity": lambda x: x,
        "Clip": lambda x, low=None, high=None: torch.clip(x, low, high),
        "Cast": lambda x, to: x.to(kinds[to]),
        "Concat": lambda *x, axis: torch.cat(x, axis),
        "ConstantOfShape": lambda n, value: torch.full(
            ints(n), numpy_helper.to_array(value).item()
        ),
        "Expand": lambda x, n: x.expand(torch.broadcast_shapes(x.shape, ints(n))),
        "Gather": lambda x, i, axis=0: torch.index_select(x, axis, i.reshape(-1)).reshape(
            x.shape[:axis] + i.shape + x.shape[axis + 1 :]
        ),
        "Gelu": lambda x, approximate=b"none": f.gelu(x, approximate=approximate.decode()),
        "ReduceSum": total,
        "Shape": lambda x, start=0, end=None: torch.tensor(x.shape)[start:end],
        "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
        "Transpose": lambda x, perm: x.permute(perm),
        "Attention": attention,
        "LayerNormalization": layer_norm,
        "Reshape": reshape,
        "Slice": sliced,
        "Split": split,
        "Unsqueeze": unsqueeze,
    }


def forward(
    model: onnx.ModelProto, weights: Mapping[str, Tensor], feeds: Mapping[str, Tensor], output: str
) -> Tensor:
    """An output of a model, from weights that are tensors of PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]

    known = _operators()
    values: dict[str, Tensor] = {**weights, **feeds}
    for node in model.graph.node:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Constant":
            array = numpy_helper.to_array(attributes["value"])
            values[node.output[0]] = torch.tensor(np.asarray(array))
            continue
        inputs = [values[name] if name else None for name in node.input]
        found = known[node.op_type](*inputs, **attributes)
        several = found if isinstance(found, tuple) else (found,)
        values |= dict(zip(node.output, several, strict=False))
    return values[output]
