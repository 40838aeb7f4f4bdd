"""The kernel library: one file a kernel, one function from task to instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wsc.ir.tasks import (
    ContractTask,
    GatherTask,
    Load,
    LookupTask,
    MapTask,
    MoveTask,
    ReduceTask,
    ScatterTask,
    Store,
    Task,
)
from wsc.kernels.asm import Emission
from wsc.kernels.context import Context
from wsc.kernels.contract import emit_contract
from wsc.kernels.elementwise import emit_map
from wsc.kernels.gather import emit_gather
from wsc.kernels.movement import emit_move
from wsc.kernels.reduce import emit_reduce
from wsc.kernels.registers import assigned, compact
from wsc.kernels.scatter import emit_scatter
from wsc.kernels.transfer import emit_load, emit_lookup, emit_store

KERNELS: dict[type, Callable[[Any, Context], Emission]] = {
    Load: emit_load,
    Store: emit_store,
    MapTask: emit_map,
    ReduceTask: emit_reduce,
    ContractTask: emit_contract,
    MoveTask: emit_move,
    LookupTask: emit_lookup,
    GatherTask: emit_gather,
    ScatterTask: emit_scatter,
}


def emit(task: Task, context: Context) -> Emission:
    """Instructions and edge transfers of one task."""
    emission = KERNELS[type(task)](task, context)
    return replace(emission, body=compact(emission.body, assigned(emission.body)))
