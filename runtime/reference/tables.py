"""The tables of a run of the reference engine: made for an image, before the first cycle."""

from __future__ import annotations

import math

import numpy as np

from wsc.isa.program import Kind as Edge
from wsc.isa.table import TABLE
from wsc.isa.types import DType
from wsc.runtime.clocked.records import BUFFER, LOCK, MESSAGE, UNIT
from wsc.runtime.image import Image
from wsc.runtime.reference.compiled import Machine
from wsc.runtime.reference.findings import race_tables
from wsc.runtime.reference.records import (
    CELL,
    RUN,
    TILE,
    TRAIT,
    WHEEL,
    Counts,
)
from wsc.runtime.reference.vectors import MEMORY
from wsc.runtime.runs import Options
from wsc.runtime.start import Tables, cores, counts, edge, messages, numbers
from wsc.runtime.tables import TYPE_INDEX, Col, Kind, Ocol
from wsc.runtime.values.build import HALF, fabric_words, literals, wanted_operations
from wsc.runtime.values.operations import domains, operations

F16 = TYPE_INDEX[DType.F16]


def make_machine(
    image: Image, tensors: dict[str, np.ndarray], options: Options
) -> tuple[Machine, list[np.ndarray]]:
    """The tables of a run; those of the image that a run changes are copied.

    tensors: inputs and outputs, flat. Returns also the arrays that must live as long.
    """
    units, tiles = image.code.units + 1, image.tiles
    now = np.zeros(1, RUN)
    shuffle = 0 if options.shuffle is None else options.shuffle * 2 + 1
    for name, value in (numbers(image, units, options) | {"shuffle": shuffle}).items():
        now[name] = value
    addresses, kept = _tensors(image, tensors)
    sram = np.zeros(tiles * image.data_bytes // 4, np.int32)
    ports = len(image.schedule.port_first) - 1
    tables: Tables = {
        "now": now,
        **_code(image),
        **cores(image, units, TILE, UNIT),
        **_routers(image),
        **edge(image),
        **messages(image, BUFFER, LOCK, MESSAGE),
        **counts(image, units, options),
        **race_tables(image, options.check_races, now),
        "unit_held": np.zeros((tiles * units, 4), np.int64),
        "wheel": np.full(WHEEL, -1, np.int64),
        "due": np.zeros(tiles, np.int64),
        "sram": sram,
        "halves": sram.view(np.uint16),
        "tensors": addresses,
        "port_mask": np.zeros(ports, np.int64),
        "port_listed": np.zeros(ports, np.int8),
        "port_active": np.zeros(2 * ports, np.int64),
        "lookup_value": np.zeros(int(image.schedule.lookups[:, 1].sum()) + 1, np.int64),
    }
    return Machine(tables), kept


def _code(image: Image) -> Tables:
    """The code, its operations, and what its steps count."""
    code = image.code
    wanted = wanted_operations(code.rows)
    return {
        "rows": code.rows,
        "operands": code.operands,
        "refs": code.refs,
        "lists": code.lists,
        "registers": code.registers,
        "pool": code.pool,
        "timing": image.timing,
        "regions": image.regions,
        "traits": _traits(image),
        "literals": literals(code.reals),
        "half": HALF,
        "operations": operations(wanted),
        "domains": domains(wanted),
        "words": np.zeros(8, np.int32),
        "at": np.zeros(4, np.int64),
        "go_on": np.zeros(4, np.int64),
    }


def _traits(image: Image) -> np.ndarray:
    """What each step of each vector instruction adds to counters."""
    table = np.zeros(len(image.code.rows), TRAIT)
    for number, row in enumerate(image.code.rows.tolist()):
        if row[Col.KIND] != Kind.VECTOR:
            continue
        table["counts"][number] = Counts.ELEMENTS
        table["macs"][number] = TABLE[row[Col.OPCODE]].macs
        if table["macs"][number]:
            half = row[Col.DTYPE] == F16
            table["counts"][number] = Counts.MACS_F16 if half else Counts.MACS_F32
        first = row[Col.OPERANDS]
        for k, operand in enumerate(image.code.operands[first : first + row[Col.COUNT]].tolist()):
            if operand[Ocol.KIND] == MEMORY:
                twice = k == 0 and TABLE[row[Col.OPCODE]].accumulates
                size = 2 if operand[Ocol.TYPE] == F16 else 4
                table["bytes"][number] += size * (2 if twice else 1)
    return table


def _routers(image: Image) -> Tables:
    """Slots and FIFOs in their first state, and lists of routers."""
    routes = image.routes
    return {
        "slots": routes.slots.copy(),
        "slot_first": routes.slot_first,
        "slot_of": routes.slot_of,
        "positions": routes.positions,
        "fifos": routes.fifos.copy(),
        "cells": np.zeros(max(routes.cells, 1), CELL),
        "turns": np.full((image.tiles, 6), -1, np.int8),
        "active": np.zeros(2 * image.tiles, np.int64),
    }


def _tensors(image: Image, tensors: dict[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Address of every edge tensor, and whether its elements are f16; and the arrays."""
    table = np.zeros((max(len(image.program.edge_tensors), 1), 2), dtype=np.int64)
    kept: list[np.ndarray] = []
    for number, tensor in enumerate(image.program.edge_tensors):
        if tensor.kind is Edge.WEIGHT:
            data = fabric_words(image.weights[tensor.name])
        else:
            data = tensors[tensor.name]
        assert data.size == math.prod(tensor.shape)
        table[number] = data.ctypes.data, int(tensor.dtype is DType.F16)
        kept.append(data)
    return table, kept
