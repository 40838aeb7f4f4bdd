"""``wsc run``: outputs, JSON, drawn inputs, comparison."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import wsc as wsc_package
from tests.cli.helpers import TWICE, array_file, done, files, mlp, refused, saved, text_file, wsc
from wsc.cli.main import cli
from wsc.models import builders
from wsc.runtime.engine import BOTH
from wsc.runtime.kernels.library import Library


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    return text_file(tmp_path / "twice.wsa", TWICE)


def _json(*arguments: object) -> dict[str, Any]:
    return json.loads(done(wsc("run", *arguments, "--json")).stdout)


def test_outputs_are_written(twice: Path, tmp_path: Path) -> None:
    given = array_file(tmp_path / "a.npy", np.arange(8, dtype=np.float32))
    found = _json(twice, "--input", f"a={given}", "-o", tmp_path / "out")
    assert files(tmp_path / "out") == ["r.npy"]
    assert np.load(tmp_path / "out" / "r.npy").tolist() == list(range(0, 16, 2))
    file = str(tmp_path / "out" / "r.npy")
    assert found["outputs"] == [{"name": "r", "shape": [8], "dtype": "float32", "file": file}]


def test_json_has_what_scripts_need(twice: Path) -> None:
    found = _json(twice)
    assert found["cycles"] > 0
    assert found["useful_utilization"] == 0
    assert found["wall_seconds"] > 0
    assert found["engine"] == BOTH
    assert found["fabric"]["width"] == 4
    assert (found["seed"], found["drawn_inputs"]) == (0, ["a"])
    assert found["io_bytes"] == {"in": 32, "out": 32}
    assert found["energy_picojoules"]["total"] > 0
    assert [row["kernel"] for row in found["kernels"]][:2] == ["take", "double"]
    assert found["outputs"][0]["file"] is None


def test_drawn_integers_are_positions_where_they_are_checked(tmp_path: Path) -> None:
    """By a size that a procedure names, and by one that a call gives."""
    text = """
input i : i32[4] "int64"
output r : i32[4] "int64"
color in = 0
color out = 1
tensor t : i32[4] at 0 size 16
region all at 0,0 size 1x1
route in in all : N -> RAMP
route out in all : RAMP -> N
proc positions(size)
  index.i32 [t + 4*k], [t + 4*k], {size} for k:4
  index.i32 [t + 4*k], [t + 4*k], {9} for k:4
end
main all
  mov.i32 [t + 4*k], <in> for k:4
  call positions(size = 2)
  mov.i32 <out>, [t + 4*k] for k:4
end
feed in in all side N from i[k] for k:4
drain out in all side N from r[k] for k:4
"""
    path = text_file(tmp_path / "p.wsa", f'wsc 1\nfabric "wse2" 1x1\n{text}')
    for seed in range(4):
        _json(path, "--seed", seed)


def test_drawn_inputs_follow_the_seed(twice: Path, tmp_path: Path) -> None:
    arrays = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        done(wsc("run", twice, "--seed", seed, "-o", tmp_path / folder))
        arrays.append(np.load(tmp_path / folder / "r.npy"))
    assert np.array_equal(arrays[0], arrays[1])
    assert not np.array_equal(arrays[0], arrays[2])


def test_delays_change_cycles_and_no_value(twice: Path, tmp_path: Path) -> None:
    plain = _json(twice, "-o", tmp_path / "plain")["cycles"]
    late = {_json(twice, "-o", tmp_path / "late", "--delays", seed)["cycles"] for seed in (1, 2)}
    assert late != {plain}
    first, second = (np.load(tmp_path / name / "r.npy") for name in ("plain", "late"))
    assert np.array_equal(first, second)


def test_the_report_for_people(twice: Path) -> None:
    text = done(wsc("run", twice, "-v")).stdout
    for word in ("cycles", "utilization", "energy", "take", "/twice/Add", "bound by", "executed"):
        assert word in text
    assert "\x1b" not in text


def test_a_terminal_hears_that_the_engine_is_compiled(
    twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Library.prepare

    def prepare(loop: Library, compiling: Callable[[str], None] | None = None) -> Any:
        assert compiling is not None
        compiling("")
        return load(loop)

    monkeypatch.setattr(Library, "prepare", prepare)
    assert done(wsc("run", twice)).stderr == ""  # no terminal
    screen = Console(file=io.StringIO(), force_terminal=True, width=200, highlight=False)
    monkeypatch.setattr("wsc.cli.common.console", lambda stderr=False: screen)
    done(wsc("run", twice))
    assert isinstance(screen.file, io.StringIO)
    assert "compiling the engines (once, a few seconds)\n" in screen.file.getvalue()


def test_an_engine_that_cannot_be_kept_is_said(
    twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Library.prepare

    def prepare(loop: Library, compiling: Callable[[str], None] | None = None) -> Any:
        assert compiling is not None
        compiling("/folder cannot be written (Read-only file system)")
        return load(loop)

    monkeypatch.setattr(Library, "prepare", prepare)
    said = done(wsc("run", twice)).stderr
    reason = "/folder cannot be written (Read-only file system)"
    assert said == f"the engine is compiled for this run alone: {reason}\n"


def test_comparison_with_the_model(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), tmp_path / "mlp.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "4x4"))
    assert "all outputs agree" in done(wsc("run", program, "--compare", model)).stdout
    other = saved(builders.mlp((16, 32, 10), batch=4, seed=1), tmp_path / "other.onnx")
    result = done(wsc("run", program, "--compare", other), 1)
    assert "DIFFERS" in result.stdout
    assert "worst: logits" in result.stdout
    found = json.loads(done(wsc("run", program, "--compare", other, "--json"), 1).stdout)
    assert not found["agrees"]
    assert found["comparison"][0]["absolute"] > 0


def test_an_input_that_was_baked_in(tmp_path: Path) -> None:
    model = saved(builders.matmul(4, 8, 8, streamed=False), tmp_path / "m.onnx")
    values = array_file(tmp_path / "b.npy", np.eye(8, dtype=np.float32) * 3)
    program = tmp_path / "m.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "4x4", "--bind", f"b={values}"))
    refused(wsc("run", program, "--compare", model), "--bind b=FILE.npy")
    done(wsc("run", program, "--compare", model, "--bind", f"b={values}"))


def test_a_limit_of_cycles_keeps_what_was_counted(twice: Path, tmp_path: Path) -> None:
    result = done(wsc("run", twice, "--max-cycles", 9, "-o", tmp_path / "out"), 2)
    assert result.stderr == "error: the run did not end within 9 cycles\n"
    assert result.stdout.startswith("the run did not end within 9 cycles; what was counted until")
    assert re.search(r"^cycles +9 \(", result.stdout, re.M)
    assert re.search(r"^main threads +\d.*% idle$", result.stdout, re.M)
    assert "take" in result.stdout
    assert not (tmp_path / "out").exists()


def test_a_limit_of_cycles_in_json(twice: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    arguments = ("run", twice, "--max-cycles", 9, "--json", "--trace", trace)
    result = done(wsc(*arguments), 2)
    found = json.loads(result.stdout)
    assert found["stopped"] == "the run did not end within 9 cycles"
    assert found["outputs"] == []
    assert found["cycles"] == found["counters"]["cycles"] == 9
    tiles = found["tiles"]
    states = ("busy", "stalled_input", "stalled_output", "waiting", "idle")
    assert (np.sum([tiles[name] for name in states], axis=0) == 9).all()
    ends = [e["ts"] + e["dur"] for e in json.loads(trace.read_text())["traceEvents"] if "dur" in e]
    assert max(ends) <= 9


def test_a_deadlock_leaves_its_trace_and_counters(tmp_path: Path) -> None:
    program, trace = tmp_path / "stuck.wsa", tmp_path / "trace.json"
    program.write_text(TWICE.replace("main all\n", "main all\n  wait s3, 1\n"), encoding="utf-8")
    result = done(wsc("run", program, "--json", "--trace", trace), code=2)
    made = json.loads(result.stdout)
    assert made["stopped"].startswith("deadlock in cycle")
    assert made["outputs"] == []
    (stall,) = made["counters"]["stalls"]
    assert (stall["cause"], stall["semaphore"]) == ("semaphore", 3)
    assert stall["cycles"] == 8 * made["cycles"] == made["counters"]["waiting"]
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    waits = [event["args"] for event in events if event.get("cat") == "wait"]
    assert waits == [{"line": stall["line"], "semaphore": "s3"}] * len(waits)
    shown = done(wsc("run", program), code=2)
    assert "; what was counted until then:" in shown.stdout.splitlines()[0]
    assert "waits for semaphore s3: needs 1, has 0" in shown.stderr


def test_json_has_every_counter(twice: Path) -> None:
    found = _json(twice)
    assert found["stopped"] is None
    tiles, counters = found["tiles"], found["counters"]
    for name in ("busy", "stalled_input", "stalled_output", "waiting", "idle"):
        assert np.array(tiles[name]).shape == (2, 4)
        assert np.array(tiles[name]).sum() == counters[name]
    mesh = [tiles["wavelets"][side] for side in ("north", "east", "south", "west")]
    assert np.array(mesh).sum() == counters["wavelet_hops"] > 0
    assert np.array(tiles["wavelets"]["to_core"]).sum() == 16
    assert counters["sram_high_water"] == 8
    row = found["kernels"][0]
    assert row["start"] == 0
    assert row["end"] - row["start"] == row["cycles"] > 0
    assert (row["bound_by"], row["bounds"]["io"]) == ("link", 1)


def test_a_trace_of_chosen_tiles(twice: Path, tmp_path: Path) -> None:
    for name in ("t.json", "t.json.gz"):
        done(wsc("run", twice, "--trace", tmp_path / name, "--trace-tiles", "0,*; 3,1"))
    plain = (tmp_path / "t.json").read_bytes()
    assert gzip.decompress((tmp_path / "t.json.gz").read_bytes()) == plain
    events = json.loads(plain)["traceEvents"]
    named = [e["args"]["name"] for e in events if e["name"] == "process_name"]
    assert named == ["statements of main, all tiles", "tile (0, 0)", "tile (0, 1)", "tile (3, 1)"]
    double = next(e for e in events if e["name"] == "call double" and e["pid"] > 1)
    assert double["args"] == {"line": 37, "node": "/twice/Add"}
    assert files(tmp_path) == ["t.json", "t.json.gz", "twice.wsa"]


def test_a_trace_that_is_full_is_told(twice: Path, tmp_path: Path) -> None:
    arguments = (twice, "--trace", tmp_path / "t.json", "--trace-events", 20)
    assert "entries of the trace are left out" in done(wsc("run", *arguments)).stdout
    found = _json(*arguments)["trace"]
    assert found["file"] == str(tmp_path / "t.json")
    assert "are left out" in found["left_out"]


def test_a_trace_of_a_window_and_a_node(twice: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    window = ("--trace-from", 10, "--trace-cycles", 20, "--trace-tiles", "all")
    done(wsc("run", twice, "--trace", trace, *window, "--trace-arrows"))
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    times = [event["ts"] for event in events if "ts" in event]
    assert min(times) == 10
    assert max(times) < 30
    done(wsc("run", twice, "--trace", trace, "--trace-node", "/twice/Add"))
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    calls = {
        event["name"] for event in events if event.get("cat") == "statement" and event["pid"] > 1
    }
    assert calls == {"call double"}
    refused(wsc("run", twice, "--trace-from", 3), "--trace-from only serves --trace FILE")
    refused(wsc("run", twice, "--trace-arrows"), "--trace-arrows only serves --trace FILE")
    wrong = ("--trace", trace, "--trace-node", "/twice/Ad")
    refused(wsc("run", twice, *wrong), "there is '/twice/Add'")


def test_traces_that_cannot_be(twice: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    refused(wsc("run", twice, "--trace", trace, "--trace-tiles", "4,0"), "x lies in 0 to 3")
    refused(wsc("run", twice, "--trace", tmp_path / "no" / "t.json"), "there is no folder")
    refused(wsc("run", twice, "--trace-tiles", "all"), "--trace FILE")
    assert files(tmp_path) == ["twice.wsa"]


def test_races_are_told(twice: Path, tmp_path: Path) -> None:
    done(wsc("run", twice, "--check-races", "--delays", 1))
    race = TWICE.replace("  mov.f32 [at + i*4], <into>", "  async 0: mov.f32 [at + i*4], <into>")
    program = text_file(tmp_path / "race.wsa", race)
    refused(
        wsc("run", program, "--check-races", "-o", tmp_path / "out"),
        "race.wsa:27",
        "race.wsa:22",
        "SRAM byte 0 of 'buf'",
        "with no synchronisation",
    )
    done(wsc("run", program))
    assert not (tmp_path / "out").exists()
    refused(wsc("run", twice, "--check-races", "--engine", "time"), "by the reference engine")


def test_memory_that_may_not_be_taken(twice: Path) -> None:
    refused(wsc("run", twice, "--max-memory", "10K"), "10.0 KiB may be taken", "8 tiles")
    done(wsc("run", twice, "--max-memory", "1.5G"))
    result = wsc("run", twice, "--max-memory", "much")
    assert result.exit_code == 2
    assert "is no number of bytes" in result.stderr


def test_an_engine_that_does_not_exist(twice: Path) -> None:
    refused(wsc("run", twice, "--engine", "warp"), "warp", "reference")


def test_some_inputs_given_and_no_seed(tmp_path: Path) -> None:
    text = TWICE.replace('input  a : f32[8] "float32"', "input a : f32[8]\ninput b : f32[8]")
    given = array_file(tmp_path / "a.npy", np.zeros(8, np.float32))
    program = text_file(tmp_path / "t.wsa", text)
    result = done(wsc("run", program, "--input", f"a={given}"), 2)
    note, error = result.stderr.splitlines()
    assert note.startswith("note: ")
    assert note.endswith("no element of input 'b' is fed; it has no effect")
    assert error == "error: inputs are missing: --input b=FILE.npy, or --seed N to draw them"


def test_values_without_a_clock(twice: Path, tmp_path: Path) -> None:
    given = array_file(tmp_path / "a.npy", np.arange(8, dtype=np.float32))
    options = ("--input", f"a={given}", "-o", tmp_path / "out")
    found = _json(twice, *options, "--engine", "values")
    assert np.load(tmp_path / "out" / "r.npy").tolist() == list(range(0, 16, 2))
    with_clock = _json(twice, *options)
    assert set(found) == set(with_clock)
    assert set(found["counters"]) == set(with_clock["counters"])
    for name in (
        "cycles",
        "useful_utilization",
        "seconds_on_the_fabric",
        "energy_picojoules",
        "tiles",
    ):
        assert found[name] is None
    for name in ("elements", "instructions", "wavelet_hops", "io_bytes_in", "sram_high_water"):
        assert found["counters"][name] == with_clock["counters"][name]


def test_the_report_without_a_clock(twice: Path) -> None:
    text = done(wsc("run", twice, "--engine", "values")).stdout
    assert "by the values engine, which has no clock" in text
    assert "cycles" not in text


@pytest.mark.parametrize(
    "option", [("--delays", 1), ("--max-cycles", 9), ("--check-races",), ("--trace", "t.json")]
)
def test_options_that_need_a_clock(twice: Path, option: tuple[object, ...]) -> None:
    words = f"{option[0]}: the values engine has no clock"
    refused(wsc("run", twice, "--engine", "values", *option), words)


def test_time_without_values(twice: Path, tmp_path: Path) -> None:
    found, whole = _json(twice, "--engine", "time"), _json(twice)
    assert (found["engine"], whole["engine"]) == ("time", "both")
    assert (found["outputs"], found["drawn_inputs"], found["seed"]) == ([], [], None)
    for name in (
        "cycles",
        "counters",
        "tiles",
        "kernels",
        "energy_picojoules",
        "useful_utilization",
    ):
        assert found[name] == whole[name]
    assert "by the time engine" in done(wsc("run", twice, "--engine", "time")).stdout
    assert "by the engines for values and for time" in done(wsc("run", twice)).stdout
    refused(wsc("run", twice, "--engine", "time", "-o", tmp_path / "out"), "computes no outputs")


def test_time_of_a_network_whose_weights_are_not_there(tmp_path: Path) -> None:
    done(wsc("compile", mlp(tmp_path), "-o", tmp_path / "m.wsa", "--fabric", "4x4"))
    cycles = _json(tmp_path / "m.wsa")["cycles"]
    (weights,) = tmp_path.glob("*.safetensors")
    weights.unlink()
    assert _json(tmp_path / "m.wsa", "--engine", "time")["cycles"] == cycles


def test_values_are_compared(tmp_path: Path) -> None:
    model, program = mlp(tmp_path), tmp_path / "mlp.wsa"
    done(wsc("compile", model, "-o", program, "--fabric", "4x4"))
    result = wsc("run", program, "--engine", "values", "--compare", model)
    assert "all outputs agree" in done(result).stdout


@pytest.mark.parametrize("what", ["cli.run.write_arrays", "comparison.compare.compare_all"])
def test_what_fails_behind_a_run_without_a_clock_leaves_the_results(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "out")

    monkeypatch.setattr(f"wsc.{what}", fail)
    model = mlp(tmp_path)
    done(wsc("compile", model, "-o", tmp_path / "m.wsa", "--fabric", "4x4"))
    options = ("-o", tmp_path / "out", "--compare", model)
    result = wsc("run", tmp_path / "m.wsa", "--engine", "values", *options)
    assert result.exit_code == 2
    assert "by the values engine" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "No space left on device" in result.stderr


def test_files_of_a_run_without_a_clock_are_checked(twice: Path, tmp_path: Path) -> None:
    given = array_file(tmp_path / "r.npy", np.arange(8, dtype=np.float32))
    options = ("--input", f"a={given}", "-o", tmp_path, "--engine", "values")
    refused(wsc("run", twice, *options), "r.npy")
    assert np.load(given).tolist() == list(range(8))


def test_changed_weights_without_a_clock(tmp_path: Path) -> None:
    done(wsc("compile", mlp(tmp_path), "-o", tmp_path / "m.wsa", "--fabric", "4x4"))
    (weights,) = tmp_path.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    run = ("run", tmp_path / "m.wsa", "--engine", "values")
    refused(wsc(*run), weights.name)
    done(wsc(*run, "--changed-weights"))


@pytest.mark.parametrize("error", [KeyError("lost"), RecursionError(), MemoryError()])
def test_a_prediction_that_fails_leaves_the_results(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("wsc.cost.predict.predict", fail)
    program = text_file(tmp_path / "t.wsa", TWICE)
    text = done(wsc("run", program, "-o", tmp_path / "out")).stdout
    assert re.search(r"^cycles +\d+", text, re.M)
    assert re.search(r"^predicted +nothing: .*(KeyError|RecursionError|out of memory)", text, re.M)
    assert (tmp_path / "out" / "r.npy").is_file()


def test_an_interrupt_while_predicting_leaves_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wsc.cost.predict.predict", interrupt)
    result = done(wsc("run", text_file(tmp_path / "t.wsa", TWICE)), 130)
    assert re.search(r"^cycles +\d+", result.stdout, re.M)
    assert result.stderr == "interrupted while predicting\n"


@pytest.mark.parametrize(
    "what", ["cli.run.write_trace", "cli.run.write_arrays", "comparison.compare.compare_all"]
)
def test_what_fails_behind_a_run_leaves_the_results(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "out")

    monkeypatch.setattr(f"wsc.{what}", fail)
    model = mlp(tmp_path)
    done(wsc("compile", model, "-o", tmp_path / "m.wsa", "--fabric", "4x4"))
    result = wsc(
        "run",
        tmp_path / "m.wsa",
        "-o",
        tmp_path / "out",
        "--trace",
        tmp_path / "t.json",
        "--compare",
        model,
    )
    assert result.exit_code == 2
    assert re.search(r"^cycles +\d+", result.stdout, re.M)
    assert result.stderr.count("\n") == 1
    assert "No space left on device" in result.stderr


def test_inputs_are_drawn_only_if_there_is_room_for_them(tmp_path: Path) -> None:
    text = TWICE.replace("input  a : f32[8]", f"input  a : f32[{2**40}]")
    result = done(wsc("run", text_file(tmp_path / "t.wsa", text)), 2)
    note, error = result.stderr.splitlines()
    assert f"8 of the {2**40} elements of input 'a' are fed; the others have no effect" in note
    assert error.startswith("error: ")
    assert "inputs to draw" in error
    assert "memory" in error


@pytest.mark.parametrize("flag", ["--seed", "--delays", "--max-cycles", "--trace-events"])
@pytest.mark.parametrize("number", [2**62, "9" * 5000])
def test_numbers_of_any_size_are_taken_or_refused(
    flag: str, number: object, twice: Path, tmp_path: Path
) -> None:
    trace = ("--trace", tmp_path / "t.json") if flag == "--trace-events" else ()
    result = wsc("run", twice, flag, number, *trace)
    assert result.exit_code in (0, 2)
    assert "defect" not in result.stderr


def test_another_machine_is_said(twice: Path) -> None:
    plain = json.loads(done(wsc("run", twice, "--json")).stdout)
    result = done(wsc("run", twice, "--json", "--set", "io.bytes_per_cycle=4"))
    assert f"note: {twice}: was compiled for wse2, and runs on wse2, io" in result.stderr
    made = json.loads(result.stdout)
    assert made["cycles"] > plain["cycles"]
    assert made["fabric"]["changed"] == {"io.bytes_per_cycle": 4}
    report = done(wsc("run", twice, "--fabric", "tiny", "--set", "router.buffer_depth=9")).stdout
    assert "4x2 tiles of tiny, router.buffer_depth = 9\n" in report
    refused(wsc("run", twice, "--fabric", "8x8"), "is for 4x2 tiles, not 8x8")
    refused(wsc("run", twice, "--set", "router.depth=9"), "no number 'router.depth'")
    refused(wsc("run", twice, "--set", "sram.bytes=16"), "twice.wsa")


def test_a_model_is_compiled_and_runs(tmp_path: Path) -> None:
    model, program = mlp(tmp_path, batch="n"), tmp_path / "mlp.wsa"
    options = ("--fabric", "tiny:2x2", "--dim", "n=3", "-p", "f16", "--set", "ramp.latency=3")
    done(wsc("compile", model, "-o", program, *options))
    wanted = json.loads(done(wsc("run", program, "--json")).stdout)
    made = json.loads(done(wsc("run", model, *options, "--json")).stdout)
    assert made["cycles"] == wanted["cycles"]
    assert made["outputs"] == wanted["outputs"]
    assert made["fabric"] == wanted["fabric"]
    assert [row["kernel"] for row in made["kernels"]] == [
        row["kernel"] for row in wanted["kernels"]
    ]
    assert all(row["line"] for row in made["kernels"])
    text = done(wsc("run", model, "--dim", "n=2", "--compare", model)).stdout
    assert "all outputs agree" in text
    refused(wsc("run", program, "--dim", "n=2"), "--dim", "is compiled")
    refused(wsc("run", program, "--precision", "f16"), "--precision", "is compiled")
    refused(wsc("run", tmp_path / "none.onnx"), "none.onnx")


def test_standard_input_and_output(twice: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    read = done(runner.invoke(cli, ["run", "-", "--json"], input=TWICE)).stdout
    wanted = done(wsc("run", twice, "--json")).stdout
    assert json.loads(read)["outputs"] == json.loads(wanted)["outputs"]
    wrong = TWICE.replace("call take", "call tale", 1)
    refused(runner.invoke(cli, ["run", "-"], input=wrong), "<text>:", "tale")
    refused(runner.invoke(cli, ["run", "-"], input=b"\xff"), "standard input: is no assembly")
    refused(wsc("compile", mlp(tmp_path), "-o", "-"), "-o -: the program has weights")
    plain = saved(builders.matmul(2, 2, 2, streamed=False), tmp_path / "m.onnx")
    printed = done(wsc("compile", plain, "-o", "-", "--fabric", "2x2")).stdout
    assert done(runner.invoke(cli, ["run", "-"], input=printed)).stdout.count("cycles")
    assert not list(tmp_path.glob("*.wsa.*")) + list(tmp_path.glob("-*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "none.wsa"),
        ("run", "none.onnx"),
        ("run", "none.wsa", "--engine"),
        ("estimate", "none.onnx"),
        ("diff", "a", "b"),
        ("sweep", "a.wsa", "--set", "a"),
        ("fabrics", "none"),
    ],
)
def test_an_error_is_an_object_too(arguments: tuple[str, ...]) -> None:
    result = done(wsc(*arguments, "--json"), code=2)
    (message,) = json.loads(result.stdout).values()
    assert message
    assert message.split(":")[0] in result.stderr


def test_a_run_that_stops_gives_one_object(twice: Path) -> None:
    result = done(wsc("run", twice, "--json", "--max-cycles", "5"), code=2)
    assert json.loads(result.stdout)["stopped"]
    assert result.stderr.startswith("error: ")


def test_a_run_in_a_notebook(twice: Path) -> None:
    program = wsc_package.load(twice)
    run = program.run(program.draw())
    frame = run.to_frame()
    assert frame["added"].sum() <= run.cycles
    assert set(frame["node"]) >= {"a", "/twice/Add", "r"}
    assert list(frame["line"]) == [item.statement.where.line for item in run.counters.statements]
    shown: Any = run
    assert f"<td>{run.cycles:,}</td>" in shown._repr_html_()
    assert "output r</th><td>float32[8]" in shown._repr_html_()
    fabric: Any = program.fabric
    assert "<td>router.buffer_depth</td><td>4</td><td>A</td>" in fabric._repr_html_()


def test_a_window_behind_the_end_of_a_run_is_told(twice: Path, tmp_path: Path) -> None:
    options = ("--seed", "1", "--trace", tmp_path / "t.json", "--trace-from", "100000")
    told = done(wsc("run", twice, *options)).stdout
    assert "nothing was recorded: the run has 28 cycles, and the window begins with" in told
