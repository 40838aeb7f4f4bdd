"""What wsc makes of a changed model, through a file or in memory, and whether that is right."""

from __future__ import annotations

import resource
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, helper, numpy_helper

from conformance.fuzz.mutate import Mutant
from conformance.fuzz.parts import graphs
from wsc import api
from wsc.backend import Representation, prepare
from wsc.errors import CompileError, UnsupportedOperators
from wsc.isa.fabric import Fabric
from wsc.runtime.errors import ExecutionFault, InputError, MemoryLimit, OutputError

MEMORY = 4 << 30  # bytes that a process may take beyond what it has at its start
LONGEST_LINE = 2000  # characters of an error
ELEMENTS = 1 << 20  # of an input that is made up; no small fabric takes more
EXTREME = 1e18  # of a float: its square overflows, and then the order of operations shows
RTOL, ATOL = 1e-3, 1e-5  # sums are taken in another order
REFUSALS = (CompileError, InputError, OutputError, MemoryLimit)

Inputs = Mapping[str, Any]  # the suite's, by the names that the model had
Outputs = list[Any]
# Compiles a changed model for a fabric and runs it.
Route = Callable[[Mutant, Inputs, str], Outputs]


class Verdict(StrEnum):
    """What came of a changed model; the first three are as it should be."""

    AGREED = "agreed"
    UNCHECKED = "unchecked"  # a result, where the reference evaluator has none
    REFUSED = "refused"
    UNCLEAR = "unclear"  # refused with a text that is empty, too long, or of several lines
    DISAGREED = "disagreed"
    CRASHED = "crashed"
    HUNG = "hung"
    MEMORY = "memory"


GOOD = frozenset({Verdict.AGREED, Verdict.UNCHECKED, Verdict.REFUSED})


@dataclass(slots=True)
class Finding:
    """number: which changed model. reason: the error, or the difference.

    fault: whether the run ended at an instruction; that is a refusal if the reference evaluator
    has no result either, as for an index that is out of bounds.
    """

    number: int
    case: str
    changes: tuple[str, ...]
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0
    outputs: Outputs | None = None
    fault: bool = False

    def __str__(self) -> str:
        what = "; ".join(self.changes)
        return f"{self.number} {self.case} [{what}] {self.verdict}: {self.reason}"


# --- wsc -----------------------------------------------------------------------------


class _FromFile(Representation):
    """A model that is compiled from a file, with what the backend knows of its inputs."""

    def __init__(self, path: Path, model: ModelProto, fabric: str | Fabric) -> None:
        self._path = path
        super().__init__(model, fabric, "f32")

    def _compile(self, bind: dict[str, np.ndarray], dims: dict[str, int]) -> api.Program:
        return api.compile(self._path, self.fabric, dims, self.precision, bind)


def run_mutant(mutant: Mutant, inputs: Inputs, fabric: str) -> Outputs:
    """Compile and run. Most go through a file, some through memory, the suite's own way."""
    model = parsed(mutant)
    if model is not None and zlib.crc32(mutant.data) % 4 == 0:
        return list(prepare(model, fabric=fabric).run(feeds_of(model, inputs)))
    with tempfile.TemporaryDirectory(prefix="wsc-fuzz-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(mutant.data)
        if model is None:
            api.compile(path, fabric)
            return []
        return list(_FromFile(path, model, fabric).run(feeds_of(model, inputs)))


def parsed(mutant: Mutant) -> ModelProto | None:
    """The model, if the bytes are one."""
    try:
        return ModelProto.FromString(mutant.data)
    except DecodeError:
        return None


def feeds_of(model: ModelProto, inputs: Inputs) -> dict[str, Any]:
    """The suite's inputs by name, in the shapes and types that the model has now."""
    constant = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in constant]
    names = {value.name for value in values}
    others = [array for name, array in inputs.items() if name not in names]
    given = iter([*others, *([np.ones(1, np.float32)] * len(values))])
    return {
        value.name: _fitting(value, inputs[value.name] if value.name in inputs else next(given))
        for value in values
    }


def _fitting(value: onnx.ValueInfoProto, array: Any) -> Any:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not isinstance(array, np.ndarray):
        return array
    sizes = [dim.dim_value for dim in kind.shape.dim]
    if (
        kind.HasField("shape")
        and min(sizes, default=1) > 0
        and np.prod(sizes, dtype=float) < ELEMENTS
    ):
        array = np.resize(array, sizes)
    with suppress(KeyError, TypeError, ValueError), np.errstate(all="ignore"):
        array = array.astype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return array


def try_mutant(number: int, case: str, mutant: Mutant, run: Callable[[], Outputs]) -> Finding:
    """What wsc makes of it: ``UNCHECKED`` with outputs if it runs, else a final verdict."""
    finding = Finding(number, case, mutant.changes, Verdict.UNCHECKED)
    _watch_memory()
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            finding.outputs = run()
    except REFUSALS as error:
        finding.verdict, finding.reason = _refusal(error)
    except ExecutionFault as error:
        finding.verdict, finding.reason, finding.fault = Verdict.CRASHED, where_of(error), True
    except MemoryError as error:
        finding.verdict, finding.reason = Verdict.MEMORY, where_of(error)
    except Exception as error:  # noqa: BLE001 - a crash is what is looked for
        finding.verdict, finding.reason = Verdict.CRASHED, where_of(error)
    finding.seconds = round(time.perf_counter() - started, 2)
    if peak_memory() > MEMORY:
        finding.verdict, finding.reason = Verdict.MEMORY, f"{peak_memory() >> 20} MiB"
    return finding


def _refusal(error: Exception) -> tuple[Verdict, str]:
    """A clear error is one line; a list of operators has a line more for each."""
    text = str(error)
    lines = text.split("\n")
    most = 1 + len(error.operators) if isinstance(error, UnsupportedOperators) else 1
    clear = len(lines) <= most and all(0 < len(line.strip()) < LONGEST_LINE for line in lines)
    return Verdict.REFUSED if clear else Verdict.UNCLEAR, text[:1000]


def where_of(error: Exception) -> str:
    """The last places of ours that an error came through, its type and its text."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/wsc/" in frame.filename or "/runtime/" in frame.filename or "/isa/" in frame.filename
    ]
    return (
        f"{type(error).__name__} at {' '.join(frames[-3:])}: {' '.join(str(error).split())[:300]}"
    )


# --- memory --------------------------------------------------------------------------


def limit_memory() -> None:
    """Let this process take ``MEMORY`` more than it has mapped now: beyond, MemoryError."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, hard))


def _watch_memory() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most bytes that were resident since the watch began."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


# --- the reference -------------------------------------------------------------------


def compare(finding: Finding, mutant: Mutant, inputs: Inputs) -> Finding:
    """The verdict of a model that has outputs, or that faulted, with the reference's outputs."""
    from onnx.reference import ReferenceEvaluator

    model = parsed(mutant)
    if model is None:
        return finding
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected: Any = ReferenceEvaluator(model).run(None, feeds_of(model, inputs))
    except Exception as error:  # noqa: BLE001 - the reference may refuse in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finding.verdict = Verdict.REFUSED if finding.fault else Verdict.UNCHECKED
        finding.reason = " ".join([finding.reason, "reference:", reason])
        return finding
    if finding.outputs is None:
        return finding
    difference = _difference(_flat(finding.outputs), _flat(expected), _is_extreme(model))
    finding.verdict = Verdict.DISAGREED if difference else Verdict.AGREED
    finding.reason = difference
    return finding


def _flat(values: Sequence[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _is_extreme(model: ModelProto) -> bool:
    """Whether a model holds floats that overflow in products, are infinite, or are no numbers."""
    arrays: list[Any] = []
    for graph in graphs(model.graph):
        for item in (item for node in graph.node for item in node.attribute):
            arrays += [[item.f], list(item.floats)]
        tensors = [item.t for node in graph.node for item in node.attribute if item.HasField("t")]
        arrays += [numpy_helper.to_array(tensor) for tensor in (*graph.initializer, *tensors)]
    floats = [array for array in map(np.asarray, arrays) if array.dtype.kind == "f"]
    return any(not np.all(np.abs(array.astype(np.float64)) < EXTREME) for array in floats)


def _difference(got: Sequence[Any], want: Sequence[Any], extreme: bool) -> str:
    """The first difference, or nothing. extreme: floats that are not finite say nothing."""
    if len(got) != len(want):
        return f"{len(got)} outputs, the reference has {len(want)}"
    for number, (ours, theirs) in enumerate(zip(got, want, strict=True)):
        if ours is None or theirs is None:
            if ours is not theirs:
                return f"output {number}: {ours} for {theirs}"
            continue
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape != theirs.shape:
            return f"output {number}: shape {ours.shape}, the reference has {theirs.shape}"
        if ours.dtype != theirs.dtype:
            return f"output {number}: {ours.dtype}, the reference has {theirs.dtype}"
        if not _close(ours, theirs, extreme):
            return f"output {number}: {_shown(ours)} for {_shown(theirs)}"
    return ""


def _close(ours: np.ndarray, theirs: np.ndarray, extreme: bool) -> bool:
    if ours.dtype.kind in "biuSUO":
        beyond = np.zeros(ours.shape, bool)
        if ours.dtype.itemsize == 8:  # words have 32 bits (ADR 6)
            beyond = (theirs > 2**32 - 1) | (theirs < -(2**31))
            beyond |= (theirs > 2**31 - 1) & (ours.dtype.kind == "i")
        return bool((beyond | (ours == theirs)).all())
    narrow = 0.0
    with suppress(ValueError):  # the reference rounds each step to the type
        narrow = 2 * float(ml_dtypes.finfo(ours.dtype).eps)
    with np.errstate(all="ignore"):
        ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
        void = extreme & ~(np.isfinite(ours) & np.isfinite(theirs))
        return bool(
            (void | np.isclose(ours, theirs, max(RTOL, narrow), ATOL, equal_nan=True)).all()
        )


def _shown(array: np.ndarray) -> str:
    return np.array2string(array.reshape(-1)[:6], precision=4).replace("\n", "")
