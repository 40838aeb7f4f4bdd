"""What wsc makes of a drawn model, and whether that is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from conformance.fuzz.judge import Finding, Verdict, limit_memory, try_mutant
from conformance.fuzz.mutate import Mutant
from conformance.graphs.drawn import Drawn, draw
from conformance.graphs.evaluate import Refused, by_reference, evaluate, values_of
from conformance.pool import Job, Loss, over_processes
from wsc.backend import prepare

# Of the largest magnitude of an output; and how far results may be off where a small change of
# what is rounded moves them: so many times as much as those changes move them.
TOLERANCE = {"f32": 1e-4, "f16": 2e-2}
CHANGE = {"f32": 3e-7, "f16": 1e-3}
LEAST = {"f32": 2.0**-149, "f16": 2.0**-24}  # how far apart the smallest numbers are
TRIES, SLACK = 6, 30.0


class Graphs:
    """Drawn models by number. limit: seconds that one may take. most: nodes."""

    def __init__(self, seed: int, limit: float, most: int = 30) -> None:
        self.seed, self.limit, self.most = seed, limit, most

    def drawn(self, number: int) -> Drawn:
        """The model of a number."""
        return draw(self.seed, number, self.most)

    def run(self, numbers: Sequence[int], jobs: int) -> Iterator[Finding]:
        """Findings as they come."""
        return over_processes(Job(self._try, self._lost, self.limit), numbers, jobs)

    def _try(self, number: int) -> Finding:
        limit_memory()
        return judged(number, self.drawn(number))

    def _lost(self, number: int, loss: Loss, reason: str, seconds: float) -> Finding:
        verdict = Verdict.HUNG if loss is Loss.HANG else Verdict.CRASHED
        return Finding(number, "lost", (), verdict, reason, seconds)


def judged(number: int, drawn: Drawn) -> Finding:
    """The verdict on one model."""
    mutant = Mutant(b"", drawn.operators)
    finding = try_mutant(number, drawn.label, mutant, lambda: outputs_of(drawn))
    if finding.outputs is None:
        return finding
    outputs, finding.outputs = finding.outputs, None
    finding.verdict, finding.reason = Verdict.AGREED, ""
    problems = _differences(drawn, outputs, drawn.expected)
    if not problems:
        return finding
    # Each output that is not as in ONNX Runtime has to be as somebody else has it.
    others = (
        ("as ONNX Runtime node by node, not as the whole in it", lambda: drawn.stepwise),
        ("as ONNX's reference evaluator, not as ONNX Runtime", lambda: _by_reference(drawn)),
    )
    for opinion, values in others:
        finding.reason = f"{opinion}: {next(iter(problems.values()))}"
        expected = values()
        if expected is not None:
            found = _differences(drawn, outputs, expected)
            problems = {place: text for place, text in problems.items() if place in found}
        if not problems:
            return finding
    finding.reason = next(iter(problems.values()))
    if _moved(drawn, outputs):
        finding.verdict = Verdict.UNCHECKED
        finding.reason = f"ill-conditioned: {finding.reason}"
    else:
        finding.verdict = Verdict.DISAGREED
    return finding


def outputs_of(drawn: Drawn) -> list[Any]:
    """Outputs of the compiled model; with cycles, on all engines, where it is drawn for that."""
    prepared = prepare(drawn.model, fabric=drawn.fabric, precision=drawn.precision)
    outputs = list(prepared.run(drawn.feeds, engine="both" if drawn.engines else "values"))
    if drawn.engines:
        cycles = prepared.cycles
        again = list(prepared.run(drawn.feeds, engine="reference"))
        if cycles != prepared.cycles:
            raise AssertionError(f"{cycles} cycles, the reference engine has {prepared.cycles}")
        for number, (ours, theirs) in enumerate(zip(outputs, again, strict=True)):
            if ours.tobytes() != theirs.tobytes():
                raise AssertionError(f"output {number}: the engines differ")
    return outputs


def _by_reference(drawn: Drawn) -> list[Any] | None:
    """What ONNX's reference evaluator has, asked as another opinion."""
    try:
        return by_reference(drawn.model, drawn.feeds)
    except Refused:
        return None


def _differences(drawn: Drawn, outputs: Sequence[Any], expected: Sequence[Any]) -> dict[int, str]:
    """The first difference of each output that has one."""
    pairs = zip(drawn.model.graph.output, outputs, expected, strict=True)
    found = {
        place: _difference(value.name, ours, theirs, TOLERANCE[drawn.precision])
        for place, (value, ours, theirs) in enumerate(pairs)
    }
    return {place: text for place, text in found.items() if text}


def _difference(name: str, ours: Any, theirs: Any, tolerance: float) -> str:
    if not isinstance(theirs, np.ndarray):
        return f"'{name}': no tensor is expected"
    if not isinstance(ours, np.ndarray) or ours.shape != theirs.shape:
        return f"'{name}': shape {getattr(ours, 'shape', None)} for {theirs.shape}"
    if ours.dtype != theirs.dtype:
        return f"'{name}': {ours.dtype} for {theirs.dtype}"
    off = _off(ours, theirs, tolerance)
    if not off.any():
        return ""
    at = tuple(int(place) for place in np.argwhere(off)[0])
    return f"'{name}'{list(at)}: {ours[at]!r} for {theirs[at]!r}, {int(off.sum())} in all"


def _off(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> np.ndarray:
    """Where an output is not what is expected: integers exactly, floats within a tolerance."""
    if ours.dtype.kind != "f":
        return ours != theirs
    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(right)
        scale = np.abs(right[finite]).max() if finite.any() else 1.0
        near = np.abs(left - right) <= tolerance * max(scale, 1e-3)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return ~(same | (near & finite & np.isfinite(left)))


def _moved(drawn: Drawn, outputs: Sequence[Any]) -> bool:
    """Whether roundings within the model move the reference's results as far."""
    try:
        values = values_of(drawn.model, drawn.feeds)
    except Refused:
        return False
    spread = [np.zeros(array.shape) for array in drawn.expected]
    unsteady = [np.zeros(array.shape, bool) for array in drawn.expected]
    for turn in range(TRIES):
        draws = np.random.default_rng(turn)
        try:
            others, _ = evaluate(_rounded(drawn, values, draws), drawn.feeds)
        except Refused:
            return False
        for place, (other, theirs) in enumerate(zip(others, drawn.expected, strict=True)):
            if other.shape != theirs.shape:
                return True
            with np.errstate(all="ignore"):
                apart = np.abs(other.astype(np.float64) - theirs.astype(np.float64))
            unsteady[place] |= ~np.isfinite(apart) & ~((other == theirs) | np.isnan(theirs))
            spread[place] = np.fmax(spread[place], np.where(np.isfinite(apart), apart, 0))
    for ours, theirs, moved, loose in zip(outputs, drawn.expected, spread, unsteady, strict=True):
        if not isinstance(ours, np.ndarray) or ours.shape != theirs.shape:
            return False
        off = _off(ours, theirs, TOLERANCE[drawn.precision])
        with np.errstate(all="ignore"):
            apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        if (off & ~loose & ~(apart <= SLACK * moved)).any():
            return False
    return True


def _rounded(drawn: Drawn, values: dict[str, Any], draws: np.random.Generator) -> ModelProto:
    """The model with each operand of a node that rounds a little larger or smaller.

    Nodes that only move elements, or that take a step, have exact operands: they stay.
    """
    change, least = CHANGE[drawn.precision], LEAST[drawn.precision]
    model = ModelProto()
    model.CopyFrom(drawn.model)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if drawn.rounded & set(node.output):
            for place, name in enumerate(node.input):
                array = values.get(name)
                if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
                    continue
                with np.errstate(all="ignore"):
                    off = np.fmin(np.fmax(change, least / np.abs(array.astype(np.float64))), 1.0)
                factors = 1 + off * draws.choice((-1.0, 1.0), array.shape)
                stem = f"{node.output[0]}_{place}"
                model.graph.initializer.append(
                    numpy_helper.from_array(factors.astype(array.dtype), f"{stem}_factors")
                )
                model.graph.node.append(
                    helper.make_node("Mul", [name, f"{stem}_factors"], [f"{stem}_rounded"])
                )
                node.input[place] = f"{stem}_rounded"
        model.graph.node.append(node)
    return model
