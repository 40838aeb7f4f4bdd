"""A kernel may use what its task declares, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from wsc.ir import tasks
from wsc.ir.tasks import Placed, Role, Task, parts, roles
from wsc.ir.text import parse_graph
from wsc.isa.fabric import find_fabric
from wsc.kernels import emit
from wsc.kernels.context import Context
from wsc.passes.place import Place

FABRIC = find_fabric("wse2").sized(2, 2)
LAYERS = 4
GRAPH = """\
graph "all"
input %ids : i32[5] from "int64"
input %x : f16[5,8] from "float32"
const %table : f16[9,8]
const %w : f16[8,8]
const %wide : f16[256,256]
input %z : f16[64,256] from "float32"
%rows = gather(%table, %ids) axis 0 : f16[5,8]
%sum = map(%rows, %x) { add.f16 $0 $1; div.f16 #0 $1; mul.f16 #0 #1 } : f16[5,8]
%p = contract(%sum, %w) [m, k] [k, o] -> [m, o] where m=5 k=8 o=8 : f16[5,8]
%turned = move(%p) reshape[8,5] : f16[8,5]
%q = contract(%p, %turned) [m, k] [k, o] -> [m, o] where m=5 k=8 o=5 : f16[5,5]
%s = reduce.sum(%q) [a, b] -> [a, _] where a=5 b=5 : f16[5,1]
%pick = gather(%q, %ids) axis 1 : f16[5,5]
%put = scatter.sum(%q, %ids, %pick) axis 1 : f16[5,5]
%y = map(%put, %s) { div.f16 $0 $1 } : f16[5,5]
%sums = contract(%z, %wide) [m, k] [k, o] -> [m, o] where m=64 k=256 o=256 : f16[64,256]
output "sums" = %sums as "float32"
output "y" = %y as "float32"
"""
ALONE = """\
graph "alone"
input %x : f16[128,24] from "float32"
const %w : f16[24,200]
%y = contract(%x, %w) [m, k] [k, o] -> [m, o] where m=128 k=24 o=200 : f16[128,200]
output "y" = %y as "float32"
"""
LAYER = """\
%kept{n} = keep(%y{n}) : f16[64,256]
%twice{n} = map(%y{n}) {{ add.f16 $0 $0 }} : f16[64,256]
%y{next} = contract(%twice{n}, %w{n}) [m, k] [k, n] -> [m, n] where m=64 k=256 n=256 : f16[64,256]
"""
TRAINED = f"""\
graph "trained"
input %y0 : f16[64,256] from "float32"
{"".join(f"state %w{n} : f16[256,256]{chr(10)}" for n in range(LAYERS))}
{"".join(LAYER.format(n=n, next=n + 1) for n in range(LAYERS))}
%loss = reduce.sum(%y{LAYERS}) [m, n] -> [_, _] where m=64 n=256 : f16[1,1]
%slope = contract(%kept1, %y{LAYERS}) [m, k] [m, n] -> [k, n] where m=64 k=256 n=256 : f16[256,256]
output "loss" = %loss as "float32"
output "w.grad" = %slope as "float32"
"""


@pytest.fixture(scope="module")
def placed() -> tuple[Placed, ...]:
    return tuple(Place(FABRIC).apply(parse_graph(text)) for text in (GRAPH, ALONE, TRAINED))


def found(placed: tuple[Placed, ...], kind: type[Task], field: str) -> tuple[Task, Context]:
    """The first task of a kind with something in a field, and what it is emitted into."""
    for program in placed:
        for task in program.tasks:
            if type(task) is kind and parts(task, field):
                edge = {item.name: item for item in program.edge_tensors}
                return task, Context(program.mesh, FABRIC, edge)
    raise AssertionError(f"no {kind.__name__} with {field} in these graphs")


def declare(kind: type[Task], found: Mapping[str, Role], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a kind of task declare something else, which is looked up anew."""
    monkeypatch.setitem(tasks.ROLES, kind, dict(found))
    monkeypatch.setattr(tasks, "fields_with", tasks.fields_with.__wrapped__)


OPERANDS = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kind in tasks.TASKS.values()
    for name, role in roles(kind).items()
    if role in (Role.READ, Role.WRITE, Role.SCRATCH, Role.EDGE)
    and kind not in (tasks.Aside, tasks.Arrived)  # what they name is on its way: they only wait
]


@pytest.mark.parametrize(("kind", "field"), OPERANDS)
def test_each_operand_that_is_forgotten(
    placed: tuple[Placed, ...], kind: type[Task], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, context = found(placed, kind, field)
    emit(task, context)
    without = {name: Role.FACT if name == field else role for name, role in roles(kind).items()}
    declare(kind, without, monkeypatch)
    with pytest.raises(TypeError, match=f"{kind.__name__} (uses|writes) .* it does not declare"):
        emit(task, context)


@pytest.mark.parametrize(("kind", "field"), [p for p in OPERANDS if p.values[1] == "out"])
def test_each_result_that_is_declared_to_be_read(
    placed: tuple[Placed, ...], kind: type[Task], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, context = found(placed, kind, field)
    declare(kind, roles(kind) | {field: Role.READ}, monkeypatch)
    with pytest.raises(TypeError, match="writes buffers that it declares to read"):
        emit(task, context)
