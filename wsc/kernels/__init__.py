"""The kernel library: one file a kernel, one function from task to instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from wsc.ir.tasks import (
    TASKS,
    Arrived,
    Aside,
    ContractTask,
    GatherTask,
    Load,
    LookupTask,
    MapTask,
    MoveTask,
    ReduceTask,
    Risen,
    ScatterTask,
    Store,
    Task,
    edge_names,
    operand_names,
    scratch,
    views,
    written,
)
from wsc.isa.expr import RESERVED, names
from wsc.isa.program import Mem, Op
from wsc.isa.statements import assigned, expressions, iterations, statements
from wsc.isa.table import BY_NAME, Category
from wsc.kernels.asm import Emission
from wsc.kernels.context import SYNC, Context
from wsc.kernels.contract import emit_contract
from wsc.kernels.elementwise import emit_map
from wsc.kernels.gather import emit_gather
from wsc.kernels.movement import emit_move
from wsc.kernels.reduce import emit_reduce
from wsc.kernels.scatter import emit_scatter
from wsc.kernels.transfer import (
    emit_arrived,
    emit_aside,
    emit_load,
    emit_lookup,
    emit_risen,
    emit_store,
)

KERNELS: dict[type, Callable[[Any, Context], Emission]] = {
    Load: emit_load,
    Store: emit_store,
    Risen: emit_risen,
    Aside: emit_aside,
    Arrived: emit_arrived,
    MapTask: emit_map,
    ReduceTask: emit_reduce,
    ContractTask: emit_contract,
    MoveTask: emit_move,
    LookupTask: emit_lookup,
    GatherTask: emit_gather,
    ScatterTask: emit_scatter,
}

_WITHOUT = [kind for kind in TASKS.values() if kind not in KERNELS]
if _WITHOUT:
    raise TypeError(f"no kernel for {', '.join(kind.__name__ for kind in _WITHOUT)}")


def emit(task: Task, context: Context) -> Emission:
    """Instructions and edge transfers of one task.

    Raises:
        TypeError: the kernel uses a buffer or an edge tensor that the task does not declare, so
            that memory assignment would not know of it.
    """
    emission = KERNELS[type(task)](task, context)
    _check(task, emission)
    return replace(emission, operands=operand_names(task))


def _check(task: Task, emission: Emission) -> None:
    """A kernel uses what its task declares, and changes only what the task writes."""
    used, changed = set[str](), set[str]()
    for statement in statements(emission.body):
        used |= {name for node in expressions(statement) for name in names(node)}
        if isinstance(statement, Op) and statement.operands:
            target = statement.operands[0]
            stores = BY_NAME[statement.name].category is not Category.LOAD
            if stores and isinstance(target, Mem):
                changed |= set(names(target.address))
    # What a body counts with is its own.
    own = {*assigned(emission.body), *iterations(emission.body), *RESERVED, SYNC}
    writes = {*(view.buffer for view in written(task)), *scratch(task)}
    known = {view.buffer for view in views(task)} | writes
    streams = {transfer.tensor for transfer in emission.transfers}
    kind = type(task).__name__
    _refuse(kind, "uses buffers that it does not declare", used - own - known)
    _refuse(kind, "writes buffers that it declares to read", changed - own - writes)
    _refuse(kind, "uses edge tensors that it does not declare", streams - {*edge_names(task)})


def _refuse(kind: str, what: str, names: Iterable[str]) -> None:
    if names:
        raise TypeError(f"{kind} {what}: {', '.join(sorted(names))}")
