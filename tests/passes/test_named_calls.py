"""Entries of the edge's schedule name the call that takes or gives their elements."""

from __future__ import annotations

import pytest

import wsc
from tests.kernels.test_asm import recurrent
from tests.stacks import decoder
from wsc.isa.expr import Int
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Call, Loop, Program, Statement
from wsc.isa.statements import calls, colors_of, reachable
from wsc.isa.turns import each_transfer
from wsc.passes.emit import named_calls


def compiled(name: str) -> Program:
    model = decoder(3) if name == "layers" else recurrent("LSTM", 4, 8, 12)
    return wsc.compile(model, fabric="4x2").assembly


@pytest.mark.parametrize("name", ["layers", "recurrence"])
def test_every_stream_of_a_network_names_its_call(name: str) -> None:
    program = parse(print_program(compiled(name)))
    main = program.regions[0].main
    bodies = {procedure.name: procedure.body for procedure in program.procedures}
    named = {call.name: call for call in calls(main) if call.name}
    streams = [transfer for transfer, _ in each_transfer(program.transfers)]
    assert {transfer.call for transfer in streams} == set(named)
    for transfer in streams:
        procedure = named[transfer.call].procedure
        reached = (procedure, *reachable(bodies[procedure], bodies))
        assert transfer.color in set().union(*(colors_of(bodies[name]) for name in reached))


def test_turns_of_a_loop_have_one_name() -> None:
    body: tuple[Statement, ...] = (Call("take"), Call("step"))
    main = (Call("take"), Loop("layer", Int(2), (Loop("turn", Int(2), body), Call("give"))))
    has = {"take": True, "step": False, "give": True}
    turn = ["take", "step", "take", "step", "give"]
    new, names = named_calls(main, [has[name] for name in ["take", *turn, *turn]])
    assert names == ["c1", *(["c2", "", "c2", "", "c3"] * 2)]
    assert [call.name for call in calls(new)] == ["c1", "c2", "", "c3"]
