"""The state of a run for time: named records and tables, from one schema.

Tiles are lanes. A *block* is a piece of the fabric of 8 rows and 64 columns: its tiles are the
lanes of one value, row ``y`` in word ``y % 8`` and column ``x`` in bit ``x % 64``. A *station* is a
color in a block: its router buffers and the cores' queues of that color. A *group* is what executes
one instruction at a time in a block: units with the same number whose operands are the same. A
count of wavelets is a few lanes, one for each binary digit: ``free0`` is the lowest digit of the
free cells of all router buffers of a station.

Colors with switches go slot by slot: a *slot* is a color with a route in a tile, a *FIFO* is a
router buffer or a queue of a core, and its cells hold cycles, and no values. A *unit* is the main
thread of a tile or one of its stream units, ``tile * units + unit``. Columns of the tables that
come with the image are in ``wsc.runtime.tables``, ``routes`` and ``schedule``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.isa.fabric import Fabric
from wsc.runtime.clocked import records as clocked
from wsc.runtime.clocked.records import FLAT, SIDES, WHEEL
from wsc.runtime.kernels.words import FIELD
from wsc.runtime.observations.records import (
    NEVER,
    Fault,
    Mode,
    Reason,
    Status,
)
from wsc.runtime.tables import LINE

__all__ = [
    "NEVER",
    "SIDES",
    "TABLES",
    "WHEEL",
    "Fault",
    "Mode",
    "Reason",
    "Status",
]

DIGITS = 6  # of a count of cells, at most
DEEPEST = (1 << DIGITS) - 1  # cells of a FIFO that such a count has room for
FARTHEST = 63  # cycles from a router to the next that lanes have room for
TAKEN_DIGITS = 10  # of the cycles that a link is still taken
REST_DIGITS = 11  # of the part of a cycle that its wavelets have taken beyond whole ones
LEFT_DIGITS = 6  # of the rows of an instruction that are counted as lanes
MOST_LEFT = (1 << LEFT_DIGITS) - 1
DUE = 64  # cycles that a group looks ahead
LEAST_GROUPS, GROUPS = 64, 12  # that there is room for: at least, and for each unit of a block
DEEPEST_BUFFER = 16  # cells of a dynamic router's input buffer that go as lanes
PASSED_DIGITS = 10  # of the wavelets over a link of the dynamic network that are counted as lanes
ALONE = -1  # rows of a member that came to no group with its first row, and does not try again


def way_cycles(fabric: Fabric) -> int:
    """Cycles that the ring of what is on its way between routers looks ahead: a power of two.

    One where a wavelet can always be seen in the cycle after, or where no color goes as lanes.
    """
    longest = fabric.hop_cycles + fabric.turn_cycles
    return 1 << longest.bit_length() if 1 < longest <= FARTHEST else 1


def message_cycles(fabric: Fabric) -> int:
    """Cycles that the ring of what is under way in the dynamic network looks ahead: as above."""
    return 1 << max(fabric.hop_cycles, fabric.ramp_latency).bit_length()


def most_headers(fabric: Fabric) -> int:
    """Messages whose headers are in one input buffer: each has a second one and an element."""
    return -(-fabric.dynamic_places // 3)


def place_of(record: np.dtype[Any], field: str) -> int:
    """Where a field is in a record, in bytes."""
    (place,) = (found[1] for name, found in (record.fields or {}).items() if name == field)
    return int(place)


LANES = np.dtype([("lanes", *FIELD)])  # by themselves


def _digits(name: str, count: int = DIGITS) -> list[tuple[object, ...]]:
    return [(f"{name}{digit}", *FIELD) for digit in range(count)]


def _lined(fields: list[Any]) -> np.dtype[Any]:
    """A record in whole lines of the processor's cache, with each field of lanes in one line."""
    names, formats, offsets, end = list[str](), list[Any](), list[int](), 0
    for name, *kind in fields:
        of = np.dtype(tuple(kind)) if len(kind) > 1 else np.dtype(kind[0])
        start = -(-end // of.itemsize) * of.itemsize
        end = start + of.itemsize
        names.append(name)
        formats.append(of)
        offsets.append(start)
    size = -(-end // LINE) * LINE
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


STATION = _lined(
    [
        ("color", np.int64),
        ("block", np.int64),
        ("first", np.int64),  # place of its block in the tables that its neighbours look at
        ("sources", np.int64),  # mask of the sides from which some tile receives
        ("ways", np.int64),  # and of those to which some tile sends
        ("north", np.int64),  # the color's stations in the blocks around it, or -1
        ("east", np.int64),
        ("south", np.int64),
        ("west", np.int64),
        ("listed", np.int64),  # last cycle for which it is on a list
        ("claims", np.int64),  # of a color with switches: links that it wants in this cycle
        ("until", np.int64),  # first cycle in which nothing of it is under way on a ramp
        # Routes.
        ("to_north", *FIELD),  # tiles that send this way, to a neighbour that takes it or the edge
        ("to_east", *FIELD),
        ("to_south", *FIELD),
        ("to_west", *FIELD),
        ("to_core", *FIELD),
        ("from_core", *FIELD),
        ("stuck", *FIELD),  # tiles that also send to a neighbour that never takes it
        ("leaves", *FIELD),  # tiles that send over the edge of the fabric
        ("bent", *FIELD),  # tiles that receive what has turned in the router before
        # Router buffers: free cells, wavelets that can be seen, and sides that have the head, in
        # the order of their numbers.
        *_digits("free"),
        *_digits("seen"),
        ("has", *FIELD),  # whether a wavelet is seen, and whether a cell was free, in this cycle
        ("room", *FIELD),
        ("had_north", *FIELD),
        ("had_east", *FIELD),
        ("had_south", *FIELD),
        ("had_west", *FIELD),
        ("had_core", *FIELD),
        ("fed", *FIELD),  # by the edge in this cycle
        # The core's input queues.
        *_digits("in_free"),
        *_digits("in_seen"),
        ("in_has", *FIELD),
        ("in_room", *FIELD),
        ("taken", *FIELD),  # by the core in this cycle
        # The core's output queues.
        *_digits("out_free"),
        *_digits("out_seen"),
        ("out_has", *FIELD),
        ("out_room", *FIELD),
        ("put", *FIELD),  # by the core in this cycle
        # Who is to be woken: units that wait for a wavelet or for room, and ports for room.
        ("readers", *FIELD),
        ("writers", *FIELD),
        ("feeders", *FIELD),
    ]
)

CLAIM = np.dtype(  # of a station on a link of its tiles
    [
        ("wants", *FIELD),  # tiles where it could take the link in this cycle
        ("won", *FIELD),  # and where it does
        ("last", *FIELD),  # tiles where it was the last that took it
    ]
)

LINK = np.dtype(  # a link of all tiles of a block, to their neighbours on one side
    [
        ("crossed", *FIELD),  # tiles in which a wavelet takes it in this cycle
        ("busy", *FIELD),  # and where one has taken it before, and it is not free yet
        *_digits("taken", TAKEN_DIGITS),  # cycles until then
        *_digits("rest", REST_DIGITS),  # parts of a cycle; see ``links``
    ]
)

GROUP = _lined(
    [
        ("unit", np.int64),
        ("block", np.int64),
        ("row", np.int64),  # of the code
        ("cycles", np.int64),  # of a row of the instruction
        # Stations of its operands, or -1: two whose input queues it takes from, and one whose
        # output queue it puts into.
        ("first_input", np.int64),
        ("second_input", np.int64),
        ("output", np.int64),
        ("members", np.int64),  # units in it
        ("next", np.int64),  # group of the same unit and block, or the next free one
        ("place", np.int64),  # in the list of groups that have members
        ("all", *FIELD),
        ("ready", *FIELD),  # those that could start a row, if their queues let them
        *_digits("left", LEFT_DIGITS),  # rows to go, the last few
        *_digits("no_room", LEFT_DIGITS),  # cycles that a main thread waited for room,
        *_digits("no_second", LEFT_DIGITS),  # and for its second operand when the first was there
    ]
)

MEMBER = np.dtype(  # a unit whose instruction a group executes, or could
    [
        ("rows", np.int64),  # rows that were to go when it came; or ALONE, or 0: not tried yet
        # Cycles of waits that the group's counts have no digits for.
        ("no_room", np.int64),
        ("no_second", np.int64),
    ]
)

# The dynamic network; see ``messages``.
MESSAGE_CELL = np.dtype(  # of an input buffer of the routers of a block, counted from the head
    [
        ("taken", *FIELD),  # tiles in which it has a wavelet, on its way or there
        ("seen", *FIELD),  # and in which that is there
        ("last", *FIELD),  # and is the last element of its message
    ]
)

MESSAGE_INPUT = np.dtype(  # an input buffer of the routers of a block
    [
        ("decided", *FIELD),  # tiles in which the message at the head knows its output,
        ("started", *FIELD),  # and in which its header has left: it holds that output
        ("gone", *FIELD),  # in which the head leaves in this cycle
    ]
)

PASSAGE = np.dtype(  # from an input buffer to an output
    [
        ("leads", *FIELD),  # tiles in which the message at the head takes it
        ("asks", *FIELD),  # where its head could do so in this cycle,
        ("won", *FIELD),  # and where it does
        ("served", *FIELD),  # where the output was this input's last
    ]
)

MESSAGE_OUTPUT = np.dtype(  # an output of the routers of a block
    _digits("passed", PASSED_DIGITS)  # wavelets that have left through it
)

MESSAGE_BLOCK = np.dtype(  # the dynamic routers of a block
    [
        ("first", np.int64),  # place of the block in a plane of what neighbours look at
        ("x", np.int64),  # of its first tile
        ("y", np.int64),
        ("placing", *FIELD),  # tiles to whose core the second header of a message comes next
        ("senders", *FIELD),  # and in which a unit waits for the ramp queue
    ]
)

HEADING = np.dtype(  # of a message whose header is in an input buffer
    [
        ("target", np.int64),  # tile that it goes to
        ("place", np.int64),  # its second header
    ]
)

RUN = np.dtype(  # the run
    [
        *clocked.RUN,
        ("slots", np.int64),
        ("until", np.int64),  # first cycle that this call of the loop does not come to
        ("which", np.int64),  # list of the stations of this cycle
        ("listed", np.int64),  # stations on the other list
        ("switched", np.int64),  # slots on the list of those that go one by one
        ("switched_which", np.int64),
        ("claimants", np.int64),  # stations of such slots that want a link
        ("groups", np.int64),  # that have members
        ("free_group", np.int64),
        ("alone", np.int64),  # 1 if no unit comes to a group
        ("shared", np.int64),  # 1 when two units have come to one end of a queue; see ``engine``
        ("due_mask", np.int64),  # of the cycles in which some group is due, modulo ``DUE``
        ("ports_which", np.int64),
        ("ports", np.int64),  # on the list of ports that may feed
        ("blocks", np.int64),  # in which some link is wanted
        ("ring", np.int64),  # cycles that a ramp's ring looks ahead
        ("way", np.int64),  # and that the ring of what comes from other routers does
        ("digits", np.int64),  # of a count of cells
        ("link_digits", np.int64),  # of the cycles that a link is taken
        ("link_parts", np.int64),  # into which a cycle of a link is divided
        ("link_part", np.int64),  # of these, what a wavelet takes beyond whole cycles
        ("taken_links", np.int64),  # links on the list of those that are taken
        ("pitch", np.int64),  # words between columns of blocks in ``rooms`` and ``sent``
        ("plane", np.int64),  # words of a color there
        ("stations", np.int64),
        ("meshed", np.int64),  # 1 if the dynamic network goes as lanes
        ("span", np.int64),  # cycles that a ring of its wavelets under way looks ahead
        ("headings", np.int64),  # headers that an input buffer has room for
    ]
)

TILE = np.dtype(  # a tile
    [
        *clocked.TILE,
        ("record", np.int64),  # next of the loaded registers that the run for values has recorded
    ]
)

PROFILE = np.dtype(  # what the rows of an instruction have in common
    [
        # Whether every queue advances with every row, and a row has one dimension at most.
        ("simple", np.int64),
        # Whether its indices are looked at: to send, and where some queue does not so advance.
        ("indexed", np.int64),
        ("first_input", np.int64),  # number of the first operand from a queue, or -1
        ("second_input", np.int64),  # of the second
        ("emits", np.int64),  # whether the result goes into a queue
    ]
)

CELL = np.dtype(  # a place of a FIFO
    [
        ("time", np.int64),  # cycle from which its wavelet can be seen, or it can be filled again
        ("control", np.int64),  # what a control wavelet asks for; 0 for data
    ]
)

# Every table: type of its elements, and columns. In compiled functions they are attributes.
TABLES: dict[str, tuple[Any, int]] = {
    **clocked.TABLES,
    "now": (RUN, FLAT),  # one RUN
    # The code: see wsc.runtime.tables.
    "profiles": (PROFILE, FLAT),
    "deciding": (np.int8, FLAT),  # [row]: whether what it loads decides anything
    "record": (np.int32, FLAT),  # what such rows loaded, tile by tile
    "record_first": (np.int64, FLAT),  # of each tile: its first entry there
    # Cores.
    "tile": (TILE, FLAT),
    "groups": (GROUP, FLAT),
    "group_first": (np.int64, FLAT),  # [block, unit]
    "live": (np.int64, FLAT),  # groups that have members
    "due_lanes": (LANES, FLAT),  # [group, cycle modulo DUE]: who could start a row then
    "member": (MEMBER, FLAT),  # of each unit
    # Routers of the colors without switches.
    "stations": (STATION, FLAT),
    "claims": (CLAIM, FLAT),  # [station, link]
    "slot_station": (np.int64, FLAT),
    "puts": (np.int64, FLAT),  # wavelets that the core has put into a slot's output queue
    "corner": (np.int64, FLAT),  # first tile of each block
    "tile_block": (np.int64, FLAT),
    "tile_lane": (np.int64, FLAT),  # 64 * word + bit
    # Rings of what is under way on a ramp: [station, cycle].
    "rising": (LANES, FLAT),
    "falling": (LANES, FLAT),
    "coming": (LANES, FLAT),  # and on the way from another router
    # Links that are taken for more than a cycle.
    "links": (LINK, FLAT),  # [block, link]
    "taken_list": (np.int64, FLAT),
    # What neighbours look at, with a word of nothing around each column of blocks.
    "rooms": (np.int64, FLAT),
    "sent": (np.int64, FLAT),  # [side, ...]: what left in the last cycle
    "rivals": (np.int64, FLAT),  # stations that could use a link, in the order of colors
    "rivals_first": (np.int64, FLAT),  # [block, link]
    "edges": (LANES, FLAT),  # [block, link]: tiles whose link leads over the edge
    "wanting": (np.int64, FLAT),  # of each block: mask of the links that are wanted
    "wanting_blocks": (np.int64, FLAT),
    "listing": (np.int64, FLAT),  # two lists of stations
    # Routers of the others.
    "claimants": (np.int64, FLAT),  # stations that want a link
    "cells": (CELL, FLAT),
    "switched": (np.int64, FLAT),  # two lists of slots
    "switched_listed": (np.int8, FLAT),
    # The dynamic network.
    "message_blocks": (MESSAGE_BLOCK, FLAT),
    "message_beside": (np.int64, FLAT),  # [block, side]: the block there, or -1
    "message_inputs": (MESSAGE_INPUT, FLAT),  # [block, input]
    "message_cells": (MESSAGE_CELL, FLAT),  # [block, input, cell]
    "message_coming": (LANES, FLAT),  # [block, input, cycle]: rings of what is under way
    "message_outputs": (MESSAGE_OUTPUT, FLAT),  # [block, output]
    "passages": (PASSAGE, FLAT),  # [block, output, input]
    "message_rooms": (np.int64, FLAT),  # [side, ...]: input buffers that had room
    "message_sent": (np.int64, FLAT),  # [side, ...]: what leaves in this cycle,
    "message_last": (np.int64, FLAT),  # and is the last element of its message
    "headings": (HEADING, FLAT),  # [tile, input, header]
    "heading_count": (np.int8, FLAT),  # [tile, input]
    # The edge.
    "port_listed": (np.int8, FLAT),
    "port_list": (np.int64, FLAT),
}
