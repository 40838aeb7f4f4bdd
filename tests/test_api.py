"""The public API: what it shows of itself, what it takes, and the sentence for the rest."""

from __future__ import annotations

import pydoc
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest

import wsc
from wsc.errors import CompileError
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import FabricError, find_fabric
from wsc.models import builders
from wsc.runtime.errors import InputError

MODEL = builders.mlp((4, 6, 3), batch="n")


def test_the_package_shows_its_api() -> None:
    assert {"Program", "compile", "load"} <= set(dir(wsc))
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
    fabrics: list[Any] = ["2x2", (2, 2), [2, np.int64(2)], find_fabric("2x2")]
    models: list[Any] = [file, str(file), file.read_bytes(), MODEL, onnx_ir.from_proto(MODEL)]
    sizes: Any = {"n": np.int32(5)}
    pairs = [(model, "2x2") for model in models] + [(MODEL, fabric) for fabric in fabrics]
    texts = {wsc.compile(*pair, sizes).text.split("\n", 4)[-1] for pair in pairs}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": None}, "a model is the path of a file, its bytes, or an object"),
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
    for wrong in (3, "x", [1.0]):
        with pytest.raises(InputError, match=r"run\(\{'x': array\}\)"):
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
