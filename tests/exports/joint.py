"""A training step that PyTorch traced, forwards, backwards and update, as one ONNX graph.

    pip install torch==2.13.0 onnxscript
    python -m tests.exports.joint

writes ``training/joint.onnx``, and beside this file ``joint.npz``: a batch, and what PyTorch makes
of the parameters in three steps. It is the recipe of docs/training.md; only that needs PyTorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

HERE = Path(__file__).parent
STEPS, RATE = 3, 0.1


def record() -> None:
    """Write the graph and the record."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]
    from torch._decomp import core_aten_decompositions  # pyright: ignore[reportMissingImports]
    from torch.func import functional_call, grad_and_value  # pyright: ignore[reportMissingImports]
    from torch.fx.experimental.proxy_tensor import make_fx  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)

    class Text(nn.Module):  # pyright: ignore[reportUntypedBaseClass]
        """Attention over a few letters, and what follows in a layer."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 8)
            self.norm = nn.LayerNorm(8)
            self.qkv = nn.Linear(8, 24)
            self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
            self.out = nn.Linear(8, 11)

        def forward(self, x):  # type: ignore[no-untyped-def]
            x = self.table(x)
            q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
            x = x + torch.softmax(q @ k.transpose(1, 2) / 8**0.5, -1) @ v
            x = x + self.down(nn.functional.gelu(self.up(x)))
            return self.out(torch.tanh(x)).mean(1)

    model = Text()
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    x, label = torch.randint(0, 11, (4, 5)), torch.randint(0, 11, (4,))

    def step(weights, x, label):  # type: ignore[no-untyped-def]
        def loss(weights):  # type: ignore[no-untyped-def]
            return nn.functional.cross_entropy(functional_call(model, weights, (x,)), label)

        gradients, value = grad_and_value(loss)(weights)
        return value, *(w - RATE * gradients[name] for name, w in weights.items())

    # Without the decompositions the loss would be right, and the new parameters would not.
    traced = make_fx(step, decomposition_table=core_aten_decompositions())(weights, x, label)
    names = list(weights)

    class Step(nn.Module):  # pyright: ignore[reportUntypedBaseClass]
        def forward(self, *inputs):  # type: ignore[no-untyped-def]
            *values, x, label = inputs
            return traced(dict(zip(names, values, strict=True)), x, label)

    news = [f"{name}.new" for name in names]
    torch.onnx.export(
        Step(),
        (*weights.values(), x, label),
        str(HERE / "training" / "joint.onnx"),
        input_names=[*names, "x", "label"],
        output_names=["loss", *news],
        dynamo=True,
        external_data=False,
    )
    proto = onnx.load(HERE / "training" / "joint.onnx")
    as_step(proto, {name: value.numpy() for name, value in weights.items()})
    for item in (*proto.graph.node, *proto.graph.value_info):
        del item.metadata_props[:]  # where in PyTorch's sources it comes from
    onnx.save(proto, HERE / "training" / "joint.onnx")
    found = {"x": x.numpy(), "label": label.numpy()}
    optimizer, losses = torch.optim.SGD(model.parameters(), RATE), []
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(model(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found |= {name: value.detach().numpy() for name, value in model.named_parameters()}
    np.savez_compressed(HERE / "joint.npz", losses=np.array(losses), **found)


def as_step(model: onnx.ModelProto, weights: dict[str, np.ndarray]) -> None:
    """Make initializers of the weights among the inputs of a graph, and bind NAME.new to NAME."""
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    info = model.training_info.add()
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        info.update_binding.add(key=name, value=f"{name}.new")


if __name__ == "__main__":
    record()
