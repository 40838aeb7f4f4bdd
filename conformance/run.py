"""One case, run and judged; with other values too, held against ONNX's reference evaluator."""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from conformance.suite import Case
from wsc.backend import Representation, prepare
from wsc.comparison.compare import session_options
from wsc.errors import CompileError, DoesNotFit, UnsupportedOperators
from wsc.runtime.errors import InputError

PASSED: str = "passed"
FAILED: str = "failed"
REFUSED: str = "refused"
# Other values differ in the order of their sums: the suite's tolerances are for its own.
RANDOM_RTOL, RANDOM_ATOL = 1e-3, 1e-5
_NARROW = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@dataclass(slots=True)
class Record:
    """What came of a case.

    fabric: the one that it ran on last. reason: why it did not pass. bound: (operator, input,
    why) of each operand that was baked in.
    random: how other values did: '' (not tried), agreed, differed, or not comparable.
    """

    name: str
    suite: str
    operator: str
    status: str
    fabric: str = ""
    reason: str = ""
    bound: list[tuple[str, int, str]] = field(default_factory=list)
    cycles: int = 0
    compile_seconds: float = 0.0
    seconds: float = 0.0
    random: str = ""
    random_reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run_case(
    case: Case, fabric: str, with_random: bool = False, larger: Sequence[str] = ()
) -> Record:
    """Run a case. Nothing that it raises gets out: a crash is a failure with its reason.

    larger: fabrics to try in this order where a program does not fit.
    """
    record = Record(case.name, case.suite, case.operator, FAILED)
    started = time.perf_counter()
    for record.fabric in (fabric, *larger):
        if not _attempt(case, record, with_random):
            break
    record.seconds = round(time.perf_counter() - started, 4)
    return record


def _attempt(case: Case, record: Record, with_random: bool) -> bool:
    """Judge a case on the record's fabric; whether more tiles would help."""
    record.status, record.reason = FAILED, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _judge(case, record.fabric, record, with_random)
    except (CompileError, InputError) as error:
        record.status, record.reason = REFUSED, _refusal(error)
        return isinstance(error, DoesNotFit)
    except AssertionError as error:
        record.reason = "differs: " + _gist(str(error))
    except Exception as error:  # noqa: BLE001 - a crash is what is looked for
        record.reason = f"{type(error).__name__}: {_gist(str(error))}"
    return False


def choose(records: Iterable[Record]) -> list[str]:
    """Names of node tests that pass: of each operator the one of fewest cycles, and the same
    of those that have it written out as nodes."""
    best: dict[tuple[str, bool], Record] = {}
    for record in records:
        key = record.operator, "_expanded" in record.name
        rival = best.get(key)
        if record.suite != "node":
            continue
        if record.status == PASSED and (rival is None or record.cycles < rival.cycles):
            best[key] = record
    return sorted(record.name for record in best.values())


def _judge(case: Case, fabric: str, record: Record, with_random: bool) -> None:
    from onnx.backend.test.runner import Runner

    model, sets = case.load()
    started = time.perf_counter()
    rep = prepare(model, fabric=fabric, same_order=case.same_order)
    record.compile_seconds = time.perf_counter() - started
    for inputs, expected in sets:
        started = time.perf_counter()
        rep.compiled(rep.feeds(inputs))
        record.compile_seconds = round(record.compile_seconds + time.perf_counter() - started, 4)
        outputs = rep.run(inputs)
        record.cycles = rep.cycles or 0
        Runner.assert_similar_outputs(
            _flat(expected), _flat(outputs), case.rtol, case.atol, case.name
        )
    record.bound = [(item.op_type, item.index, item.why) for item in rep.bound]
    record.status = PASSED
    if with_random:
        record.random, record.random_reason = _random(case, model, rep, sets[0][0])


def _flat(values: Sequence[Any]) -> list[Any]:
    """Outputs with the tensors of sequences one by one: the runner takes no scalars in these."""
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _refusal(error: CompileError | InputError) -> str:
    if isinstance(error, UnsupportedOperators):
        return "; ".join(f"{item.op_type}: {item.reason}" for item in error.operators)
    return _gist(str(error))


def _gist(text: str) -> str:
    """An error in one line: without the arrays that NumPy prints."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    kept = [line for line in lines if not line.startswith(("ACTUAL", "DESIRED", "[", "x:", "y:"))]
    return " ".join(kept)[:300]


# --- other values --------------------------------------------------------------------


def other_values(array: Any, rng: np.random.Generator) -> Any:
    """Values like those of an input: floats within their range, other types in another order.

    A float keeps its sign where all do, and whole where all are; an index stays within bounds.
    """
    if isinstance(array, list):
        return [other_values(item, rng) for item in array]
    if not isinstance(array, np.ndarray) or array.size == 0 or array.dtype == object:
        return array
    if array.dtype.kind == "f":
        finite = array[np.isfinite(array)].astype(np.float64)
        if not finite.size:
            return array
        low, high = float(finite.min()), float(finite.max())
        if low == high:
            low, high = sorted((0.5 * low, 1.5 * high)) if low else (0.0, 1.0)
        if (finite == np.floor(finite)).all():  # they may be indices
            return rng.integers(int(low), int(high) + 1, array.shape).astype(array.dtype)
        return rng.uniform(low, high, array.shape).astype(array.dtype)
    return rng.permutation(array.reshape(-1)).reshape(array.shape)


def _random(
    case: Case, model: onnx.ModelProto, rep: Representation, inputs: Sequence[Any]
) -> tuple[str, str]:
    """Whether other values for the inputs that were not bound agree with the reference."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    bound = {item.name for item in rep.bound}
    feeds = {
        name: value if name in bound else other_values(value, rng)
        for name, value in zip(rep.inputs, inputs, strict=True)
    }
    if not set(feeds) - bound:
        return "not comparable", "every input is bound, or there is none"
    try:
        outputs = _flat(rep.run(feeds))
    except Exception as error:  # noqa: BLE001 - any way to fail is a difference
        return "differed", f"{type(error).__name__}: {_gist(str(error))}"
    verdict = "not comparable", "neither reference has values"
    # Where the one overflows or does not know the operator, the other may tell.
    for reference in (_evaluated, _executed):
        try:
            expected = reference(model, feeds)
        except Exception as error:  # noqa: BLE001 - it may refuse such values in any way
            if verdict[0] != "differed":
                verdict = (
                    "not comparable",
                    f"reference: {type(error).__name__}: {_gist(str(error))}",
                )
            continue
        try:
            _assert_close(case, expected, outputs)
        except AssertionError as error:
            verdict = "differed", f"{type(error).__name__}: {_gist(str(error))}"
        else:
            return "agreed", ""
    return verdict


def _evaluated(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """What ONNX's reference evaluator makes of other values."""
    from onnx.reference import ReferenceEvaluator

    found = ReferenceEvaluator(model).run(None, feeds)
    return _flat([item if isinstance(item, list) else np.asarray(item) for item in found])


def _executed(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """What ONNX Runtime makes of them."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    return _flat([*session.run(None, feeds)])


def _assert_close(case: Case, expected: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Sums in another order may differ by the tolerance, and by two steps of a narrow format."""
    from onnx.backend.test.runner import Runner

    for wanted, found in zip(expected, outputs, strict=True):
        dtype = np.asarray(wanted).dtype
        step = 2 * float(ml_dtypes.finfo(dtype).eps) if dtype in _NARROW else 0.0
        rtol, atol = max(case.rtol, RANDOM_RTOL, step), max(case.atol, RANDOM_ATOL)
        Runner.assert_similar_outputs([wanted], [found], rtol, atol, case.name)
