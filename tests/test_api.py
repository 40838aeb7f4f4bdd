"""The public API: what it shows of itself, what it takes, and the sentence for the rest."""

from __future__ import annotations

import inspect
import io
import pydoc
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_overloads

import numpy as np
import onnx_ir
import pytest

import wsc
from wsc import models
from wsc.errors import CompileError
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import FabricError, find_fabric
from wsc.models import builders
from wsc.runs import RunOptions, ValuesOptions
from wsc.runtime import api
from wsc.runtime.errors import InputError
from wsc.runtime.trace import TraceRequest

MODEL = builders.mlp((4, 6, 3), batch="n")
CHECKPOINT = Path(__file__).parent / "checkpoints" / "gpt2"
MODEL_5 = builders.mlp((4, 6, 3), batch=5)


def test_the_package_shows_its_api() -> None:
    assert {"Program", "compile", "load", "run", "estimate", "check"} <= set(dir(wsc))
    assert not {"Any", "annotations", "import_module"} & set(dir(wsc))
    text = pydoc.plain(pydoc.render_doc(wsc))
    for shown in ("class Program", "compile(model", "load(path", 'wsc.compile("model.onnx"'):
        assert shown in text
    with pytest.raises(AttributeError, match="nothing"):
        _ = wsc.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_a_program_is_shown_in_a_line() -> None:
    model = builders.mlp((4, 6, 3), batch="n")
    model.graph.name = "<b>\x1b[31m" + "m" * 1000
    program = wsc.compile(model, (2, 2), {"n": 5})
    text = repr(program)
    assert text.isprintable()
    assert len(text) < 300
    for fact in ("2x2 tiles of wse2", "f32", "x float32[5, 4]", "logits float32[5, 3]"):
        assert fact in text
        assert fact in program._repr_html_()
    assert "<b>" not in program._repr_html_()


def test_models_and_fabrics_in_every_form(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(MODEL.SerializeToString())
    opened = io.BytesIO(file.read_bytes())
    exported = SimpleNamespace(model=onnx_ir.from_proto(MODEL))  # as PyTorch's exporter gives it
    fabrics: list[Any] = ["2x2", (2, 2), [2, np.int64(2)], find_fabric("2x2")]
    models: list[Any] = [file, str(file), file.read_bytes(), MODEL, onnx_ir.from_proto(MODEL)]
    models += [opened, exported, bytearray(file.read_bytes()), memoryview(file.read_bytes())]
    sizes: Any = {"n": np.int32(5)}
    pairs = [(model, "2x2") for model in models] + [(MODEL, fabric) for fabric in fabrics]
    texts = {wsc.compile(*pair, sizes).text.split("\n", 4)[-1] for pair in pairs}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": None}, "a model is the path of a file, its bytes, a file that is open for them"),
        ({"model": io.StringIO("text")}, "a model's file is opened for bytes"),
        ({"model": MODEL.graph}, "not GraphProto"),
        ({"model": b"none"}, "these bytes are no ONNX model"),
        ({"model": "a\0b"}, "NUL"),
        ({"fabric": 8}, "a fabric is a name"),
        ({"fabric": (8, "8")}, "'8' is no whole number"),
        ({"fabric": (8, 8, 8)}, "a fabric is a name"),
        ({"fabric": (0, 8)}, "does not fit"),
        ({"dims": {"n": "1"}}, r"dims\['n'\]: '1' is no whole number"),
        ({"dims": ["n"]}, "dims is of the form"),
        ({"bind": [1]}, "bind is of the form"),
        ({"bind": {"x": "abc"}}, "wants dtype float32"),
        ({"precision": 16}, "precision '16' is not known"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"model": MODEL} | arguments
    with pytest.raises((CompileError, FabricError), match=sentence) as error:
        wsc.compile(**given)
    assert "\n" not in str(error.value)


def test_inputs_by_name_or_the_only_one() -> None:
    program = wsc.compile(MODEL, (2, 2), {"n": 5})
    x = np.ones((5, 4), np.float32)
    assert program.run(x).cycles == program.run({"x": x}).cycles
    wrong: Any
    for wrong in ("x", b"x"):
        with pytest.raises(InputError, match=r"run\(\{'x': array\}\)"):
            program.run(wrong)
    for wrong in (3, [1.0]):
        with pytest.raises(InputError, match=r"input 'x': shape \[5, 4\] wanted"):
            program.run(wrong)


def test_numbers_of_the_fabric_are_changed_by_name() -> None:
    changes = {"router.buffer_depth": np.int64(8), "ramp.output_queues": [3, 3, 3, 3, 3, 3]}
    for fabric in ("2x2", find_fabric("2x2"), None):
        program = wsc.compile(MODEL, fabric, {"n": 5}, settings=changes)
        assert program.fabric.router_buffer_depth == 8
        assert program.fabric.output_queues == (3,) * 6
        assert "set router.buffer_depth = 8\n" in program.text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"router.depth": 8}, "no number 'router.depth'"),
        ({"router.buffer_depth": 0}, "2 to 1024"),
        ({"router.buffer_depth": "8"}, "'8' is no whole number"),
        (["router.buffer_depth=8"], "settings is of the form"),
    ],
)
def test_settings_that_are_refused(settings: Any, sentence: str) -> None:
    for fabric in (None, "2x2"):
        with pytest.raises((CompileError, FabricError), match=sentence):
            wsc.compile(MODEL, fabric, {"n": 5}, settings=settings)
    with pytest.raises((CompileError, FabricError), match=sentence):
        wsc.compile(MODEL, "2x2", {"n": 5}).on(settings=settings)


def test_a_program_on_another_machine(tmp_path: Path) -> None:
    program = wsc.compile(MODEL, "2x2", {"n": 5})
    x = {"x": np.ones((5, 4), np.float32)}
    assert program.on() is program.on("wse2") is program
    narrow = program.on(settings={"io.bytes_per_cycle": 4})
    wanted = wsc.compile(MODEL, "2x2", {"n": 5}, settings={"io.bytes_per_cycle": 4})
    assert narrow.fabric == wanted.fabric
    assert narrow.notes == ("was compiled for wse2, and runs on wse2, io.bytes_per_cycle = 4",)
    first, second = program.run(x), narrow.run(x)
    assert first.cycles < second.cycles
    assert np.array_equal(first.outputs["logits"], second.outputs["logits"])
    # It is saved with its machine.
    narrow.save(tmp_path / "narrow.wsa")
    assert wsc.load(tmp_path / "narrow.wsa").run(x).cycles == second.cycles
    back = wsc.load(tmp_path / "narrow.wsa").on("wse2")
    assert back.run(x).cycles == first.cycles
    assert program.on("wse3").fabric == find_fabric("wse3:2x2")


def test_machines_that_a_program_does_not_fit() -> None:
    program = wsc.compile(MODEL, "2x3", {"n": 5})
    for fabric in ("4x4", "tiny:2x2", (3, 2)):
        with pytest.raises(CompileError, match="is for 2x3 tiles, not"):
            program.on(fabric)
    with pytest.raises(FabricError, match="does not fit"):
        program.on(find_fabric("1x3"))
    with pytest.raises(AssemblyError, match="bytes"):
        program.on(settings={"sram.bytes": 64})


def test_a_description_moves_with_its_program(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    file = tmp_path / "one" / "lab.toml"
    file.write_text('base = "wse2"\nrouter.buffer_depth = { value = 8, grade = "A" }\n')
    program = wsc.compile(MODEL, f"{file}:2x2", {"n": 5})
    program.save(tmp_path / "one" / "m.wsa")
    assert 'fabric "lab.toml" 2x2' in program.text
    with pytest.raises(CompileError, match="is the input"):
        program.save(file)
    (tmp_path / "one").rename(tmp_path / "two")
    moved = wsc.load(tmp_path / "two" / "m.wsa")
    assert moved.fabric.router_buffer_depth == 8
    moved.save(tmp_path / "m.wsa")
    assert 'fabric "two/lab.toml" 2x2' in moved.text


PROGRAM = wsc.compile(MODEL, (2, 2), {"n": 5})


def test_inputs_in_every_form() -> None:
    array = np.arange(20, dtype=np.float32).reshape(5, 4)
    forms: list[Any] = [
        array,
        array.tolist(),
        [tuple(map(int, row)) for row in array],
        array.astype(np.float16),
        array.astype(np.int8),
    ]
    wanted = PROGRAM.run(array, engine="values").outputs["logits"]
    for form in forms:
        for given in (form, {"x": form}):
            found = PROGRAM.run(given, engine="values").outputs["logits"]
            assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.zeros((5, 4)), r"float32 wanted, got float64, .*: array.astype\('float32'\)"),
        (np.zeros((5, 4), np.int64), "float32 wanted, got int64, of which not all values"),
        ([[2**24 + 1] * 4] * 5, "float32 wanted, got int64, of which not all values"),
        ([[1, 2], [3]], "lists in one list are of the same length"),
        ([["a"] * 4] * 5, "dtype float32 wanted, got <U1$"),
        ([[1.0]], r"shape \[5, 4\] wanted, got \[1, 1\]"),
        ("text", "inputs are given by name"),
    ],
)
def test_inputs_that_lose_something(value: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        PROGRAM.run(value, engine="values")


def test_a_run_is_looked_at() -> None:
    inputs = PROGRAM.draw(1)
    run = PROGRAM.run({"x": inputs["x"].tolist()})
    assert isinstance(run, wsc.Run)
    values = PROGRAM.run(inputs, engine="values")
    for made in (run, values):
        assert "logits" in repr(made)
        assert "logits" in made._repr_html_()
        compared = made.compare(MODEL_5)
        assert compared
        assert [item.name for item in compared] == ["logits"]
        assert "agrees" in str(compared)
        assert "agrees" in compared._repr_html_()
    other = replace(run, outputs={"logits": run.outputs["logits"] + 1})
    assert not other.compare(MODEL_5.SerializeToString())
    assert "DIFFERS" in str(other.compare(MODEL_5))
    with pytest.raises(CompileError, match="no output 'logits'"):
        run.compare(builders.matmul(2, 2, 2))


def test_heat_maps_of_a_run() -> None:
    run = PROGRAM.run(PROGRAM.draw())
    assert np.array_equal(run.heatmap("busy").grid, run.counters.busy)
    for kind in ("busy", "stall", "links", "sram"):
        made = run.heatmap(kind)
        assert made.grid.shape == (2, 2)
        assert made._repr_html_().count("<rect") == 4
    with pytest.raises(CompileError, match="no heat map 'link'; did you mean 'links'"):
        run.heatmap("link")
    with pytest.raises(CompileError, match="no window 0"):
        run.heatmap(window=0)
    parts = PROGRAM.run(PROGRAM.draw(), windows=[(0, 40), (40, run.cycles)])
    maps = [parts.heatmap("busy", number).grid for number in range(2)]
    assert np.array_equal(sum(maps), run.counters.busy)


def test_a_program_is_looked_at() -> None:
    made = PROGRAM.estimate()
    assert 0 < sum(row.cycles for row in made.rows) <= made.cycles
    assert len(made.to_frame()) == len(made.rows)
    assert f"{made.cycles:,}" in repr(made)
    assert "energy" in made._repr_html_()
    node = PROGRAM.node("fc0")
    assert {"matmul_streamed"} <= {name for name, _, _ in node.procedures}
    lines = PROGRAM.text.splitlines()
    assert all("fc0" in lines[item.number - 1] for item in node.lines if item.number)
    assert "matmul_streamed" in repr(node)
    assert "matmul_streamed" in node._repr_html_()
    with pytest.raises(CompileError, match="no line comes from a node 'fc9'; did you mean"):
        PROGRAM.node("fc9")
    ((name, given),) = PROGRAM.inputs.items()
    assert PROGRAM.draw(0)[name].shape == given.shape
    assert PROGRAM.draw(0)[name].dtype == given.dtype
    assert repr(given) == f"{given.dtype}{list(given.shape)}"
    assert list(PROGRAM.outputs) == list(PROGRAM.run(PROGRAM.draw(0), engine="values").outputs)


def test_objects_are_shown_in_a_line() -> None:
    inputs, program = PROGRAM.draw(), wsc.compile(MODEL_5, "2x2")
    run = PROGRAM.run(inputs, trace=TraceRequest(), windows=[(0, 50)])
    causes = PROGRAM.run(inputs, causes=True)
    values = PROGRAM.run(inputs, engine="values")
    why = causes.why(tile=(0, 0))
    assert run.trace is not None
    assert run.ran is not None
    shown: tuple[Any, ...] = (
        *(PROGRAM, PROGRAM.assembly, PROGRAM.fabric, PROGRAM.session(inputs), PROGRAM.node("fc0")),
        *(PROGRAM.estimate(), PROGRAM.estimate().rows[0], program.explain("fc0")[0]),
        *(run, run.counters, run.windows[0], run.counters.colors[0], run.counters.stalls[0]),
        *(run.counters.statements[0], run.trace, run.trace.units[0], run.ran, run.heatmap("stall")),
        *(causes, causes.causes, why, why.waits[0], why.steps[0], values, values.counters),
        *(run.compare(MODEL_5), wsc.train(MODEL), wsc.check(MODEL), wsc.sweep(MODEL, fabric="2x2")),
        *(wsc.Seed(3), wsc.Checkpoint(CHECKPOINT)),
    )
    for item in shown:
        assert repr(item).startswith("<wsc."), type(item)
        assert len(repr(item)) <= 200, type(item)
        assert "<b>" not in item._repr_html_()
        assert "<t" in item._repr_html_()


def test_a_call_does_what_a_command_does(tmp_path: Path) -> None:
    path = PROGRAM.save(tmp_path / "m.wsa")
    inputs = PROGRAM.draw(1)
    wanted = PROGRAM.run(inputs)
    for what in (PROGRAM, path, str(path)):
        assert wsc.run(what, inputs).cycles == wsc.run(what, seed=1).cycles == wanted.cycles
    from_model = wsc.run(MODEL_5, inputs["x"], fabric="2x2", seed=9)
    assert np.array_equal(from_model.outputs["logits"], wanted.outputs["logits"])
    assert wsc.run(path, seed=1, engine="values").cycles is None
    narrow = {"io.bytes_per_cycle": 4}
    slow = wsc.run(path, seed=1, settings=narrow)
    assert slow.cycles == PROGRAM.on(settings=narrow).run(inputs).cycles > wanted.cycles
    with pytest.raises(InputError, match="'x'"):
        wsc.run(path)
    with pytest.raises(CompileError, match="dims: of models"):
        wsc.run(path, dims={"n": 2})

    predicted = PROGRAM.estimate().cycles
    assert wsc.estimate(PROGRAM).cycles == wsc.estimate(path).cycles == predicted
    assert wsc.estimate(MODEL_5, fabric=(2, 2)).cycles == predicted


def test_a_check_finds_everything_at_once(tmp_path: Path) -> None:
    path = PROGRAM.save(tmp_path / "m.wsa")
    for good in (PROGRAM, path, MODEL_5):
        found = wsc.check(good)
        assert found
        assert found.program is not None
        assert str(found) == "OK"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("call load() ", "call lod() ").replace("region all", "regin all"))
    broken = wsc.check(path)
    assert not broken
    assert broken.program is None
    assert all("m.wsa:" in problem for problem in broken.problems)
    open_model = builders.mlp((4, 3), batch="n")
    found = wsc.check(open_model, dims={"m": 2})
    assert [problem for problem in found.problems if "dims" in problem] == list(found.problems)
    assert len(found.problems) == 2
    for given in (open_model, open_model.SerializeToString()):
        assert wsc.check(given, dims={"n": 2}, fabric=(2, 1))
    with pytest.raises(CompileError):
        wsc.check(tmp_path / "none.onnx")


@pytest.mark.parametrize("path", [None, 3, b"p.wsa"])
def test_what_is_no_path(path: Any) -> None:
    # Without a dump, compile begins at the beginning: None is not wrong there.
    dump = cast("Any", path or 0)
    for call in (wsc.load, PROGRAM.save, lambda _: wsc.compile(MODEL_5, resume=dump)):
        with pytest.raises(CompileError, match="is given by its path, not as"):
            call(path)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: wsc.parse(cast("Any", b"wsc 1")), "parsed from its text, not from bytes"),
        (lambda: wsc.load(models.DIGITS), r"onnx: is a model, and no program yet: wsc.compile"),
        (lambda: wsc.compile(b""), "here are none: a file that was read before is at its end"),
    ],
)
def test_what_is_no_program_or_model(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(CompileError, match=sentence):
        call()


def test_the_options_of_runs_are_those_that_the_engines_take() -> None:
    """Each engine's, but for what a program says itself."""
    own = {"program", "inputs", "engine", "weights_dir", "fabric", "checkpoint"}
    values, clock = (set(inspect.signature(item).parameters) for item in get_overloads(api.run))
    assert values - own == ValuesOptions.__optional_keys__
    assert clock - own == RunOptions.__optional_keys__


def test_the_version_is_that_of_the_package() -> None:
    assert wsc.__version__ == version("wsc")
    assert "__version__" in dir(wsc)
