"""The tables of a run for time, in their first state."""

from __future__ import annotations

import math

import numpy as np

from wsc.isa.types import Side
from wsc.runtime.clocked.tables import (
    Tables,
    code,
    cores,
    counts,
    edge,
    messages,
    numbers,
    routers,
)
from wsc.runtime.image import Image
from wsc.runtime.kernels.operations import domains, operations
from wsc.runtime.kernels.words import WORD, WORDS
from wsc.runtime.record import Record
from wsc.runtime.routes import SLOT
from wsc.runtime.runs import Options
from wsc.runtime.tables import Kind, by_name, zeros
from wsc.runtime.time.blocks import Blocks, Stations, laned_colors, set_lanes
from wsc.runtime.time.compiled import Machine
from wsc.runtime.time.links import LINKS
from wsc.runtime.time.profiles import profiles
from wsc.runtime.time.records import (
    CELL,
    CLAIM,
    DEEPEST_BUFFER,
    DUE,
    FARTHEST,
    GROUP,
    GROUPS,
    HEADING,
    LANES,
    LEAST_GROUPS,
    LINK,
    MEMBER,
    MESSAGE_BLOCK,
    MESSAGE_CELL,
    MESSAGE_INPUT,
    MESSAGE_OUTPUT,
    PASSAGE,
    RUN,
    SIDES,
    TILE,
    message_cycles,
    most_headers,
    way_cycles,
)


def make_machine(image: Image, record: Record | None, options: Options) -> tuple[Machine, Stations]:
    """The tables of a run, and where its slots are in that of stations.

    The tables of the image that a run changes are copied.
    """
    units, slots = image.code.units + 1, routers(image)
    laned = laned_colors(image, options)
    named = by_name(slots["slots"], SLOT)[: int(image.routes.slot_first[-1])]
    named.guided[:] = ~laned[named.color]
    blocks = Blocks.of(image.program.width, image.program.height)
    stations = Stations(image, slots["slots"], blocks)
    tables: Tables = {
        "now": _run(image, stations, blocks, options),
        **_code(image, record),
        **cores(image, units, TILE),
        **_groups(image, blocks, units),
        **slots,
        **_switched(image),
        **_places(stations, blocks),
        **_network(image, stations, blocks),
        **_ports(image),
        **messages(image),
        **_messages(image, blocks, options),
        **counts(image, units, options),
    }
    tables["tile"]["record"] = tables["record_first"][:-1]
    return Machine(tables), stations


def _run(image: Image, stations: Stations, blocks: Blocks, options: Options) -> np.ndarray:
    """The record of the run: numbers of the fabric, and how long tables are."""
    now = np.zeros(1, RUN)
    whole, rest = divmod(image.fabric.link_millicycles, 1000)
    parts = math.gcd(rest, 1000)
    values = numbers(image, image.code.units + 1, options) | {
        "slots": len(image.routes.slots),
        "stations": len(stations.table),
        "pitch": blocks.pitch,
        "plane": blocks.plane,
        "ring": _ring(image),
        "way": way_cycles(image.fabric),
        "digits": int(image.routes.depths.max(initial=1)).bit_length(),
        # How long a wavelet takes a link: see ``links``. No digits if no longer than a cycle.
        "link_digits": (whole - 1 + (rest > 0)).bit_length(),
        "link_parts": 1000 // parts,
        "link_part": rest // parts,
        "meshed": meshed(image, options),
        "span": message_cycles(image.fabric),
        "headings": most_headers(image.fabric),
    }
    for name, value in values.items():
        now[name] = value
    return now


def _code(image: Image, record: Record | None) -> Tables:
    """The code, what its integer instructions do, and what was loaded where data decide."""
    rows = image.code.records
    scalar = rows.opcode[rows.kind == Kind.SCALAR]
    wanted = {(opcode, True) for opcode in np.unique(scalar).tolist()}
    if record is None:
        deciding, loaded = np.zeros(len(rows), np.int8), np.zeros(1, np.int32)
        first = np.zeros(image.tiles + 1, np.int64)
    else:
        deciding, loaded, first = record.deciding, np.append(record.loaded, 0), record.first
    return {
        **code(image),
        "profiles": profiles(image),
        "operations": operations(wanted),
        "domains": domains(wanted),
        "words": np.zeros(4, np.int32),
        "deciding": deciding,
        "record": loaded.astype(np.int32),
        "record_first": first,
    }


def _groups(image: Image, blocks: Blocks, units: int) -> Tables:
    """Groups, all of them free."""
    most = min(LEAST_GROUPS + GROUPS * units * blocks.count, image.tiles * units + 1)
    groups = zeros(most, GROUP)
    groups["next"] = np.append(np.arange(1, most), -1)
    return {
        "groups": groups,
        "group_first": np.full(blocks.count * units, -1, np.int64),
        "live": np.zeros(most, np.int64),
        "due_lanes": zeros(most * DUE, LANES),
        "member": zeros(image.tiles * units, MEMBER),
    }


def _switched(image: Image) -> Tables:
    """Slots that go one by one: cells without wavelets, and nobody on the lists."""
    slots = len(image.routes.slots)
    return {
        "cells": np.zeros(max(image.routes.cells, 1), CELL),
        "switched": np.zeros(2 * slots, np.int64),
        "switched_listed": np.zeros(slots, np.int8),
    }


def _places(stations: Stations, blocks: Blocks) -> Tables:
    """Which block, lane and station each tile and slot is."""
    return {
        "stations": stations.table,
        "slot_station": np.append(stations.station, 0).astype(np.int64),
        "puts": np.zeros(len(stations.station) + 1, np.int64),
        "corner": blocks.corner,
        "tile_block": blocks.block,
        "tile_lane": blocks.lane,
    }


def _network(image: Image, stations: Stations, blocks: Blocks) -> Tables:
    """What is under way, who could take which link, and the lists of a cycle: all empty."""
    count, links = len(stations.table), blocks.count * LINKS
    words = blocks.plane * max(len(image.program.colors), 1)
    first, rivals = _rivals(stations.table, blocks.count)
    return {
        "rising": zeros(count * _ring(image), LANES),
        "falling": zeros(count * _ring(image), LANES),
        "coming": zeros(count * way_cycles(image.fabric), LANES),
        "rooms": np.zeros(words, np.int64),
        "sent": np.zeros(4 * words, np.int64),
        "links": zeros(links, LINK),
        "taken_list": np.zeros(links, np.int64),
        "claims": zeros(count * LINKS, CLAIM),
        "rivals": rivals,
        "rivals_first": first,
        "edges": _edges(image, blocks),
        "wanting": np.zeros(blocks.count, np.int64),
        "wanting_blocks": np.zeros(blocks.count, np.int64),
        "listing": np.zeros(2 * count, np.int64),
        "claimants": np.zeros(count, np.int64),
    }


def meshed(image: Image, options: Options) -> bool:
    """Whether the dynamic network goes as lanes.

    Delays are drawn for each wavelet; and a deep buffer has many cells to go through, a long way
    many cycles to look ahead.
    """
    fabric = image.fabric
    near = max(fabric.hop_cycles, fabric.ramp_latency) <= FARTHEST
    shallow = fabric.dynamic_places <= DEEPEST_BUFFER
    return bool(image.code.sends) and near and shallow and options.delays is None


def _messages(image: Image, blocks: Blocks, options: Options) -> Tables:
    """The dynamic network as lanes, empty; without blocks if it does not go so."""
    lanes = meshed(image, options)
    count, tiles = (blocks.count, image.tiles) if lanes else (0, 0)
    row, column = np.divmod(np.arange(count), blocks.columns)
    of_block = zeros(max(count, 1), MESSAGE_BLOCK)
    of_block["first"][:count] = (column + 1) * blocks.pitch + 1 + row * WORDS
    of_block["x"][:count], of_block["y"][:count] = column * WORD, row * WORDS
    # The blocks around each, numbered by rows.
    number = np.full((blocks.count // blocks.columns + 2, blocks.columns + 2), -1)
    number[1:-1, 1:-1] = np.arange(blocks.count).reshape(-1, blocks.columns)
    steps = [side.step for side in list(Side)[:4]]
    around = [number[row + 1 + dy, column + 1 + dx] for dx, dy in steps]
    inputs, words = max(count * SIDES, 1), 4 * blocks.plane
    depth, ahead = (image.fabric.dynamic_places, message_cycles(image.fabric)) if lanes else (1, 1)
    return {
        "message_blocks": of_block,
        "message_beside": np.append(np.stack(around, axis=1).reshape(-1), -1),
        "message_inputs": zeros(inputs, MESSAGE_INPUT),
        "message_cells": zeros(inputs * depth, MESSAGE_CELL),
        "message_coming": zeros(inputs * ahead, LANES),
        "message_outputs": zeros(inputs, MESSAGE_OUTPUT),
        "passages": zeros(inputs * SIDES, PASSAGE),
        "message_rooms": np.full(words, -1),  # buffers of blocks that nothing has come to are free
        "message_sent": np.zeros(words, np.int64),
        "message_last": np.zeros(words, np.int64),
        "headings": np.zeros(tiles * SIDES * most_headers(image.fabric) + 1, HEADING),
        "heading_count": np.zeros(tiles * SIDES + 1, np.int8),
    }


def _ports(image: Image) -> Tables:
    """The edge, and the lists of ports that may feed."""
    ports = len(image.schedule.port_first) - 1
    return {
        **edge(image),
        "port_listed": np.zeros(ports, np.int8),
        "port_list": np.zeros(2 * ports, np.int64),
    }


def _ring(image: Image) -> int:
    """Cycles that the ring of a ramp looks ahead: a power of two."""
    return 1 << int(image.fabric.ramp_latency).bit_length()


def _rivals(stations: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """The stations that could use each link of a block, in the order of their colors."""
    first, rivals = [0], list[int]()
    by_block: dict[int, list[int]] = {}
    for station, block in enumerate(stations["block"].tolist()):
        by_block.setdefault(block, []).append(station)
    ways = stations["ways"].tolist()
    for block in range(blocks):
        for side in range(LINKS):
            rivals += [station for station in by_block.get(block, ()) if ways[station] >> side & 1]
            first.append(len(rivals))
    return np.array(first), np.array([*rivals, 0])


def _edges(image: Image, blocks: Blocks) -> np.ndarray:
    """The tiles of each block whose link on a side leads over the edge of the fabric."""
    width, height = image.program.width, image.program.height
    edges = np.zeros((blocks.count, LINKS, WORDS), np.int64)
    tiles = np.arange(width * height).reshape(height, width)
    outermost = {
        Side.NORTH: tiles[0],
        Side.EAST: tiles[:, -1],
        Side.SOUTH: tiles[-1],
        Side.WEST: tiles[:, 0],
    }
    for side, tile in outermost.items():
        set_lanes(edges[:, side.index], blocks.block[tile], blocks.lane[tile])
    return edges.reshape(-1).view(LANES)
