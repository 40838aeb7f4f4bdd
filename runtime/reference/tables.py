"""The tables of a run of the reference engine: made for an image, before the first cycle."""

from __future__ import annotations

import math

import numpy as np

from wsc.isa.types import DType
from wsc.runtime.clocked.tables import Tables, code, cores, counts, edge, messages, numbers, routers
from wsc.runtime.image import Image
from wsc.runtime.kernels.operations import domains, operations
from wsc.runtime.reference.captured import capture_tables
from wsc.runtime.reference.chains import cause_tables
from wsc.runtime.reference.compiled import Machine
from wsc.runtime.reference.findings import race_tables
from wsc.runtime.reference.records import (
    CELL,
    LINK,
    RUN,
    TILE,
)
from wsc.runtime.runs import Options
from wsc.runtime.tables import TYPE_INDEX
from wsc.runtime.values.build import HALF, fabric_words, literals, wanted_operations

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
    moving = messages(image)
    tables: Tables = {
        "now": now,
        **_code(image),
        **cores(image, units, TILE),
        **_routers(image),
        **edge(image),
        **moving,
        **counts(image, units, options),
        **race_tables(image, options.check_races, now),
        **cause_tables(image, options.causes, now, len(moving["dynamic_cells"])),
        **capture_tables(image, options.captures, now),
        "link": np.zeros(6 * tiles, LINK),
        "unit_held": np.zeros((tiles * units, 4), np.int64),
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
    """The code and its operations."""
    wanted = wanted_operations(image.code)
    return {
        **code(image),
        "literals": literals(image.code.reals),
        "half": HALF,
        "operations": operations(wanted),
        "domains": domains(wanted),
        "words": np.zeros(8, np.int32),
        "at": np.zeros(4, np.int64),
        "go_on": np.zeros(4, np.int64),
    }


def _routers(image: Image) -> Tables:
    """Routers in their first state, whose turn it is on their links, and lists of routers."""
    return {
        **routers(image),
        "cells": np.zeros(max(image.routes.cells, 1), CELL),
        "turns": np.full((image.tiles, 6), -1, np.int8),
        "wanted": np.zeros(5, np.int64),
        "active": np.zeros(2 * image.tiles, np.int64),
    }


def _tensors(image: Image, tensors: dict[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Address of every edge tensor; and the arrays."""
    table = np.zeros(max(len(image.program.edge_tensors), 1), np.int64)
    kept: list[np.ndarray] = []
    for number, tensor in enumerate(image.program.edge_tensors):
        if tensor.kind.stored:
            data = fabric_words(image.weights[tensor.name])
        else:
            data = tensors[tensor.name]
        assert data.size == math.prod(tensor.shape)
        table[number] = data.ctypes.data
        kept.append(data)
    return table, kept
