"""An operator's graph, evaluated by the instructions' value functions, against exact results.

The frontend lowers a model of one operator; each step of its map is evaluated for a whole
array of samples. The engines compile the same value functions, so that no engine is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx import helper, numpy_helper

from conformance.elementwise.cases import LIMIT, Case
from wsc.frontend import import_model
from wsc.ir.graph import Arg, Graph, Lit, Map, Ref, Step
from wsc.isa.table import BY_NAME, operand_type
from wsc.isa.types import DType
from wsc.isa.values import VALUES, class_of


@dataclass(frozen=True, slots=True)
class Worst:
    """The largest error of an operator in units of the last place, and where it is.

    inputs: where. got, exact: the result there, and what it should be, before rounding.
    samples: how many were tried. broken: of how many the error is neither within the limit nor
    as large as the operator's reason allows.
    """

    error: float
    inputs: tuple[float, ...]
    got: float
    exact: float
    samples: int
    broken: int


# --- the operator as the compiler has it ----------------------------------------------------


def lowered(case: Case, size: int, precision: DType) -> Graph:
    """The graph of a model of one operator over ``size`` elements."""
    attributes = dict(case.attributes)
    names = [f"x{number}" for number in range(case.inputs)]
    constants = []
    if case.op == "Pow" and "exponent" in attributes:
        constants = [numpy_helper.from_array(np.array(attributes.pop("exponent"), np.float32), "n")]
        node = helper.make_node("Pow", ["x0", "n"], ["y"])
    else:
        node = helper.make_node(case.op, names, ["y"], domain=case.domain, **attributes)
    info = [helper.make_tensor_value_info(name, 1, [size]) for name in (*names, "y")]
    graph = helper.make_graph([node], case.op, info[:-1], info[-1:], constants)
    opsets = [helper.make_opsetid("", 24)]
    if case.domain:
        opsets.append(helper.make_opsetid(case.domain, case.opset))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return import_model(ir.from_proto(model), precision)


def evaluated(graph: Graph, samples: list[np.ndarray]) -> np.ndarray:
    """The output of a graph of maps for arrays of samples."""
    values = {item.name: array for item, array in zip(graph.inputs, samples, strict=True)}
    values |= {item.name: item.load() for item in graph.constants}
    for node in graph.nodes:
        assert isinstance(node.op, Map), f"{node.name} is not elementwise"
        values[node.output] = _mapped(node.op, [values[name] for name in node.inputs])
    return values[graph.outputs[0].value]


def _mapped(op: Map, inputs: list[np.ndarray]) -> np.ndarray:
    results: list[np.ndarray] = []
    for step in op.body:
        args: list[np.ndarray] = []
        for arg in step.args:
            match arg:
                case Arg(index):
                    args.append(inputs[index])
                case Ref(number):
                    args.append(results[number])
                case Lit(value):
                    args.append(np.asarray(value))
        results.append(_stepped(step, args))
    return results[-1]


def _stepped(step: Step, args: list[np.ndarray]) -> np.ndarray:
    """One instruction of all samples, rounded as ``wsc.isa.values.evaluate`` rounds."""
    row = BY_NAME[step.op]
    carried: list[np.ndarray] = []
    for arg, role in zip(args, row.operands[1:], strict=True):
        kind = operand_type(role, step.dtype)
        typed = arg.astype(kind.numpy)
        carried.append(typed.astype(np.float32 if kind.is_float else np.int64))
    function = np.frompyfunc(VALUES[step.op, class_of(step.dtype)], len(carried), 1)
    target = operand_type(row.operands[0], step.dtype)
    with np.errstate(all="ignore"):
        value = np.asarray(function(*carried))
        if not target.is_float:
            return value.astype(np.int64).astype(np.int32)
        return value.astype(np.float64).astype(np.float32).astype(target.numpy)


# --- samples --------------------------------------------------------------------------------

_CORNERS = (0.0, 1.0, 2.0, 0.5, np.inf, np.nan)


def samples(case: Case, dtype: DType, count: int, seed: int = 0) -> list[np.ndarray]:
    """Arrays of inputs: bit patterns evenly over the whole type, and what is beside corners."""
    rng = np.random.default_rng(seed)
    whole = _patterns(dtype, count)
    special = np.array([*_CORNERS, *case.at], np.float64)
    near = _beside(np.concatenate([special, -special]), dtype)
    # Most of what happens, happens between subnormals and hundreds.
    usual = rng.uniform(-20, 20, count // 2).astype(dtype.numpy)
    far = rng.uniform(-110, 110, count // 4).astype(dtype.numpy)
    one = np.concatenate([whole, near, usual, far])
    if case.inputs == 1:
        return [one]
    corners = np.array([*_CORNERS, *(-x for x in _CORNERS), 3.0, 1e-40, 3e38], np.float64)
    with np.errstate(over="ignore"):
        grid = np.meshgrid(*[corners.astype(dtype.numpy)] * case.inputs)
    return [np.concatenate([rng.permutation(one), axis.reshape(-1)]) for axis in grid]


def _patterns(dtype: DType, count: int) -> np.ndarray:
    """Values whose bits are about ``count`` numbers evenly apart, or all that there are."""
    if dtype is DType.F16:
        every = np.arange(1 << 16, dtype=np.uint16)
        return every[:: max(len(every) // count, 1)].view(np.float16)
    step = max((1 << 32) // count, 1) | 1  # odd: the last digits vary too
    return np.arange(0, 1 << 32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def _beside(points: np.ndarray, dtype: DType) -> np.ndarray:
    """The points and the two hundred numbers of the type on either side of each."""
    word = np.uint16 if dtype is DType.F16 else np.uint32
    with np.errstate(over="ignore"):
        bits = points.astype(dtype.numpy).view(word).astype(np.int64)
    around = bits[:, None] + np.arange(-200, 201)
    return (around & np.iinfo(word).max).reshape(-1).astype(word).view(dtype.numpy)


# --- errors ---------------------------------------------------------------------------------


def errors(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distances in units in the last place that the type has at the exact results.

    What is not a number, or infinite, in one of them only is infinitely far off; a result
    that rounds to infinity may be infinite.
    """
    limits = np.finfo(got.dtype)
    digits = limits.nmant
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        wide = got.astype(np.float64)
        size = np.maximum(np.abs(exact), float(limits.tiny))
        unit = np.exp2(np.floor(np.log2(size)) - digits)
        off = np.abs(wide - exact) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    beyond = ~np.isfinite(got) | ~np.isfinite(rounded)
    largest = np.abs(exact) >= float(limits.max)
    # Beside the end of the range the largest number and infinity are neighbours.
    near = np.isinf(wide) & largest & np.isfinite(exact)
    return np.where(np.isfinite(exact) & ~beyond, off, np.where(same | near, 0.0, np.inf))


def worst(case: Case, dtype: DType, count: int, seed: int = 0) -> Worst:
    """The largest error over about ``count`` samples (of f16 over all values there are)."""
    inputs = samples(case, dtype, count, seed)
    got = evaluated(lowered(case, len(inputs[0]), dtype), inputs)
    with np.errstate(all="ignore"):
        exact = np.asarray(case.exact(*(array.astype(np.float64) for array in inputs)))
    found = errors(got, exact)
    at = int(np.argmax(found))
    broken = found > LIMIT
    if case.larger is not None:
        limits = np.finfo(got.dtype)
        with np.errstate(all="ignore"):
            off = np.abs(got.astype(np.float64) - exact)
            half = float(limits.eps) / 2
            broken &= ~(off <= case.larger.within(exact, half, float(limits.max), *inputs))
    return Worst(
        float(found[at]),
        tuple(float(array[at]) for array in inputs),
        float(got[at]),
        float(exact[at]),
        len(found),
        int(broken.sum()),
    )
