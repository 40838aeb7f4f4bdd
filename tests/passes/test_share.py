"""Outlining: bodies that differ in numbers become one procedure with parameters."""

from __future__ import annotations

from hypothesis import given, settings

from tests.conftest import Golden
from tests.passes.bodies import Body, bodies, stores
from wsc.isa.expr import Expr, Int, Name, X, expr, substitute
from wsc.isa.printer import print_statement
from wsc.isa.program import Dim, Loop, Mem, Op, Procedure, Real, Scalar
from wsc.isa.statements import rewrite
from wsc.isa.types import DType
from wsc.kernels.asm import Emission
from wsc.passes.share import Shared, put_together, take_apart
from wsc.passes.share import share as share_instances

WINDOW = 16


def scale(address: str, factor: float, count: int | Expr, stride: int = 4) -> Emission:
    """A body as a kernel emits it."""
    at = Mem(Name(address) + Name("i") * stride)
    body = (Op("mul", DType.F32, (at, at, Real(factor)), (Dim("i", expr(count)),)),)
    return Emission("scale", body, doc=("Scale a vector.",))


def show(procedure: Procedure) -> str:
    head = f"proc {procedure.name}({', '.join(procedure.parameters)})"
    return "\n".join([head, *map(print_statement, procedure.body), "end"])


def share(emissions: list[Emission], window: int) -> Shared:
    return share_instances([take_apart(emission) for emission in emissions], window)


def test_numbers_become_parameters(golden: Golden) -> None:
    emissions = [
        scale("a", 0.5, 10),
        scale("b", 0.5, 10, 8),
        scale("c", 0.5, 7 - X),
        scale("d", 2.0, 10),
    ]
    shared = share(emissions, WINDOW)
    text = "\n\n".join(map(show, shared.procedures)) + "\n\n"
    text += "\n".join(map(print_statement, shared.calls)) + "\n"
    golden("passes/share/numbers_become_parameters.txt", text)


def test_equal_bodies_share_a_procedure_without_parameters() -> None:
    shared = share([scale("a", 0.5, 10)] * 3, WINDOW)
    assert [item.parameters for item in shared.procedures] == [()]
    assert len({call.procedure for call in shared.calls}) == 1


def test_another_structure_is_another_procedure() -> None:
    plain = scale("a", 0.5, 10)
    looped = Emission("scale", (Loop("n", Int(2), plain.body),), doc=plain.doc)
    shared = share([plain, looped], WINDOW)
    assert [item.name for item in shared.procedures] == ["scale", "scale_2"]


def test_too_many_parameters_are_refused() -> None:
    """A window that cannot hold the parameters: every body keeps its own procedure."""
    shared = share([scale("a", 0.5, 10), scale("b", 0.5, 9, 8)], 2)
    assert [item.parameters for item in shared.procedures] == [(), ()]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(bodies())
def test_apart_and_together_is_the_identity(body: Body) -> None:
    instance = take_apart(Emission("body", body))
    assert len(instance.values) == len(instance.roles)
    again = put_together(instance, instance.values)
    assert stores(again) == stores(body)
    twice = take_apart(Emission("body", again))
    assert (twice.values, twice.skeleton) == (instance.values, instance.skeleton)
    assert put_together(twice, twice.values) == again


def moved(body: Body, by: int) -> Body:
    """The body with another base address."""
    other = Name("base") + by
    return rewrite(body, lambda node, _: substitute(node, {"base": other}))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(bodies())
def test_a_shared_procedure_does_what_each_body_did(body: Body) -> None:
    copies = [body, moved(body, 40)]
    shared = share([Emission("body", copy) for copy in copies], 64)
    procedures = {item.name: item for item in shared.procedures}
    for copy, call in zip(copies, shared.calls, strict=True):
        callee = procedures[call.procedure]
        arguments = dict(call.arguments)
        assert tuple(arguments) == callee.parameters
        inlined = rewrite(callee.body, lambda node, _: substitute(node, arguments))  # noqa: B023
        assert stores(inlined) == stores(copy)


def test_scalars_are_taken_apart_too() -> None:
    read = Op("i.store", None, (Mem(Int(0)), Scalar(Name("r"))))
    bodies = [
        (Op("i.mul", operands=(Scalar(Name("r")), Scalar(Int(n))), register="r"), read)
        for n in (3, 5)
    ]
    shared = share([Emission("step", body) for body in bodies], WINDOW)
    (procedure,) = shared.procedures
    assert procedure.parameters == ("r_factor",)
    assert [call.arguments for call in shared.calls] == [
        (("r_factor", Int(3)),),
        (("r_factor", Int(5)),),
    ]


def test_parameters_are_called_by_what_they_are() -> None:
    """By the task's fields, by what the kernel says of its numbers, else by their place."""

    def body(buffer: str, chunk: int, step: int, limit: int, out: str) -> Emission:
        source = Mem(Name(buffer) + Name("n") * step)
        found = (
            Op("i.mul", None, (Scalar(Name("owner")), Scalar(Int(chunk))), register="begin"),
            Op("i.store", None, (Mem(Int(0)), Scalar(Name("begin")))),
            Loop(
                "owner",
                Int(limit),
                (Op("mov", DType.F32, (Mem(Name(out)), source), (Dim("n", Int(limit + 1)),)),),
            ),
        )
        operands = {buffer: "a", out: "out"}
        return Emission("move", found, numbers={"chunk": chunk}, operands=operands)

    shared = share([body("u", 3, 8, 5, "v"), body("w", 4, 12, 7, "out")], WINDOW)
    (procedure,) = shared.procedures
    assert procedure.parameters == ("chunk", "owner_count", "out", "a", "a_n_stride", "n_count")
    again = share_instances(
        [take_apart(body("u", 3, 8, 5, "v")), take_apart(body("w", 4, 12, 7, "out"))],
        WINDOW,
        {"out", "u", "v", "w"},
    )
    assert "out2" in again.procedures[0].parameters  # a tensor has the plain name
