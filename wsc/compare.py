"""Outputs held against ONNX Runtime.

An output agrees if its largest absolute error is within the precision's tolerance,
taken as a part of the reference output's largest magnitude.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isa.files import refusal
from isa.types import DType
from wsc.errors import CompileError

TOLERANCE = {DType.F32: 1e-4, DType.F16: 2e-2}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output against the reference.

    absolute: largest absolute error; infinite where only one of the two is finite, or
    NaN. relative: that error over ``magnitude``, the largest finite magnitude of the
    reference (over 1 if that is zero). index: where the largest error is; ours and
    reference: the two values there.
    """

    name: str
    absolute: float
    relative: float
    magnitude: float
    tolerance: float
    index: tuple[int, ...]
    ours: float
    reference: float

    @property
    def agrees(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.relative <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """The comparison for JSON, which has no infinities: they are given as text."""
        values = {
            "absolute": self.absolute, "relative": self.relative, "magnitude": self.magnitude,
            "ours": self.ours, "reference": self.reference,
        }  # fmt: skip
        shown = {key: value if np.isfinite(value) else str(value) for key, value in values.items()}
        return {
            "name": self.name, **shown, "tolerance": self.tolerance,
            "index": list(self.index), "agrees": self.agrees,
        }  # fmt: skip


def compare(name: str, ours: np.ndarray, reference: np.ndarray, precision: DType) -> Comparison:
    """Compare one output. Equal infinities, and NaN in the same place, agree.

    Raises:
        CompileError: the shapes differ.
    """
    if ours.shape != reference.shape:
        raise CompileError(
            f"output '{name}': shape {list(ours.shape)}, ONNX Runtime gives {list(reference.shape)}"
        )
    left, right = ours.astype(np.float64), reference.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(left - right))
    error = np.where(np.isnan(error), np.inf, error)
    if not error.size:
        return Comparison(name, 0.0, 0.0, 0.0, TOLERANCE[precision], (), 0.0, 0.0)
    magnitude = float(np.abs(right, where=np.isfinite(right), out=np.zeros_like(right)).max())
    index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    absolute = float(error[index])
    return Comparison(
        name, absolute, absolute / (magnitude or 1.0), magnitude, TOLERANCE[precision],
        index, float(left[index]), float(right[index]),
    )  # fmt: skip


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
        with _readable(model):
            self._session = onnxruntime.InferenceSession(
                str(model), session_options(), providers=["CPUExecutionProvider"]
            )
        self.inputs = tuple(item.name for item in self._session.get_inputs())
        # Initializers that are inputs too: a program may have them as inputs, and need not.
        self.defaults = tuple(item.name for item in self._session.get_overridable_initializers())
        self.outputs = tuple(item.name for item in self._session.get_outputs())

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
        with _readable(self.model):
            values = self._session.run(list(outputs), dict(inputs))
        return {name: np.asarray(value) for name, value in zip(outputs, values, strict=True)}


@contextmanager
def _readable(model: Path) -> Generator[None]:
    """Turns ONNX Runtime's own errors, which share no base class, into CompileError."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime") and type(error) is not ValueError:
            raise
        reason = " ".join(str(error).split())
        raise CompileError(f"{model}: ONNX Runtime: {reason}") from error
