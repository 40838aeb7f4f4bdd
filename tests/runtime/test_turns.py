"""Round robin, pinned by cycles that docs/machine.md gives: links, ramps, ports, both networks.

Engines that are compared with each other alone may be wrong together. Here three streams want one
link (or the bandwidth of the edge) in every cycle, and each must end in the cycle in which its last
wavelet has its turn: the first candidate after the one that was served last goes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.runtime.agreement import ENGINES
from tests.runtime.programs import program, wide_io, with_io
from wsc import runtime
from wsc.isa.fabric import Fabric, find_fabric
from wsc.runtime.api import RunResult

LENGTHS = [(7, 7, 7), (2, 5, 9), (9, 5, 2), (1, 8, 3), (6, 1, 6)]


def turns(lengths: Sequence[int], start: Sequence[int] = (0, 0, 0)) -> list[list[int]]:
    """In which cycles each contender is served, from ``start`` on, until it is done."""
    served: list[list[int]] = [[] for _ in lengths]
    last, cycle = len(lengths) - 1, 0
    while sum(map(len, served)) < sum(lengths):
        for who in ((last + step) % len(lengths) for step in range(1, len(lengths) + 1)):
            if start[who] <= cycle and len(served[who]) < lengths[who]:
                served[who].append(cycle)
                last = who
                break
        cycle += 1
    return served


def run(text: str, size: str, engine: str, fabric: Fabric) -> RunResult:
    made = program(text, size)
    inputs = {
        tensor.name: np.zeros(tensor.shape, np.float32)
        for tensor in made.edge_tensors
        if tensor.kind.name == "INPUT"
    }
    return runtime.run(made, inputs, engine=engine, fabric=fabric)


def ends(text: str, size: str, engine: str, fabric: Fabric) -> list[int]:
    """The cycle in which each move ends, in the order of the text."""
    rows = run(text, size, engine, fabric).counters.statements
    return [row.end for row in rows if row.statement.text == "mov"]


def taken(color: str, length: str, tile: tuple[int, int]) -> str:
    return f"""
  if (x == {tile[0]})*(y == {tile[1]}) == 1
    mov.f32 [4*i], <{color}> for i:{length}
  end"""


def three(kind: str, lengths: Sequence[int]) -> str:
    """Three streams that the edge feeds, over one link to three tiles."""
    routes, tiles, feeds = CONTENDED[kind]
    a, b, c = lengths
    inputs = "".join(
        f"input {name} : f32[{length}]\ncolor {name} = {number}\n"
        for number, (name, length) in enumerate(zip("abc", lengths, strict=True))
    )
    code = "".join(
        taken(name, str(length), tile)
        for name, length, tile in zip("abc", lengths, tiles, strict=True)
    )
    fed = "".join(
        f"feed {name} in all side {side} from {name}[i] for i:{length}\n"
        for name, side, length in zip("abc", feeds, (a, b, c), strict=True)
    )
    return f"{inputs}region all at 0,0 size 3x3\n{routes}\nmain all{code}\nend\n{fed}"


# Routes of three streams; the tile where each ends; the side and guard of its feed.
CONTENDED = {
    # They meet in the middle, and all go on to the east.
    "link": (
        """
route a in all when (x == 1)*(y == 0) : N -> S
route b in all when (x == 0)*(y == 1) : W -> E
route c in all when (x == 1)*(y == 2) : S -> N
route a in all when (x == 1)*(y == 1) : N -> E
route b in all when (x == 1)*(y == 1) : W -> E
route c in all when (x == 1)*(y == 1) : S -> E
route a in all when (x == 2)*(y == 1) : W -> N
route b in all when (x == 2)*(y == 1) : W -> RAMP
route c in all when (x == 2)*(y == 1) : W -> S
route a in all when (x == 2)*(y == 0) : S -> RAMP
route c in all when (x == 2)*(y == 2) : N -> RAMP
""",
        ((2, 0), (2, 1), (2, 2)),
        ("N when x == 1", "W when y == 1", "S when x == 1"),
    ),
    # One port feeds them all.
    "port": (
        """
route a in all when (x == 1)*(y == 0) : N -> W
route b in all when (x == 1)*(y == 0) : N -> RAMP
route c in all when (x == 1)*(y == 0) : N -> E
route a in all when (x == 0)*(y == 0) : E -> RAMP
route c in all when (x == 2)*(y == 0) : W -> RAMP
""",
        ((0, 0), (1, 0), (2, 0)),
        ("N when x == 1", "N when x == 1", "N when x == 1"),
    ),
    # Three ports, in their order: north, south, west; the edge has bandwidth for one at a time.
    "bandwidth": (
        """
route a in all when (x == 1)*(y == 0) : N -> RAMP
route b in all when (x == 1)*(y == 2) : S -> RAMP
route c in all when (x == 0)*(y == 1) : W -> RAMP
""",
        ((1, 0), (1, 2), (0, 1)),
        ("N when x == 1", "S when x == 1", "W when y == 1"),
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("kind", CONTENDED)
def test_streams_from_the_edge_take_turns(
    kind: str, lengths: tuple[int, int, int], engine: str
) -> None:
    # A slow ramp, so that every core waits at its queue before anything comes; queues that never
    # fill.
    fabric = with_io(4) if kind == "bandwidth" else wide_io()
    deep = tuple(32 for _ in fabric.input_queues)
    fabric = replace(fabric, ramp_latency=9, input_queues=deep)
    got = ends(three(kind, lengths), "3x3", engine, fabric)
    for number, served in enumerate(turns(lengths)):
        # One wavelet that is alone says how far its tile is from where they meet.
        alone = [int(other == number) for other in range(3)]
        lonely = ends(three(kind, alone), "3x3", engine, fabric)[number]
        assert got[number] == lonely + served[-1], number


RAMPS = """
input a : f32[{a}]
input b : f32[{b}]
input c : f32[{c}]
color a = 0
color b = 1
color c = 2
tensor m : f32[30] at 0 size 120
region all at 0,0 size 1x1
route a in all : N -> RAMP
route b in all : S -> RAMP
route c in all : W -> RAMP
feed a in all side N from a[i] for i:{a}
feed b in all side S from b[i] for i:{b}
feed c in all side W from c[i] for i:{c}
main all
  async 0 -> s0: mov.f32 [m + 4*i], <a> for i:{a}
  async 1 -> s1: mov.f32 [m + 40 + 4*i], <b> for i:{b}
  async 2 -> s2: mov.f32 [m + 80 + 4*i], <c> for i:{c}
{waits}
end
"""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lengths", [(8, 8, 8), (9, 6, 4), (4, 8, 6)], ids=str)
def test_streams_into_a_core_take_turns(lengths: tuple[int, int, int], engine: str) -> None:
    lasts = [served[-1] for served in turns(lengths)]
    order = sorted(range(3), key=lasts.__getitem__)
    waits = "\n".join(f"  wait s{number}, 1" for number in order)
    a, b, c = lengths
    text = RAMPS.format(a=a, b=b, c=c, waits=waits)
    rows = run(text, "1x1", engine, wide_io()).counters.statements[3:]
    got = [row.end for row in rows]
    wanted = [lasts[number] for number in order]
    # Fed in cycle 0, in the router from 1 on; the ramp; a row of a cycle; the signal; the wait.
    first = 1 + find_fabric("wse2").ramp_latency + 1 + 1
    assert got == [first + last for last in wanted]


def regions(tiles: Sequence[tuple[int, int]], mains: Sequence[str]) -> str:
    """Tiles that each have a program of their own: none has to find out what it does."""
    return "".join(
        f"region r{number} at {x},{y} size 1x1\nmain r{number}\n{main}\nend\n"
        for number, ((x, y), main) in enumerate(zip(tiles, mains, strict=True))
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_streams_out_of_a_core_take_turns(lengths: tuple[int, int, int], engine: str) -> None:
    fabric = wide_io()
    # Unit 0 starts when it has been issued, unit 1 and main each one issue later.
    start = (0, fabric.issue_cycles, fabric.issue_cycles)
    a, b, c = lengths
    send = f"""  async 0: mov.f32 <a>, 1.0 for i:{a}
  async 1: mov.f32 <b>, 1.0 for i:{b}
  mov.f32 <c>, 1.0 for i:{c}"""
    takers = [
        f"  mov.f32 [4*i], <{name}> for i:{n}" for name, n in zip("abc", lengths, strict=True)
    ]
    text = f"""
color a = 0
color b = 1
color c = 2
{regions([(1, 1), (1, 0), (2, 1), (1, 2)], [send, *takers])}
route a in r0 : RAMP -> N
route a in r1 : S -> RAMP
route b in r0 : RAMP -> E
route b in r2 : W -> RAMP
route c in r0 : RAMP -> S
route c in r3 : N -> RAMP
"""
    got = ends(text, "3x3", engine, fabric)[3:]
    lasts = [served[-1] for served in turns(lengths, start)]
    assert [end - got[0] for end in got] == [last - lasts[0] for last in lasts]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["port", "bandwidth"])
@pytest.mark.parametrize("lengths", [(20, 20, 20), (14, 19, 29), (31, 16, 22)], ids=str)
def test_streams_out_of_the_fabric_take_turns(
    lengths: tuple[int, int, int], kind: str, engine: str
) -> None:
    """A sender ends when all but those of its wavelets that the queues hold have left."""
    mains = [f"  mov.f32 <{name}>, 1.0 for i:{n}" for name, n in zip("abc", lengths, strict=True)]
    fabric = with_io(4) if kind == "bandwidth" else wide_io()
    held = 2 * fabric.router_buffer_depth + fabric.output_queues[0]
    head = "".join(f"output {name} : f32[{n}]\n" for name, n in zip("abc", lengths, strict=True))
    head += "color a = 0\ncolor b = 1\ncolor c = 2\n"
    if kind == "port":
        tiles = [(0, 0), (1, 1), (2, 0), (1, 0)]
        ways = "route a in r0 : RAMP -> E\nroute b in r1 : RAMP -> N\nroute c in r2 : RAMP -> W\n"
        ways += "route a in r3 : W -> N\nroute b in r3 : S -> N\nroute c in r3 : E -> N\n"
        out = ["N when x == 1"] * 3
    else:
        held -= fabric.router_buffer_depth
        tiles = [(0, 0), (2, 1), (1, 2), (1, 1)]  # north, east, south
        ways = "route a in r0 : RAMP -> N\nroute b in r1 : RAMP -> E\nroute c in r2 : RAMP -> S\n"
        out = ["N when x == 0", "E when y == 1", "S when x == 1"]
    drains = "".join(
        f"drain {name} in r{3 if kind == 'port' else number} side {side.split()[0]} "
        f"from {name}[i] for i:{n}\n"
        for number, (name, side, n) in enumerate(zip("abc", out, lengths, strict=True))
    )
    text = f"{head}{regions(tiles, [*mains, ''])}{ways}{drains}"
    got = ends(text, "3x3", engine, fabric)
    lasts = [served[n - 1 - held] for served, n in zip(turns(lengths), lengths, strict=True)]
    assert [end - got[0] for end in got] == [last - lasts[0] for last in lasts]


MESSAGES = """
output order : i32[{total}]
color out = 0
tensor log : i32[{total}] at 256 size {bytes}
region all at 0,0 size 3x3
route out in all when (x == 1)*(y == 1) : RAMP -> N
route out in all when (x == 1)*(y == 0) : S -> N
main all
  if (x == 1)*(y == 1) == 1
    loop k: {total}
      wait s0, {elements}
      i.load who, [0]
      i.mul at, k, 4
      i.store [log + at], who
    end
    mov.i32 <out>, [log + 4*i] for i:{total}
  else
    mov.i32 [64 + 4*i], {{3*y + x}} for i:{elements}
    send.i32 (1, 1) s0: [4*i], [64 + 4*i] for m:{count}, i:{elements}
  end
end
drain out in all side N when x == 1 from order[i] for i:{total}
"""


@pytest.mark.parametrize("lengths", [(3, 3, 3), (2, 5, 9), (9, 5, 2), (1, 8, 3)], ids=str)
def test_messages_to_a_core_take_turns(lengths: tuple[int, int, int]) -> None:
    """From the north, the south and the west; each is whole before the next one begins.

    The program has a race, so that its values tell who came when; only one engine has both.
    """
    north, south, west = lengths
    count = f"{north}*(x == 1)*(y == 0) + {south}*(x == 1)*(y == 2) + {west}*(x == 0)*(y == 1)"
    total = sum(lengths)
    text = MESSAGES.format(total=total, bytes=4 * total, elements=6, count=count)
    found = run(text, "3x3", "reference", wide_io())
    wanted = [0] * total
    for tile, served in zip((1, 7, 3), turns(lengths), strict=True):
        for turn in served:
            wanted[turn] = tile
    assert found.outputs["order"].tolist() == wanted
    assert run(text, "3x3", "time", wide_io()).cycles == found.cycles
