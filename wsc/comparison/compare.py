"""Outputs held against ONNX Runtime.

An output of floats agrees if its largest absolute error is within the precision's tolerance,
taken as a part of the reference output's largest magnitude. Integers, booleans and strings
agree if they are equal. Where they do not agree, ``second_opinion`` asks who is nearer to the
result in double precision.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from wsc.errors import CompileError
from wsc.ir.carried import carried
from wsc.isa.files import refusal
from wsc.isa.types import DType

TOLERANCE = {DType.F32: 1e-4, DType.F16: 2e-2}

Element = float | int | str


@dataclass(frozen=True, slots=True)
class Opinion:
    """How far both are from the model's result in double precision.

    ours, reference: largest errors, as parts of the largest magnitude in double precision.
    """

    ours: float
    reference: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output against the reference.

    absolute: largest absolute error; infinite where only one of the two is finite, or
    NaN. relative: that error over ``magnitude``, the largest finite magnitude of the
    reference (over 1 if that is zero). tolerance: 0 for what must be equal. index: where
    the largest error is; ours and reference: the two values there. opinion: asked for only
    where the two differ.
    """

    name: str
    absolute: float
    relative: float
    magnitude: float
    tolerance: float
    index: tuple[int, ...]
    ours: Element
    reference: Element
    opinion: Opinion | None = None

    @property
    def within(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.relative <= self.tolerance

    @property
    def reference_is_off(self) -> bool:
        """Whether double precision says that ours is within the tolerance and nearer."""
        opinion = self.opinion
        return (
            not self.within
            and opinion is not None
            and opinion.ours <= self.tolerance
            and opinion.ours < opinion.reference
        )

    @property
    def agrees(self) -> bool:
        """Whether the output is right: within the tolerance of one of the two references."""
        return self.within or self.reference_is_off

    def as_dict(self) -> dict[str, Any]:
        """The comparison for JSON, which has no infinities: they are given as text."""
        values = {
            "absolute": self.absolute,
            "relative": self.relative,
            "magnitude": self.magnitude,
            "ours": self.ours,
            "reference": self.reference,
        }
        opinion = self.opinion
        return {
            "name": self.name,
            **{key: _for_json(value) for key, value in values.items()},
            "tolerance": self.tolerance,
            "index": list(self.index),
            "agrees": self.agrees,
            "second_opinion": opinion
            and {"ours": _for_json(opinion.ours), "reference": _for_json(opinion.reference)},
        }


def _for_json(value: Element) -> Element:
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def compare(name: str, ours: np.ndarray, reference: np.ndarray, precision: DType) -> Comparison:
    """Compare one output. Equal infinities, and NaN in the same place, agree.

    Raises:
        CompileError: the shapes differ.
    """
    if ours.shape != reference.shape:
        raise CompileError(
            f"output '{name}': shape {list(ours.shape)}, ONNX Runtime gives {list(reference.shape)}"
        )
    exact = _is_exact(ours.dtype) or _is_exact(reference.dtype)
    tolerance = 0.0 if exact else TOLERANCE[precision]
    if not ours.size:
        return Comparison(name, 0.0, 0.0, 0.0, tolerance, (), 0.0, 0.0)
    absolute, index = (_exact_error if exact else _error)(ours, reference)
    magnitude = _magnitude(reference)
    return Comparison(
        name,
        absolute,
        absolute / (magnitude or 1.0),
        magnitude,
        tolerance,
        index,
        _element(ours[index]),
        _element(reference[index]),
    )


def _is_exact(dtype: np.dtype) -> bool:
    """Whether there is nothing to round in a type: integers, booleans, strings."""
    if dtype.kind in "biuOSU":
        return True
    if dtype.kind != "V":
        return False
    try:
        ml_dtypes.iinfo(dtype)  # integers of 2 and 4 bits
    except ValueError:
        return False
    return True


def _error(ours: np.ndarray, reference: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """The largest absolute difference of two arrays of floats, and where it is."""
    left, right = ours.astype(np.float64), reference.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(left - right))
    error = np.where(np.isnan(error), np.inf, error)
    index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    return float(error[index]), index


def _exact_error(ours: np.ndarray, reference: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """The same for what must be equal: doubles would take neighbours of 2^53 for equal."""
    left, right = ours.astype(object), reference.astype(object)
    different = np.argwhere(np.asarray(left != right))
    worst, index = 0.0, (0,) * ours.ndim
    for place in map(tuple, different.tolist()):
        one, other = left[place], right[place]
        known = isinstance(one, int) and isinstance(other, int)
        size = float(abs(one - other)) if known else np.inf
        if size > worst:
            worst, index = size, place
    return worst, index


def _magnitude(array: np.ndarray) -> float:
    """The largest finite magnitude; 0 for strings, which have none."""
    if array.dtype.kind in "OSU":
        return 0.0
    wide = array.astype(np.float64)
    return float(np.abs(wide, where=np.isfinite(wide), out=np.zeros_like(wide)).max())


def _element(value: Any) -> Element:
    """An element as a number of Python; integers keep all their digits."""
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode(errors="replace")
    return int(value) if _is_exact(np.asarray(value).dtype) else float(value)


def with_opinion(
    compared: Sequence[Comparison],
    outputs: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    double: Mapping[str, np.ndarray],
    precision: DType,
) -> list[Comparison]:
    """The comparisons, with an opinion where the two differ.

    outputs, reference: what was compared. double: the same outputs in double precision.
    """

    def judged(item: Comparison) -> Comparison:
        wanted = double.get(item.name)
        if item.within or wanted is None or wanted.shape != outputs[item.name].shape:
            return item
        ours, other = (
            compare(item.name, array[item.name], wanted, precision).relative
            for array in (outputs, reference)
        )
        return replace(item, opinion=Opinion(ours, other))

    return [judged(item) for item in compared]


def session_options() -> Any:
    """``onnxruntime.SessionOptions`` for sums that are right on every processor, without warnings.

    On x86 processors without VNNI instructions ONNX Runtime adds pairs of products of unsigned and
    signed bytes in 16 bits, where they may overflow, unless it is told not to.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


class Reference:
    """A model in ONNX Runtime.

    Raises:
        CompileError: ONNX Runtime is not installed or does not take the model.
    """

    def __init__(self, model: Path) -> None:
        reason = refusal(model)
        if reason:
            raise CompileError(f"{model}: {reason}")
        try:
            import onnxruntime
        except ImportError as error:
            raise CompileError(
                "--compare needs ONNX Runtime, which is not installed: pip install 'wsc[compare]'"
            ) from error
        self.model = model
        with readable(model):
            self._session = onnxruntime.InferenceSession(
                str(model), session_options(), providers=["CPUExecutionProvider"]
            )
        self.inputs = tuple(item.name for item in self._session.get_inputs())
        # Initializers that are inputs too: a program may have them as inputs, and need not.
        self.defaults = tuple(item.name for item in self._session.get_overridable_initializers())
        self.outputs = tuple(item.name for item in self._session.get_outputs())
        items = (*self._session.get_inputs(), *self._session.get_overridable_initializers())
        self._ranks = {item.name: len(item.shape) for item in items}
        self._shown = {item.name: len(item.shape) for item in self._session.get_outputs()}

    def require(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Raise CompileError if a program with these inputs and outputs is of another model."""
        for name in outputs:
            if name not in self.outputs:
                known = ", ".join(self.outputs)
                raise CompileError(f"{self.model}: no output '{name}'; it has: {known}")
        for name in inputs:
            if name not in (*self.inputs, *self.defaults):
                known = ", ".join(self.inputs)
                raise CompileError(f"{self.model}: no input '{name}'; it has: {known}")
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise CompileError(
                f"{self.model}: the program has no input '{missing[0]}'; if it was baked in, "
                f"give its values again: --bind {missing[0]}=FILE.npy"
            )

    def run(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The named outputs."""
        with readable(self.model):
            values = self._session.run(list(outputs), dict(inputs))
        return {name: np.asarray(value) for name, value in zip(outputs, values, strict=True)}

    def steps(self, given: Mapping[str, np.ndarray], shown: Mapping[str, np.ndarray]) -> int | None:
        """How many steps a program makes that takes and shows these arrays; None for a single run.

        What each step takes and shows has one dimension more than the model's, in front.
        """
        ranks = [(array, self._ranks[name]) for name, array in given.items()]
        ranks += [(array, self._shown[name]) for name, array in shown.items()]
        counts = {array.shape[0] for array, rank in ranks if array.ndim == rank + 1}
        return counts.pop() if len(counts) == 1 else None

    def run_steps(
        self,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        count: int,
        carry: Mapping[str, str],
    ) -> dict[str, np.ndarray]:
        """The named outputs of ``count`` steps: of all of them, of what is carried the last ones.

        carry: input -> the output that the next step is given for it, where their names do not say
        so.

        Raises:
            CompileError: an input is neither given for each step nor handed on.
        """
        handed = carried(inputs, self.outputs, carry)
        each = {name for name in inputs if np.ndim(inputs[name]) == self._ranks[name] + 1}
        lost = [name for name in inputs if name not in each and name not in handed]
        if lost:
            raise CompileError(
                f"{self.model}: input '{lost[0]}' is not given for each step, and no output is "
                f"known that is handed on to it: --carry {lost[0]}=OUTPUT"
            )
        held = {name: inputs[name] for name in inputs if name not in each}
        wanted = [*dict.fromkeys((*outputs, *handed.values()))]
        found: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
        for step in range(count):
            fed = {name: inputs[name][step] if name in each else held[name] for name in inputs}
            left = self.run(fed, wanted)
            held = {name: left[output] for name, output in handed.items() if name not in each}
            for name in outputs:
                found[name].append(left[name])
        last = {handed[name] for name in held}
        return {
            name: arrays[-1] if name in last else np.stack(arrays) for name, arrays in found.items()
        }


@contextmanager
def readable(model: Path) -> Generator[None]:
    """Turns ONNX Runtime's own errors, which share no base class, into CompileError."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime") and type(error) is not ValueError:
            raise
        reason = " ".join(str(error).split())
        raise CompileError(f"{model}: ONNX Runtime: {reason}") from error
