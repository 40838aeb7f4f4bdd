"""Registers that only make addresses are not computed, and no time changes by that."""

from __future__ import annotations

import pytest

from tests.cost.cases import KERNELS
from tests.fabric import build
from wsc.cost import threads
from wsc.cost.decisive import condensed, decisive
from wsc.cost.predict import predict
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Procedure, Statement
from wsc.isa.statements import assigned

TEXT = """wsc 1
fabric "wse2" 1x1
region all at 0,0 size 1x1

proc fill(at, count, times)
  i.mul begin, at, 4
  i.add length, count, 1
  i.load from, [begin]
  loop t: times
    i.add begin, begin, from
    mov.f32 [begin + i*4], 0.0 for i:length
  end
end

main all
  i.set n, 3
  i.set m, 5
  call fill(at = m, count = n, times = 2)
end
"""


def test_what_decides() -> None:
    program = parse(TEXT)
    found, main = decisive(program.procedures, program.regions[0].main)
    assert found == {"fill": frozenset({"times", "length", "count"})}
    assert main == {"n"}
    by_address, main = decisive(program.procedures, program.regions[0].main, addresses=True)
    assert by_address["fill"] >= found["fill"] | {"at", "begin", "from"}
    assert main == {"n", "m"}
    (fill,) = program.procedures
    scalars, loop = condensed(fill.body, found["fill"], find_fabric("1x1"))
    assert loop is fill.body[-1]
    assert (scalars.count, scalars.sram) == (3, 4)  # type: ignore[union-attr]
    assert [op.register for op in scalars.computed] == ["length"]  # type: ignore[union-attr]


@pytest.mark.parametrize("fabric", ["4x3", "30x2"])
@pytest.mark.parametrize("name", ["transpose", "reshape", "slice", "tile", "concat", "gather"])
def test_times_are_as_if_all_were_computed(
    name: str, fabric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = (case for case in KERNELS if case.name == name)
    program = build(case.build()[0], fabric)
    some = predict(program.assembly, program.fabric)

    def every(
        procedures: tuple[Procedure, ...], main: tuple[Statement, ...], _addresses: bool
    ) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
        found = {p.name: frozenset([*assigned(p.body), *p.parameters]) for p in procedures}
        return found, frozenset(assigned(main))

    monkeypatch.setattr(threads, "decisive", every)
    assert predict(program.assembly, program.fabric) == some
