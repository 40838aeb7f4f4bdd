"""What PyTorch makes of the same networks: ``python -m tests.training.pytorch`` records it.

    pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
    python -m tests.training.pytorch            # writes curves.npz beside this file
    python -m tests.training.pytorch --compare  # trains all of them with wsc, and compares
    python -m tests.training.pytorch --compare --halves  # in f16; names of networks may follow

The record holds the loss of every step, and the final weights. The networks are written in
PyTorch's functions here, by hand: nothing of ours is between its arithmetic and ours.

NAME/halves are the losses of PyTorch's own mixed precision (autocast to f16, f32 weights, scaled
losses; nothing overflows). One batch says little there: its loss may be near 0. So in halves the
mean over the last SAMPLES is compared, which are all there are of the digits.

The bias of a GPT's keys changes no output: a softmax does not see what is added to all of its
scores. Its gradient is rounding noise, of which Adam makes steps of full size. So ``noise`` leaves
these elements out where weights are compared. ACCURACY/NAME: how many of the digits are right then.
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

from tests.training.networks import HEADS, LAYERS, NETWORKS, WIDTH, Batch, weights_of

RECORD = Path(__file__).with_name("curves.npz")
STEPS = 200
SAMPLES = 8  # steps at the end over which the loss in halves is taken: once all digits
SCALE = 65536.0  # of the loss in halves


def right(name: str, weights: dict[str, np.ndarray]) -> int:
    """How many of the digits a network gets right, by PyTorch's arithmetic; -1 of a text."""
    import torch  # pyright: ignore[reportMissingImports]

    if name == "gpt":
        return -1
    found = 0
    values = {key: torch.tensor(array) for key, array in weights.items()}
    for batch in islice(NETWORKS[name]().batches(), SAMPLES):
        logits = forward(name, values, batch, {key: v.clone() for key, v in values.items()})
        found += int((logits.argmax(1).numpy() == batch["label"]).sum())
    return found


def noise(network: str, weight: str) -> slice | None:
    """The elements of a weight whose gradient is noise: of the keys in the bias of q, k and v."""
    if network == "gpt" and weight.endswith(".qkv.bias"):
        return slice(WIDTH, 2 * WIDTH)
    return None


def forward(name: str, w: dict, batch: Batch, kept: dict):  # type: ignore[no-untyped-def,type-arg]
    """The logits. kept: running statistics, which change."""
    import torch  # pyright: ignore[reportMissingImports]
    import torch.nn.functional as f  # pyright: ignore[reportMissingImports]

    data = {key: torch.tensor(value) for key, value in batch.items()}
    if name == "mlp":
        x = data["image"].flatten(1)
        for layer in range(3):
            x = f.linear(x, w[f"fc{layer}.weight"], w[f"fc{layer}.bias"])
            x = f.relu(x) if layer < 2 else x
        return x
    if name == "cnn":
        x = f.relu(f.conv2d(data["image"], w["conv0.weight"], w["conv0.bias"], padding=1))
        x = f.max_pool2d(x, 2)
        x = f.relu(f.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
        return f.linear(x.flatten(1), w["fc0.weight"], w["fc0.bias"])
    if name == "resnet":

        def block(number: int, x, stride: int):  # type: ignore[no-untyped-def]
            x = f.conv2d(x, w[f"conv{number}.weight"], stride=stride, padding=1)
            mean, var = kept[f"bn{number}.mean"], kept[f"bn{number}.var"]
            scale, bias = w[f"bn{number}.scale"], w[f"bn{number}.bias"]
            # ONNX keeps the variance of the batch as it is; PyTorch would take n / (n - 1) of it.
            flat = x.detach().transpose(0, 1).flatten(1)
            mean.mul_(0.9).add_(0.1 * flat.mean(1))
            var.mul_(0.9).add_(0.1 * flat.var(1, unbiased=False))
            return f.batch_norm(x, None, None, scale, bias, training=True)

        x = f.relu(block(0, data["image"], 2))
        x = f.relu(block(2, f.relu(block(1, x, 1)), 1) + x)
        return f.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])
    if name == "lstm":
        x = data["rows"]
        h = c = torch.zeros(x.shape[1], w["lstm.r"].shape[2])
        first, second = w["lstm.b"][0].chunk(2)
        for row in x:
            gates = f.linear(row, w["lstm.w"][0], first) + f.linear(h, w["lstm.r"][0], second)
            i, o, g, m = gates.chunk(4, 1)
            c = torch.sigmoid(g) * c + torch.sigmoid(i) * torch.tanh(m)
            h = torch.sigmoid(o) * torch.tanh(c)
        return f.linear(h, w["fc.weight"], w["fc.bias"])
    x = w["wte"][data["tokens"]] + w["wpe"]
    count, tokens = data["tokens"].shape
    for layer in range(LAYERS):

        def linear(part: str, x, n: str = f"h{layer}."):  # type: ignore[no-untyped-def]
            return x @ w[f"{n}{part}.weight"] + w[f"{n}{part}.bias"]

        def normal(part: str, x, n: str = f"h{layer}."):  # type: ignore[no-untyped-def]
            return f.layer_norm(x, (WIDTH,), w[f"{n}{part}.scale"], w[f"{n}{part}.bias"], 1e-5)

        y = linear("qkv", normal("ln1", x)).view(count, tokens, 3, HEADS, WIDTH // HEADS)
        q, k, v = y.permute(2, 0, 3, 1, 4)
        y = f.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear("out", y.transpose(1, 2).reshape(count, tokens, WIDTH))
        x = x + linear("down", f.gelu(linear("up", normal("ln2", x))))
    return f.layer_norm(x, (WIDTH,), w["ln.scale"], w["ln.bias"], 1e-5) @ w["wte"].T


def optimizer(text: str, weights):  # type: ignore[no-untyped-def]
    """PyTorch's optimizer of the same name."""
    import torch  # pyright: ignore[reportMissingImports]

    name, _, rest = text.partition(":")
    numbers = {key: float(value) for key, value in (item.split("=") for item in rest.split(","))}
    return {
        "sgd": torch.optim.SGD,
        "momentum": lambda w, **n: torch.optim.SGD(w, momentum=0.9, **n),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }[name](weights, **numbers)


def train(name: str, steps: int, halves: bool = False) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The loss of each step, and the final weights and statistics. halves: mixed precision."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)  # these networks are small: threads would wait for each other
    network = NETWORKS[name]()
    start = {key: torch.tensor(value) for key, value in weights_of(network.model).items()}
    kept = {key: start.pop(key) for key in list(start) if key.endswith((".mean", ".var"))}
    for weight in start.values():
        weight.requires_grad_()
    step = optimizer(network.optimizer, list(start.values()))
    losses = []
    for batch in islice(network.batches(), steps):
        with torch.autocast("cpu", torch.float16, enabled=halves):
            logits = forward(name, start, batch, kept).float()
        classes = logits.shape[-1]
        labels = torch.tensor(batch["label"]).reshape(-1)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, classes), labels)
        step.zero_grad()
        (loss * (SCALE if halves else 1.0)).backward()
        if halves:
            for weight in start.values():
                weight.grad.div_(SCALE)
                assert torch.isfinite(weight.grad).all()
        step.step()
        losses.append(loss.item())
    final = {key: value.detach().numpy() for key, value in {**start, **kept}.items()}
    return np.array(losses), final


def record() -> None:
    """Write the record."""
    found: dict[str, np.ndarray] = {}
    for name in NETWORKS:
        losses, final = train(name, STEPS)
        found[name] = losses
        found[f"ACCURACY/{name}"] = np.array(right(name, final))
        found[f"{name}/halves"] = train(name, STEPS, halves=True)[0]
        # Of each weight its norm and one projection: a file of all of them would be large.
        found |= {f"{name}/{key}": summary(name, key, value) for key, value in final.items()}
        print(f"{name}: {losses[0]:.4f} -> {losses[-1]:.4f}")
    np.savez_compressed(RECORD, **found)  # pyright: ignore[reportArgumentType]


def summary(network: str, name: str, array: np.ndarray) -> np.ndarray:
    """Up to 64 elements spread over a weight, and its norm, without those that have noise."""
    flat = array.reshape(-1).astype(np.float64)
    without = noise(network, name)
    if without is not None:
        flat = np.delete(flat, np.r_[without])
    places = np.linspace(0, flat.size - 1, min(flat.size, 64)).astype(int)
    return np.array([np.sqrt(np.square(flat).sum()), *flat[places]])


def compare_halves(names: list[str]) -> None:
    """Train with wsc in f16, and say how far the last losses are from the record in f32."""
    import wsc

    known = np.load(RECORD)

    def far(losses: np.ndarray, name: str) -> str:
        last, mean = (losses[-n:].mean() / known[name][-n:].mean() - 1 for n in (1, SAMPLES))
        return f"{mean:+.2%} over the last {SAMPLES} steps ({last:+.2%} in the last)"

    for name in names or NETWORKS:
        network = NETWORKS[name]()
        trainer = wsc.train(network.model, network.loss, network.optimizer, precision="f16")
        steps = [trainer.step(batch) for batch in islice(network.batches(), STEPS)]
        losses = np.array([step.loss for step in steps])
        again = sum(step.again for step in steps)
        print(
            f"{name}: {far(losses, name)}, {again} steps done again; "
            f"PyTorch's f16 {far(known[f'{name}/halves'], name)}"
        )


def compare(names: list[str]) -> None:
    """Train with wsc, and say how far it is from the record."""
    import onnxruntime

    import wsc

    known = np.load(RECORD)
    for name in names or NETWORKS:
        network = NETWORKS[name]()
        trainer = wsc.train(network.model, network.loss, network.optimizer)
        worst, seconds = 0.0, []
        for number, batch in enumerate(islice(network.batches(), STEPS)):
            started = time.perf_counter()
            got = trainer.step(batch)
            seconds.append(time.perf_counter() - started)
            worst = max(worst, abs(got.loss - known[name][number]) / known[name][number])
        far = max(
            np.abs(summary(name, key, value) - known[f"{name}/{key}"]).max()
            / np.abs(known[f"{name}/{key}"][1:]).max()
            for key, value in trainer.weights.items()
        )
        # By ONNX Runtime, from the file that a user gets.
        trained = trainer.onnx()
        for value in trained.graph.input:
            first = value.type.tensor_type.shape.dim[0]
            if first.dim_value == 1:  # a network for one image
                first.dim_param = "batch"
        session = onnxruntime.InferenceSession(trained.SerializeToString())
        digits = 0
        for batch in islice(network.batches(), SAMPLES):
            label = batch.pop("label")
            logits = np.asarray(session.run(None, dict(batch))[0])
            digits += int((logits.argmax(-1) == label).sum())
        told = "" if name == "gpt" else f"{digits} digits right ({known[f'ACCURACY/{name}']}), "
        print(
            f"{name}: {told}loss within {worst:.1e}, final weights within {far:.1e}, "
            f"{np.median(seconds):.3f} s a step"
        )


if __name__ == "__main__":
    if "--compare" in sys.argv[1:]:
        chosen = [arg for arg in sys.argv[1:] if not arg.startswith("-")]
        (compare_halves if "--halves" in sys.argv[1:] else compare)(chosen)
    else:
        record()
