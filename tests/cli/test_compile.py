"""``wsc compile``: files, summary, and the IR after each pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.helpers import done, dumped, files, mlp, refused, text_file, wsc
from wsc.cli.compile import pass_names
from wsc.ir.task_text import parse_placed
from wsc.ir.text import parse_graph

PASSES = [
    "import",
    "simplify",
    "tokens",
    "heads",
    "blocks",
    "between",
    "place",
    "memory",
    "emit",
    "sections",
    "route",
]


def test_passes() -> None:
    assert pass_names() == PASSES
    assert pass_names(True) == [*PASSES[:7], "steps", *PASSES[7:]]


def test_files_and_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlp(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = done(wsc("compile", "mlp.onnx", "--fabric", "4x4"))
    assert files(tmp_path) == ["mlp.onnx", "mlp.wsa", "mlp.wsa.safetensors"]
    assert not result.stdout
    assert "4x4 tiles of wse2\n" in result.stderr
    for name in PASSES:
        assert f"{name} " in result.stderr
    assert "bytes a tile" in result.stderr
    assert "mlp.wsa.safetensors" in result.stderr


def test_the_fabric_that_was_chosen_is_said(tmp_path: Path) -> None:
    result = done(wsc("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa"))
    assert "4x4 tiles of wse2, chosen for the model" in result.stderr


def test_dimensions_are_bound(tmp_path: Path) -> None:
    out = tmp_path / "a.wsa"
    done(wsc("compile", mlp(tmp_path, "batch"), "-o", out, "--fabric", "4x4", "--dim", "batch=8"))
    assert "f32[8, 16]" in out.read_text()


def test_ir_after_one_pass_is_text_that_parses(tmp_path: Path) -> None:
    common = ("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa", "--fabric", "4x4")
    text = done(wsc(*common, "--print-ir-after", "simplify")).stdout
    assert parse_graph(text).outputs[0].name == "logits"
    text = done(wsc(*common, "--print-ir-after", "place")).stdout
    assert parse_placed(text).tasks


def test_ir_after_all_passes(tmp_path: Path) -> None:
    common = ("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa", "--fabric", "4x4")
    text = done(wsc(*common, "--print-ir-after", "all")).stdout
    places = [text.index(f";; after {name}\n") for name in PASSES]
    assert places == sorted(places)
    assert text.endswith((tmp_path / "a.wsa").read_text().splitlines()[-1] + "\n")


def test_a_pass_that_does_not_exist(tmp_path: Path) -> None:
    out = tmp_path / "a.wsa"
    result = wsc("compile", mlp(tmp_path), "-o", out, "--print-ir-after", "tidy")
    refused(result, "tidy", ", ".join([*PASSES, "all"]))
    assert not out.exists()


def test_dump_has_a_numbered_file_for_each_pass(tmp_path: Path) -> None:
    folder = tmp_path / "ir"
    done(wsc("compile", mlp(tmp_path), "-o", tmp_path / "a.wsa", "--dump-ir", folder))
    names = [f"{number:02d}-{name}.txt" for number, name in enumerate(PASSES)]
    assert files(folder) == names
    assert parse_graph((folder / "00-import.txt").read_text())


def test_compiling_goes_on_from_any_pass(tmp_path: Path) -> None:
    model, out, folder = mlp(tmp_path), tmp_path / "a.wsa", tmp_path / "ir"
    options = ("compile", model, "-o", out, "-p", "f16")
    done(wsc(*options, "--fabric", "3x2", "--dump-ir", folder))
    text, weights = out.read_bytes(), (tmp_path / "a.wsa.safetensors").read_bytes()
    for number, name in enumerate(PASSES):
        dump = folder / f"{number:02d}-{name}.txt"
        # Layouts are for one mesh, which need not be given again; graphs are for any.
        mesh = ("--fabric", "3x2") if number < PASSES.index("place") else ()
        later = tmp_path / f"after-{name}"
        done(wsc(*options, *mesh, "--from", dump, "--dump-ir", later))
        assert out.read_bytes() == text, name
        assert (tmp_path / "a.wsa.safetensors").read_bytes() == weights
        # The passes before it were left out, and the files of the others have their numbers.
        assert files(later) == sorted({"00-import.txt", *files(folder)[number + 1 :]})


def test_compiling_goes_on_with_what_stays(tmp_path: Path) -> None:
    model, out, folder = mlp(tmp_path), tmp_path / "a.wsa", tmp_path / "ir"
    options = ("compile", model, "-o", out, "--fabric", "3x2", "--steps", 3, "--weights")
    done(wsc(*options, "resident", "--dump-ir", folder))
    text = out.read_bytes()
    for name in ("place", "steps", "memory", "emit"):
        done(wsc(*options, "resident", "--from", dumped(folder, name)))
        assert out.read_bytes() == text, name
    steps = dumped(folder, "steps")
    assert "steps 3 times tasks" in steps.read_text()
    other = wsc(*options[:-3], "--from", steps)
    refused(other, "there is no pass 'steps'")


def test_what_compiling_does_not_go_on_from(tmp_path: Path) -> None:
    model, folder, out = mlp(tmp_path), tmp_path / "ir", tmp_path / "b.wsa"
    options = ("compile", model, "-o", out)
    done(wsc(*options, "--fabric", "2x2", "--dump-ir", folder))
    out.unlink()
    place, graph = dumped(folder, "place"), dumped(folder, "simplify")
    placed = place.read_text()

    def says(text: str, *reasons: str, more: tuple[str, ...] = ()) -> None:
        dump = text_file(tmp_path / "dump.txt", text)
        refused(wsc(*options, "--from", dump, *more), "dump.txt", *reasons)
        assert not out.exists()

    says(placed.split("\n", 1)[1], "does not begin with ';; after PASS'")
    says(placed.replace("after place", "after plaice"), "no pass 'plaice'", "place, memory")
    says(placed.replace("after place", "after emit"), "gives a program", "this is a placed program")
    says(placed, "is for 2x2 tiles", "has 3x2", more=("--fabric", "3x2"))
    says(placed, "is not one of the model, or has another type", more=("-p", "f16"))
    says(graph.read_text(), "is not one of the model", more=("-p", "f16"))
    says(placed.replace("read value", "write value", 1), "dump.txt:", "written as 'read value")
    # What nobody wrote is not there to be read, and no buffer is longer than it says.
    says(placed.replace("task load", ";; task load", 1), "below the 'task'")
    first = placed.index("task load")
    says(placed[:first] + placed[placed.index("task", first + 1) :], "before anything is written")
    says(re.sub(r"(buffer v_x : f32 size) \d+", r"\1 4", placed), "beyond its 4 bytes")
    memory = dumped(folder, "memory").read_text()
    says(re.sub(r" at \d+", " at 0", memory), "overlap")
    route = dumped(folder, "route").read_text()
    says(route, "not those that the program was compiled for", more=("--set", "ramp.latency=9"))
    refused(wsc(*options, "--from", tmp_path / "none.txt"), "none.txt: cannot be read")
    refused(wsc(*options[:3], place, "--from", place), place.name)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = mlp(tmp_path)
    for name in ("a.wsa", "b.wsa"):
        done(wsc("compile", model, "-o", tmp_path / name, "--fabric", "4x4"))
    assert (tmp_path / "a.wsa").read_text().replace('"a.wsa.', '"b.wsa.') == (
        tmp_path / "b.wsa"
    ).read_text()


def test_forms_are_explained_and_asked_for(tmp_path: Path) -> None:
    model, out = mlp(tmp_path), tmp_path / "a.wsa"
    options = ("compile", model, "-o", out, "--fabric", "2x3", "--explain", "fc0")
    text = done(wsc(*options)).stdout
    # The product comes first; the sum with the bias behind it is of this node too.
    assert "map(%fc0.product, %fc0.bias)" in text
    product = text.split("\n\n")[0]
    rows = [line for line in product.splitlines() if " local " in line or " reduce " in line]
    assert "contract(%x, %fc0.weight)" in product
    assert sum(row.endswith("taken") for row in rows) == 1
    usual = out.read_text()
    other = next(row for row in rows if not row.endswith("taken")).split("   ")[0]
    text = done(wsc(*options, "--form", f"fc0={other.replace(' ', ',')}")).stdout
    (taken,) = [line for line in text.split("\n\n")[0].splitlines() if "taken" in line]
    assert taken.startswith(f"{other} ")
    assert taken.endswith("taken: asked for")
    assert out.read_text() != usual


def test_forms_that_are_not_there(tmp_path: Path) -> None:
    model, out = mlp(tmp_path), tmp_path / "a.wsa"
    options = ("compile", model, "-o", out, "--fabric", "2x3")
    refused(wsc(*options, "--explain", "fc3"), "no form belongs to a node 'fc3'; did you mean")
    refused(wsc(*options, "--form", "fc0"), "--form fc0: wants NODE=FORM")
    refused(wsc(*options, "--form", "fc0=local", "--form", "fc0=x=k"), "'fc0' is given twice")
    assert not out.exists()
    done(wsc(*options, "--dump-ir", tmp_path / "ir"))
    out.unlink()
    memory = dumped(tmp_path / "ir", "memory")
    later = (*options, "--from", memory)
    refused(wsc(*later, "--form", "fc0=local"), f"{memory.name}: has the forms of nodes in it")
    refused(wsc(*later, "--explain", "fc0"), "goes on behind")
    assert not out.exists()
