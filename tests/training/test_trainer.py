"""A trainer: what a step does, checkpoints, ONNX, and what is refused."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import wsc
from tests.training.deadly import MARK, dies_once
from tests.training.networks import NETWORKS, Batch, Builder, resnet, weights_of
from wsc.api import compile_step
from wsc.errors import CompileError
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.program import Transfer
from wsc.runtime.errors import ExecutionFault, InputError, LoadError, RuntimeFault
from wsc.steps.trainer import KEPT, LAST_SCALE, State, Trainer, require_step


def small(bias: bool = True) -> onnx.ModelProto:
    """Three features to four classes."""
    b = Builder(1)
    b.weight("w", 4, 3, size=0.5)
    b.weight("b", 4)
    b.node("Gemm", "logits", "x", "w", *(["b"] if bias else []), transB=1)
    return b.model("small", {"x": (TensorProto.FLOAT, ["batch", 3])})


def batch(count: int = 6, seed: int = 0) -> Batch:
    """Samples for it."""
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(count, 3)).astype(np.float32),
        "label": rng.integers(0, 4, count),
    }


def trainer(optimizer: str = "adam:lr=0.01", **options: Any) -> Trainer:
    return wsc.train(small(), optimizer=optimizer, fabric=(2, 2), **options)


def run_steps(made: Trainer, start: int, end: int) -> list[float]:
    return [made.step(batch(seed=number)).loss for number in range(start, end)]


def final_weights(made: Trainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in made.weights.items()}


# --- what a step does -------------------------------------------------------------------


def test_the_loss_is_that_of_the_model_and_becomes_smaller() -> None:
    made = trainer("sgd:lr=0.5")
    weights = {item.name: numpy_helper.to_array(item) for item in small().graph.initializer}
    data = batch()
    logits = data["x"] @ weights["w"].T + weights["b"]
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    losses = [made.step(data).loss for _ in range(3)]
    np.testing.assert_allclose(losses[0], -logs[np.arange(6), data["label"]].mean(), 1e-6)
    assert losses == sorted(losses, reverse=True)


def test_samples_may_be_shared_out_to_several_runs() -> None:
    whole, parts = trainer("sgd:lr=0.1"), trainer("sgd:lr=0.1", over=3)
    assert whole.step(batch()).loss == pytest.approx(parts.step(batch()).loss, rel=1e-6)
    for name, array in whole.weights.items():
        np.testing.assert_allclose(array, parts.weights[name], 1e-5, 1e-7)


def test_gradients_are_clipped_by_the_norm_of_all_of_them() -> None:
    made = trainer("sgd:lr=1.0", clip=0.01)
    made.prepare(batch())
    before = made.weights
    result = made.step(batch())
    moved = np.sqrt(sum(np.square(made.weights[n] - before[n]).sum() for n in before))
    assert result.norm is not None
    assert result.norm > 0.01
    np.testing.assert_allclose(moved, 0.01, 1e-3)


def test_a_schedule_multiplies_the_rate_and_its_last_number_stays() -> None:
    made = trainer("sgd:lr=0.5", schedule=(1.0, 0.5, 0.0))
    rates = [made.step(batch()).rate for _ in range(4)]
    assert rates == [0.5, 0.25, 0.0, 0.0]


def test_groups_have_numbers_of_their_own() -> None:
    made = trainer("adamw:lr=0.1,weight_decay=0.5", groups=["b:lr=0.0,weight_decay=0"])
    made.prepare(batch())
    before = made.weights
    made.step(batch())
    assert (made.weights["b"] == before["b"]).all()
    assert (made.weights["w"] != before["w"]).all()


def test_what_is_not_trainable_stays_a_constant() -> None:
    made = trainer("sgd", trainable=["b"])
    made.step(batch())
    assert list(made.weights) == ["b"]


def test_all_engines_give_the_same_weights() -> None:
    found = {}
    for engine in ("values", "both"):
        made = trainer("adam:lr=0.01", engine=engine)
        results = [made.step(batch(seed=number)) for number in range(2)]
        assert (results[0].cycles is None) == (engine == "values")
        found[engine] = made.weights
    for name, array in found["values"].items():
        assert array.tobytes() == found["both"][name].tobytes()


def test_running_statistics_are_kept_by_the_store() -> None:
    made = wsc.train(resnet(), optimizer="sgd", fabric=(8, 8))
    data = next(NETWORKS["resnet"]().batches())
    made.step(data)
    weights = {item.name: numpy_helper.to_array(item) for item in resnet().graph.initializer}
    x = np.pad(data["image"][:, 0], ((0, 0), (1, 1), (1, 1)))
    kernel = weights["conv0.weight"][:, 0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2]
    y = np.einsum("nhwij,oij->nohw", windows, kernel)
    np.testing.assert_allclose(made.weights["bn0.mean"], 0.1 * y.mean((0, 2, 3)), 1e-4, 1e-6)
    np.testing.assert_allclose(made.weights["bn0.var"], 0.9 + 0.1 * y.var((0, 2, 3)), 1e-4)


# --- what is dropped --------------------------------------------------------------------


def dropping(ratio: float) -> onnx.ModelProto:
    """1,200 numbers that are dropped, times one weight each."""
    b = Builder(1)
    b.initializers.append(numpy_helper.from_array(np.ones(300, np.float32), "w"))
    b.constant("ratio", ratio, np.float32)
    b.node("Mul", "logits", b.node("Dropout", "drop", "x", "ratio"), "w")
    return b.model("dropping", {"x": (TensorProto.FLOAT, ["batch", 300])})


def kept_by(fabric: tuple[int, int], seed: int | None = None, steps: int = 1) -> np.ndarray:
    """Which elements of a step have a part in the gradient: its rows are the steps."""
    made = wsc.train(dropping(0.25), "mse", "sgd:lr=1.0", fabric=fabric)
    data = {"x": np.ones((1, 300), np.float32), "label": np.zeros((1, 300), np.float32)}
    made.prepare(data)
    made.state.seed = seed
    rows = []
    for _ in range(steps):
        before = made.weights["w"]
        made.step(data)
        rows.append(made.weights["w"] != before)
    return np.array(rows)


def test_what_is_dropped_is_drawn_anew_and_is_the_same_on_every_fabric() -> None:
    drawn = kept_by((2, 2), steps=4)
    assert (drawn == kept_by((1, 3), steps=4)).all()
    assert abs(drawn.mean() - 0.75) < 0.04
    # Steps differ, and neighbours have nothing to do with each other.
    for one, other in ((drawn[0], drawn[1]), (drawn[0][1:], drawn[0][:-1])):
        assert abs((one == other).mean() - 0.625) < 0.1
    assert (drawn[0] != kept_by((2, 2), seed=3)[0]).any()


def test_what_is_kept_is_larger() -> None:
    made = wsc.train(dropping(0.25), "mse", "sgd:lr=0.0", fabric=(2, 2))
    data = {"x": np.ones((4, 300), np.float32), "label": np.zeros((4, 300), np.float32)}
    loss = made.step(data).loss
    kept = loss / (4 / 3) ** 2
    assert abs(kept * 1200 - round(kept * 1200)) < 1e-2
    assert abs(kept - 0.75) < 0.05
    nothing = wsc.train(dropping(0.0), "mse", "sgd:lr=0.0", fabric=(2, 2))
    assert nothing.step(data).loss == 1.0


def test_a_ratio_that_drops_all_is_refused() -> None:
    with pytest.raises(CompileError, match=r"a ratio of 1\.0"):
        wsc.train(dropping(1.0), "mse", fabric=(2, 2)).step(
            {"x": np.ones((1, 300), np.float32), "label": np.zeros((1, 300), np.float32)}
        )


# --- halves -----------------------------------------------------------------------------


def test_a_step_whose_gradients_overflow_is_done_again_with_half_the_scale() -> None:
    results, weights = [], []
    for scale in (2.0**30, 2.0**10):
        made = trainer("adam:lr=0.1", precision="f16")
        made.prepare(batch())
        made.state.scale = scale
        results.append(made.step(batch()))
        weights.append(made.weights)
        assert made.state.step == 1
    again, once = results
    assert made.state.scale == 2.0**10
    assert (once.again, made.state.good) == (0, 1)
    assert 6 < again.again < 20
    assert again.loss == once.loss
    # Nothing is left out: the weights are those of a run whose scale was right from the start.
    for name, array in weights[0].items():
        np.testing.assert_allclose(array, weights[1][name], rtol=1e-3)


# --- checkpoints ------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"precision": "f16"}, {"over": 2, "clip": 0.1}])
def test_a_run_that_goes_on_equals_an_unbroken_one(tmp_path: Path, options: dict[str, Any]) -> None:
    unbroken, broken = trainer(**options), trainer(**options)
    losses = run_steps(unbroken, 0, 6)
    run_steps(broken, 0, 3)
    broken.save(tmp_path / "three")
    run_steps(broken, 3, 5)  # what is lost when the process is killed
    again = trainer(**options)
    again.prepare(batch())
    again.resume(tmp_path / "three")
    assert run_steps(again, 3, 6) == losses[3:]
    for made, name in ((unbroken, "a"), (again, "b")):
        made.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_checkpoint_waits_for_the_first_batch(tmp_path: Path) -> None:
    unbroken = trainer()
    losses = run_steps(unbroken, 0, 4)
    broken = trainer()
    run_steps(broken, 0, 2)
    broken.save(tmp_path / "two")
    # The model does not say how many samples a step has, and a model for one may take six.
    fixed = small()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for model in (small(), fixed):
        again = wsc.train(model, optimizer="adam:lr=0.01", fabric=(2, 2))
        again.resume(tmp_path / "two")
        assert again.state.step == 2
        assert run_steps(again, 2, 4) == losses[2:]
        assert final_weights(again) == final_weights(unbroken)
    other = trainer("sgd")
    other.resume(tmp_path / "two")
    for _ in range(2):  # and does so each time
        with pytest.raises(CompileError, match=r"another model or optimizer: it has 'b\.mean'"):
            other.step(batch())
    with pytest.raises(CompileError, match=r"axis 0 .batch.: .*; or prepare\(batch\) first"):
        trainer().save(tmp_path / "none")


@pytest.mark.parametrize(("before", "after"), [("f16", "f32"), ("f32", "f16")])
def test_a_run_may_go_on_in_another_precision(tmp_path: Path, before: str, after: str) -> None:
    made = trainer("sgd:lr=0.5", precision=before)
    made.step(batch())
    made.save(tmp_path / "one")
    again, plain = (trainer("sgd:lr=0.5", precision=name) for name in (after, "f32"))
    for other in (again, plain):
        other.prepare(batch())
        other.resume(tmp_path / "one")
        other.step(batch(seed=1))
    assert again.state.scale == (65536.0 if after == "f16" else 1.0)
    for name, array in made.weights.items():
        assert np.abs(plain.weights[name] - array).max() > 1e-3  # gradients have their size
        np.testing.assert_allclose(again.weights[name], plain.weights[name], 1e-2, 1e-3)


def test_the_state_is_kept_whole() -> None:
    for state in (State(), State(7, 2.0**-3, 4, 2**63 - 1), State(1, 65536.0, 0, 0)):
        assert State.of(state.as_array()) == state


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("sgd", "another model or optimizer: it has '[bw].mean'"),
        ("momentum", "another model or optimizer: it has no 'w.velocity'"),
    ],
)
def test_a_checkpoint_of_another_optimizer_is_refused(
    tmp_path: Path, other: str, message: str
) -> None:
    made = trainer()
    made.step(batch())
    made.save(tmp_path / "c")
    again = trainer(other)
    again.prepare(batch())
    with pytest.raises(CompileError, match=message):
        again.resume(tmp_path / "c")


def test_no_checkpoint_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    made = trainer("sgd")
    made.prepare(batch())
    (tmp_path / "c").write_bytes(b"no")
    with pytest.raises(CompileError, match="no sound checkpoint"):
        made.resume(tmp_path / "c")
    save_file(made.weights, tmp_path / "c")
    with pytest.raises(CompileError, match="no checkpoint of training"):
        made.resume(tmp_path / "c")
    state = {KEPT: State().as_array(), "w": np.zeros((3, 4), np.float32), "b": made.weights["b"]}
    save_file(state, tmp_path / "c")
    with pytest.raises(CompileError, match=r"'w' is float32\[3, 4\], not float32\[4, 3\]"):
        made.resume(tmp_path / "c")
    for wrong in ([-1, 0, 0, -1], [1, 200, 0, -1], [1, -25, 0, -1], [1, 0, -2, -1], [1, 0, 0, -2]):
        save_file({**made.weights, KEPT: np.array(wrong)}, tmp_path / "c")
        with pytest.raises(CompileError, match="no sound checkpoint: its state is"):
            made.resume(tmp_path / "c")


# --- ONNX -------------------------------------------------------------------------------


def test_the_trained_model_is_onnx_again() -> None:
    made = trainer("sgd:lr=0.5")
    for _ in range(3):
        made.step(batch())
    session = onnxruntime.InferenceSession(made.onnx().SerializeToString())
    logits = np.asarray(session.run(None, {"x": batch()["x"]})[0])
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    wanted = -logs[np.arange(6), batch()["label"]].mean()
    np.testing.assert_allclose(made.step(batch()).loss, wanted, 1e-5)


def test_a_model_for_one_sample_takes_a_batch() -> None:
    network = NETWORKS["cnn"]()
    assert network.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    made = wsc.train(network.model, optimizer="sgd", fabric=(8, 8))
    data = {name: array[:3] for name, array in next(network.batches()).items()}
    assert made.step(data).loss > 0


# --- the text ---------------------------------------------------------------------------


def test_an_optimizer_that_is_missing_from_the_text_is_noticed() -> None:
    made = trainer("sgd")
    made.prepare(batch())
    assert made.program is not None
    assembly = made.program.assembly
    require_step(assembly)
    for update in assembly.updates:  # whichever it is
        less = assembly.with_(updates=tuple(u for u in assembly.updates if u is not update))
        with pytest.raises(CompileError, match=f"output '{update.gradient}' .* into no update"):
            require_step(less)
    # A trainer that is given such a program does not begin.
    made.program.assembly = assembly.with_(updates=())
    again = replace(made, _image=None)
    with pytest.raises(CompileError, match=r"output 'w\.grad' of the step goes into no update"):
        again.step(batch())


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("name", ["w.grad", "b.grad", "loss"])
def test_a_drain_that_is_off_by_one_is_noticed(name: str, by: int) -> None:
    program = compile_step(small(), fabric=(2, 2), batch=4)
    right = program.run(batch(4), engine="values").outputs
    transfers = program.assembly.transfers
    drains = [t for t in transfers if isinstance(t, Transfer) and t.tensor == name]
    assert drains
    # All of them, and each by itself.
    for moved in (drains, *([one] for one in drains)):
        shifted = tuple(
            replace(item, offset=item.offset + by)
            if isinstance(item, Transfer) and item in moved
            else item
            for item in transfers
        )
        program.assembly = program.assembly.with_(transfers=shifted)
        # Beyond the ends of the tensor it is refused; else a gradient is in another's place.
        try:
            wrong = program.run(batch(4), engine="values").outputs
        except (AssemblyError, LoadError, RuntimeFault):
            continue
        assert (wrong[name] != right[name]).any()


def test_a_program_that_was_saved_says_what_its_store_does(tmp_path: Path) -> None:
    program = compile_step(small(), fabric=(2, 2), batch=4, clip=1.0, over=2)
    program.save(tmp_path / "step.wsa")
    loaded = wsc.load(tmp_path / "step.wsa")
    assert loaded.assembly.updates == program.assembly.updates
    assert (loaded.assembly.clip, loaded.assembly.over) == (1.0, 2)
    result = loaded.run(batch(4), engine="values")
    assert set(result.outputs) == {"loss", "w.grad", "b.grad"}


# --- names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        {"w": "my weight/ü"},
        {"w": "loss"},
        {"b": "w.grad"},
        {"b": "w.mean"},
        {"x": "w.mean"},
        {"logits": "loss"},
        {"logits": "w.grad"},
    ],
)
def test_names_that_others_have_too_do_no_harm(names: dict[str, str]) -> None:
    model = small()
    for group in (model.graph.node[0].input, model.graph.node[0].output):
        group[:] = [names.get(name, name) for name in group]
    named = (*model.graph.initializer, *model.graph.input, *model.graph.output)
    for item in named:
        item.name = names.get(item.name, item.name)
    plain, other = trainer(), wsc.train(model, optimizer="adam:lr=0.01", fabric=(2, 2))
    data = {names.get(name, name): array for name, array in batch().items()}
    assert [plain.step(batch()).loss for _ in range(2)] == [other.step(data).loss for _ in range(2)]
    for name, array in plain.weights.items():
        assert (other.weights[names.get(name, name)] == array).all()


def test_a_weight_may_be_an_output_too() -> None:
    model = small()
    model.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    losses = [trainer().step(batch()).loss]
    assert losses == [wsc.train(model, fabric=(2, 2)).step(batch()).loss]


# --- refusals ---------------------------------------------------------------------------


def refused(message: str, **options: Any) -> None:
    def tried() -> None:
        given: dict[str, Any] = {"model": small(), "fabric": (2, 2), **options}
        wsc.train(**given).step(batch())

    with pytest.raises(CompileError, match=message):
        tried()


def test_options_that_there_are_not_are_refused() -> None:
    refused("loss 'hinge': there are cross_entropy, mse, output", loss="hinge")
    refused("smoothing is from 0 to below 1", loss="cross_entropy:smoothing=1.5")
    refused("'margin=1' is none of output=, ignored=", loss="cross_entropy:margin=1")
    refused("no output 'y'", loss="mse:output=y")
    refused("one float, not \\[6, 4\\]", loss="output")
    refused("optimizer 'lion': there are sgd, momentum, adam, adamw", optimizer="lion")
    refused("'heat=1' is none of rate=, decay=", optimizer="sgd:heat=1")
    refused("rate is from 0 to below 1e.30, not -1", optimizer="sgd:lr=-1")
    refused("rate is a number, not 'fast'", optimizer="sgd:lr=fast")
    refused("rate is given twice", optimizer="sgd:lr=1,rate=2")
    refused("ignored is given twice", loss="cross_entropy:ignored=1,ignored=1")
    refused("a label of 32 bits, not 4294967296", loss="cross_entropy:ignored=4294967296")
    refused("ignored is an integer, not '0.5'", loss="cross_entropy:ignored=0.5")
    refused("group 'v.': no weight that is trained has .*there are: w, b", groups=["v*:lr=1"])
    refused("'w': a group before it has all", groups=["*:lr=1", "w:lr=2"])
    refused("group 'lr=1': is of the form PATTERN:NUMBERS", groups=["lr=1"])
    refused("group 'w:': is of the form PATTERN:NUMBERS", groups=["w:"])
    refused("clip is a norm", clip=-1.0)
    refused("over is a number of runs from 1 on, or auto, not 0", over=0)
    refused("numbers of 0 or more", schedule=(-1.0,))
    refused("no initializer of floats has such a name \\(there are: w, b\\)", trainable=["v*"])


def test_arguments_of_another_kind_are_refused_before_a_step() -> None:
    tried: list[tuple[dict[str, Any], str]] = [
        ({"loss": None}, "loss is text, as in 'cross_entropy', not NoneType"),
        ({"optimizer": 3}, "optimizer is text, as in 'adamw:lr=3e-4', not int"),
        ({"trainable": "w"}, r"trainable is a list of texts, as in \['\*.weight'\], not 'w'"),
        ({"trainable": [3]}, "each item of trainable is text"),
        ({"groups": "w:lr=1"}, "groups is a list of texts"),
        ({"schedule": 0.5}, "schedule is a list of numbers, not 0.5"),
        ({"schedule": ["a"]}, "each item of schedule is a number, not 'a'"),
        ({"clip": "x"}, "clip is a number, not 'x'"),
        ({"over": 1.5}, "over is a number of runs from 1 on, or auto, not 1.5"),
        ({"wafers": 0}, "wafers is a number from 1 on, not 0"),
        ({"batch": 0}, "batch is a number from 1 on, not 0"),
        ({"engine": "time"}, "engine 'time': training runs with values, both, reference"),
        ({"code": "none"}, "code 'none' is not known: resident, sections, auto"),
    ]
    for options, message in tried:
        with pytest.raises(CompileError, match=message):
            trainer(**options)
    assert trainer(over=np.int64(2)).over == 2


def test_a_size_that_the_samples_give_may_be_given_too() -> None:
    assert trainer(dims={"batch": 6}).step(batch()).loss == trainer().step(batch()).loss
    refused("dims={'batch': 5}: the samples have 6", dims={"batch": 5})
    refused("dims: 'other': the model has no such dimension", dims={"other": 5})


def test_a_loss_of_whole_numbers_is_refused_with_the_outputs_that_have_one() -> None:
    model = small()
    model.graph.node.append(helper.make_node("ArgMax", ["logits"], ["best"], "best", axis=1))
    model.graph.output.insert(0, helper.make_empty_tensor_value_info("best"))
    refused("output 'best' is i32, and a loss is of floats: .* there are: logits", model=model)
    made = wsc.train(model, "cross_entropy:output=logits", fabric=(2, 2))
    assert made.step(batch()).loss == trainer().step(batch()).loss


def test_a_model_without_weights_is_refused() -> None:
    node = helper.make_node("Relu", ["x"], ["logits"], "relu")
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [6, 3]) for n in ("x", "logits")]
    graph = helper.make_graph([node], "none", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    refused("no trainable weight: no initializer of floats", model=model)


def test_values_that_go_through_their_bits_are_refused_where_they_reach_the_loss() -> None:
    b = Builder(1)
    b.weight("w", 3, 4)
    b.constant("k", [4], np.int64)
    top = b.node("TopK", "top", b.node("MatMul", "product", "x", "w"), "k", outputs=2)
    b.node("Add", "logits", top, "product")  # w has another way to the loss as well
    model = b.model("top", {"x": (TensorProto.FLOAT, ["batch", 3])})
    model.opset_import[0].version = 10  # there is no GatherElements to take its values with
    refused("no derivative of node 'top' .instruction 'from_bits'", model=model)


@pytest.mark.parametrize(
    ("shape", "axis", "count", "largest", "fabric"),
    [((6, 5), -1, 2, 1, "3x1"), ((4, 7, 2), 1, 3, 0, "1x3")],
)
def test_a_derivative_goes_to_what_a_selection_took(
    shape: tuple[int, ...], axis: int, count: int, largest: int, fabric: str
) -> None:
    b = Builder(1)
    b.weight("w", shape[-1], around=1.0)
    b.constant("k", [count], np.int64)
    product = b.node("Mul", "product", "x", "w")
    b.node("TopK", "logits", product, "k", outputs=2, axis=axis, largest=largest)
    model = b.model("top", {"x": (TensorProto.FLOAT, list(shape))})
    w, rng = weights_of(model)["w"], np.random.default_rng(2)
    x = rng.normal(size=shape).astype(np.float32)
    taken = np.argsort(-x * w if largest else x * w, axis).take(range(count), axis)
    top = np.take_along_axis(x * w, taken, axis)
    label = rng.normal(size=top.shape).astype(np.float32)
    slopes = np.zeros_like(x)
    np.put_along_axis(slopes, taken, 2 * (top - label) / top.size, axis)
    wanted = (slopes * x).reshape(-1, shape[-1]).sum(0)
    made = wsc.train(model, loss="mse", optimizer="sgd:lr=1", fabric=fabric)
    made.step({"x": x, "label": label})
    np.testing.assert_allclose(w - made.weights["w"], wanted, 1e-4, 1e-6)


def test_a_weight_that_decides_nothing_is_left_out_unless_it_was_named() -> None:
    made = wsc.train(small(bias=False), fabric=(2, 2))
    made.step(batch())
    assert list(made.weights) == ["w"]
    assert made.program is not None
    assert made.program.notes == ("the loss does not change with b: not trained",)
    named = "the loss does not change with b: name other weights"
    refused(named, model=small(bias=False), trainable=["*"])


def test_labels_have_the_type_of_the_output_at_any_precision() -> None:
    data = {**batch(), "label": np.ones((6, 4), np.float32)}
    losses = [
        wsc.train(small(), "mse", fabric=(2, 2), precision=kind).step(data).loss
        for kind in ("f32", "f16")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-2)


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_stop_the_run_before_an_update(precision: str, value: float) -> None:
    made = trainer(precision=precision)
    made.step(batch())
    before = final_weights(made)
    data = batch()
    data["x"][0, 0] = value
    with pytest.raises(RuntimeFault, match="step 2: the loss is nan, and nothing was updated"):
        made.step(data)
    assert (final_weights(made), made.state.step) == (before, 1)


def test_a_weight_that_overflows_stops_the_run_before_an_update() -> None:
    made = trainer("momentum:lr=9e29,momentum=0.999")
    made.schedule = (1e10,)
    made.prepare(batch())
    before = final_weights(made)
    with pytest.raises(RuntimeFault, match="step 1: weight 'w' becomes larger than f32 can say"):
        made.step(batch())
    assert final_weights(made) == before


def test_gradients_that_overflow_at_any_scale_stop_the_run() -> None:
    b = Builder(1)
    b.weight("z", 3, size=0.0)  # where the root has no slope
    b.node("Add", "logits", "x", b.node("Sqrt", "root", "z"))
    model = b.model("root", {"x": (TensorProto.FLOAT, ["batch", 3])})
    data = {**batch(), "label": np.arange(6) % 3}
    for precision in ("f32", "f16"):
        made = wsc.train(model, fabric=(2, 2), precision=precision)
        made.prepare(data)
        made.state.scale = 4 * LAST_SCALE
        with pytest.raises(RuntimeFault, match=r"step .: output 'z\.grad' is not finite"):
            made.step(data)


def test_an_old_batch_normalization_is_refused() -> None:
    model = resnet()
    model.opset_import[0].version = 13
    model.graph.node[-1].op_type = "Gemm"
    with pytest.raises(CompileError, match="trains from opset 14 on, and the model has 13"):
        wsc.train(model, fabric=(8, 8)).step(next(NETWORKS["resnet"]().batches()))


@pytest.mark.parametrize("op", ["Dropout", "BatchNormalization"])
def test_a_node_of_a_loop_that_would_not_do_what_it_does_in_training_is_refused(op: str) -> None:
    values = {name: helper.make_empty_tensor_value_info(name) for name in ("n", "go", "x", "on")}
    more = ["gain", "shift", "mean", "spread"] if op == "BatchNormalization" else []
    nodes = [
        helper.make_node("Identity", ["go"], ["on"], "same"),
        helper.make_node(op, ["x", *more], ["y"], "inner"),
    ]
    last = helper.make_empty_tensor_value_info("y")
    body = helper.make_graph(
        nodes, "body", [values[name] for name in ("n", "go", "x")], [values["on"], last]
    )
    b = Builder(1)
    b.weight("w", 4, 3)
    for name in more:
        b.weight(name, 4, around=1.0)
    b.constant("turns", 2, np.int64)
    b.constant("yes", True, np.bool_)
    b.node("Gemm", "z", "x", "w", transB=1)
    b.node("Loop", "logits", "turns", "yes", "z", body=body)
    model = b.model("loop", {"x": (TensorProto.FLOAT, ["batch", 3])})
    refused(f"node 'inner': {op} in the graph of another node", model=model)


def test_a_model_may_be_made_for_the_samples_of_a_run() -> None:
    def model(samples: int) -> onnx.ModelProto:
        made = small()
        made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = samples
        return made

    with pytest.raises(CompileError, match="for a number of samples: give batch; or prepare"):
        _ = wsc.train(model, fabric=(2, 2)).weights
    whole, parts = (wsc.train(model, fabric=(2, 2), over=over) for over in (1, 3))
    assert whole.step(batch()).loss == pytest.approx(parts.step(batch()).loss, rel=1e-6)
    dims = [item.onnx().graph.input[0].type.tensor_type.shape.dim[0] for item in (whole, parts)]
    assert [dim.dim_value for dim in dims] == [6, 2]


def test_batches_that_do_not_fit_are_refused() -> None:
    made = trainer()
    with pytest.raises(InputError, match="differ in their number of samples: 'x' 6, 'label' 5"):
        made.step({**batch(), "label": batch(5)["label"]})
    with pytest.raises(InputError, match="a batch is of the form"):
        made.step({})
    with pytest.raises(InputError, match="6 samples cannot be shared out to 4 runs"):
        trainer(over=4).step(batch())
    made.step(batch())
    with pytest.raises(InputError, match="input 'label' is missing"):
        made.step({"x": batch()["x"]})
    with pytest.raises(InputError, match=r"shape \[6, 3\] wanted, got \[5, 3\]"):
        made.step(batch(5))


@pytest.mark.parametrize("label", [4, -1, 1 << 40])
def test_a_label_that_names_no_class_is_refused_and_stops_a_run(label: int) -> None:
    made, over = trainer(), trainer(over=2)
    data = {**batch(), "label": np.array([0, 1, 2, 3, label, 0])}
    reason = (
        rf"'label': {label} at \[4\] .* is none of the 4 classes, 0 to 3; .* is -100, and can be"
    )
    for one in (made, over):
        with pytest.raises(InputError, match=f"{reason} another .*ignored={label}'"):
            one.step(data)
        assert one.state.step == 0
    assert made.program is not None
    if label != 1 << 40:  # without a trainer to ask, the run itself stops
        with pytest.raises(ExecutionFault, match=rf": {label} is outside \[0, 4\)"):
            made.program.run(data, engine="values")
    # Nothing was updated, and the next step goes on.
    data["label"][4] = -100
    made.step(data)


def test_the_label_that_is_left_out_may_be_one_that_names_a_class() -> None:
    data = {**batch(), "label": np.array([0, 1, 2, 3, -1, 0])}
    with pytest.raises(InputError, match="100 at"):
        trainer(loss="cross_entropy:ignored=-1").step({**data, "label": data["label"] * 100})
    losses = [trainer(loss="cross_entropy:ignored=-1").step(data).loss]
    losses.append(trainer().step({**data, "label": np.array([0, 1, 2, 3, -100, 0])}).loss)
    assert losses[0] == losses[1]


def mean_of_all(weights: Batch, data: Batch) -> tuple[float, Batch]:
    """The mean loss over all labels that count, and its gradients, in float64."""
    w, b = (weights[name].astype(np.float64) for name in "wb")
    counts = data["label"] != -100
    x, label = data["x"][counts].astype(np.float64), data["label"][counts]
    logits = x @ w.T + b
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    grad = (np.exp(logs) - np.eye(4)[label]) / max(len(label), 1)
    loss = -logs[np.arange(len(label)), label].sum() / max(len(label), 1)
    return float(loss), {"w": grad.T @ x, "b": grad.sum(0)}


@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_runs_of_a_step_count_as_their_labels_do(precision: str) -> None:
    near = 1e-6 if precision == "f32" else 2e-3
    made = [trainer("sgd:lr=1.0", over=over, precision=precision) for over in (1, 4)]
    # None, most of a run, all of a run and one of another, all of them.
    for ignored in ([], [1, 2], [0, 1, 2, 7], list(range(12))):
        data = batch(12)
        data["label"][ignored] = -100
        for one in made:
            one.prepare(data)
            before = one.weights
            loss, gradients = mean_of_all(before, data)
            assert one.step(data).loss == pytest.approx(loss, rel=near, abs=near)
            for name, gradient in gradients.items():
                moved = before[name] - one.weights[name]
                np.testing.assert_allclose(moved, gradient, near, near, err_msg=name)


def test_labels_of_several_places_are_told_by_all_of_them() -> None:
    b = Builder(1)
    b.weight("w", 3, 4)
    b.node("MatMul", "logits", "x", "w")
    made = wsc.train(
        b.model("text", {"x": (TensorProto.FLOAT, ["batch", 5, 3])}), fabric=(2, 2), over=2
    )
    data = {"x": np.ones((4, 5, 3), np.float32), "label": np.ones((4, 5), np.int64)}
    data["label"][3, 2] = 4
    with pytest.raises(InputError, match=r"4 at \[3, 2\] .* none of the 4 classes"):
        made.step(data)


def test_batches_are_the_same_each_time() -> None:
    first, second = (list(islice(NETWORKS["mlp"]().batches(), 2)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert all((one[name] == other[name]).all() for name in one)


# --- several wafers ---------------------------------------------------------------------


def test_weights_are_the_same_on_several_wafers_also_if_workers_die() -> None:
    from joblib import Parallel, delayed

    one, several = trainer(over=4), trainer(over=4, wafers=2)
    for number in range(2):
        data = batch(8, number)
        assert several.step(data).loss == one.step(data).loss
        for worker in {*Parallel(n_jobs=2)([delayed(os.getpid)()] * 8)} if number == 0 else ():
            os.kill(cast(int, worker), signal.SIGKILL)
    assert final_weights(one) == final_weights(several)
    assert several.program is not None
    several.program.labels = None  # as of a program that was loaded: only the run sees them
    with pytest.raises(RuntimeFault, match="9 is outside"):
        several.step({**batch(8), "label": np.array([0, 1, 2, 3, 0, 1, 2, 9])})


def test_four_processes_give_the_same_weights() -> None:
    one, several = trainer(over=4), trainer(over=4, wafers=4)
    for number in range(2):
        data = batch(8, number)
        # Runs with two labels that count, one, and none.
        data["label"][[1, 4, 5]] = -100
        assert several.step(data).loss == one.step(data).loss
    assert final_weights(one) == final_weights(several)


def test_four_workers_of_a_dask_cluster_give_the_same_weights() -> None:
    from distributed import LocalCluster

    one = trainer(over=4)
    made: Any = LocalCluster(
        n_workers=4, threads_per_worker=1, processes=False, dashboard_address=":0"
    )
    with made as cluster:
        several = trainer(over=4, wafers=4, cluster=cluster.scheduler_address)
        for number in range(2):
            assert several.step(batch(8, number)).loss == one.step(batch(8, number)).loss
    assert final_weights(one) == final_weights(several)


def test_a_dask_cluster_that_loses_its_worker_in_a_step_gives_the_same_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask gives up at once here, and the weights are lost with it: the step is done again."""
    import dask.config
    from distributed import LocalCluster

    monkeypatch.setattr("wsc.steps.wafers.run_on_wafer", dies_once)
    one = trainer(over=4)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        made: Any = LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        )
    with made as cluster:
        several = trainer(over=4, wafers=4, cluster=cluster.scheduler_address)
        assert several.step(batch(8)).loss == one.step(batch(8)).loss
        assert several._folder is not None
        assert (Path(several._folder.name) / MARK).exists()
    assert final_weights(one) == final_weights(several)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), "the cluster at tcp://a has no worker any more"),
        (
            ModuleNotFoundError("no wsc"),
            "of tcp://a cannot run the step: ModuleNotFound.*wsc",
        ),
        (OSError("gone"), "the workers of 2 wafers ended 3 times before their runs did"),
    ],
)
def test_what_becomes_of_a_cluster_is_said(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """error: what waiting for a task raises, or the task did."""

    class Cluster:
        """A client, and each of its tasks."""

        def scatter(self, items: list[Any], **_: Any) -> list[Any]:
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise error
            return items

        def submit(self, *_: Any, **__: Any) -> Cluster:
            return self

        def exception(self, timeout: int) -> Exception:
            if isinstance(error, TimeoutError):
                raise error
            return error

        def nthreads(self) -> dict[str, int]:
            return {}

        def close(self) -> None:
            pass

    monkeypatch.setattr("wsc.steps.wafers.connect", lambda address: Cluster())
    with pytest.raises(RuntimeFault, match=message):
        trainer(over=2, wafers=2, cluster="tcp://a").step(batch())


def test_wafers_that_cannot_be_are_refused() -> None:
    refused("a step .* are 4, and cannot be shared out to 3 wafers", over=4, wafers=3)
