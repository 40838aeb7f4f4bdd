"""Names that bodies of instructions give: registers and iterations never share one."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import wsc
from wsc.comparison.compare import session_options
from wsc.isa.expr import Name, names
from wsc.isa.program import Mem, Op
from wsc.isa.statements import assigned, iterations
from wsc.isa.types import DType
from wsc.kernels.asm import Asm, At
from wsc.kernels.registers import compact


def _walk(asm: Asm, base: Name, key: str) -> None:
    """Double four elements from a base on."""
    place = At(base, {key: 4})
    asm.vector("add", DType.F32, place, place, place, dims=[(key, 4)])


def test_an_iteration_does_not_take_the_name_of_a_register() -> None:
    asm = Asm(4)
    base = asm.register("t")
    asm.set(base, 64)
    _walk(asm, base, "t")
    assert not iterations(asm.body) & set(assigned(asm.body))
    *_, op = asm.body
    assert isinstance(op, Op)
    for operand in op.operands:
        assert isinstance(operand, Mem)
        assert set(names(operand.address)) == {"t", "t2"}


def test_a_register_does_not_take_the_name_of_an_iteration() -> None:
    asm = Asm(4)
    _walk(asm, Name("buffer"), "t")
    _walk(asm, asm.set(asm.register("t"), 64), "n")
    assert (set(assigned(asm.body)), iterations(asm.body)) == ({"t2"}, {"t", "n"})


def test_sharing_registers_leaves_iterations_alone() -> None:
    """A register that takes over another's name renames nothing else of that name."""
    asm = Asm(4)
    first = asm.set(asm.register("begin"), 64)
    _walk(asm, first, "n")
    second = asm.set(asm.register("t"), 128)
    _walk(asm, second, "t")
    body = compact(asm.body, asm.registers)
    assert set(assigned(body)) == {"begin"}
    *_, op = body
    assert isinstance(op, Op)
    assert [dim.name for dim in op.dims] == ["t2"]
    assert isinstance(op.operands[0], Mem)
    assert set(names(op.operands[0].address)) == {"begin", "t2"}


def recurrent(kind: str, gates: int, units: int, size: int) -> ModelProto:
    """A MatMul, then two steps of a recurrence."""
    rng = np.random.default_rng(0)
    shapes = {"w": (size, units), "i": (1, gates * units, units), "r": (1, gates * units, units)}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node(kind, ["a", "i", "r"], ["y"], hidden_size=units),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 1, 1, units])],
        [
            numpy_helper.from_array(rng.uniform(-0.1, 0.1, shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("kind", "gates"), [("GRU", 3), ("LSTM", 4)])
def test_a_wide_recurrence_over_few_steps(kind: str, gates: int) -> None:
    model = recurrent(kind, gates, 320, 8)
    program = wsc.compile(model, fabric="4x4")
    for procedure in program.assembly.procedures:
        taken = {*assigned(procedure.body), *procedure.parameters}
        assert not taken & iterations(procedure.body), procedure.name
    feeds = {"x": np.random.default_rng(1).standard_normal((2, 1, 8)).astype(np.float32)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    (want,) = session.run(None, feeds)
    np.testing.assert_allclose(program.run(feeds).outputs["y"], np.asarray(want), atol=1e-5)
