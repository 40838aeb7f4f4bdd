"""The verifier on large fabrics, and what it must not refuse. Refusals are in tests/errors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.isa.diagnostics import AssemblyError, Source
from wsc.isa.fabric import find_fabric
from wsc.isa.limits import MOST_CELLS
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Program, Region
from wsc.isa.verifier import verify
from wsc.isa.verify import queues
from wsc.isa.verify.context import Context
from wsc.isa.verify.graph import find_cycle

PROGRAMS = Path(__file__).parents[1] / "programs"


def test_a_full_wafer_is_verified():
    text = (PROGRAMS / "stencil.wsa").read_text()
    for old, new in {
        "6x5": "750x994",
        "[20, 24]": "[3976, 3000]",
        "const N = 24": "const N = 3000",
        "repeat n:6": "repeat n:750",
        "24 x:4": "3000 x:4",
        "20 y:4": "3976 y:4",
    }.items():
        assert old in text
        text = text.replace(old, new)
    verify(parse(text), find_fabric("wse2"), text)


def test_a_circle_anywhere_on_a_full_wafer_is_found():
    text = """wsc 1
fabric "wse2" 750x994
color a = 0
region all at 0,0 size 750x994
route a in all when (x == 300)*(y > 400)*(y < 900) : S -> N
route a in all when (x == 700)*(y > 400)*(y < 900) : N -> S
route a in all when (y == 400)*(x > 300)*(x < 700) : W -> E
route a in all when (y == 900)*(x > 300)*(x < 700) : E -> W
route a in all when (x == 300)*(y == 400) : S -> E
route a in all when (x == 700)*(y == 400) : W -> S
route a in all when (x == 700)*(y == 900) : N -> W
route a in all when (x == 300)*(y == 900) : E -> N
"""
    with pytest.raises(AssemblyError, match=r"'a' runs in a circle: tiles (\d+,\d+ -> ){4}"):
        verify(parse(text), find_fabric("wse2"), text)


def test_two_tiles_may_take_turns_on_a_color():
    """Each switch position starts or ends at a core: no wavelet runs in a circle."""
    text = """wsc 1
fabric "tiny" 2x1
color a = 0
tensor buf : f32[1] at 0 size 4
region all at 0,0 size 2x1
route a in all when x == 0 : RAMP -> E | E -> RAMP
route a in all when x == 1 : W -> RAMP | RAMP -> W
main all
  if x == 0
    mov.f32 <a>, [buf]
    control advance <a>
    mov.f32 [buf], <a>
  else
    mov.f32 [buf], <a>
    mov.f32 <a>, [buf]
  end
end
"""
    verify(parse(text), find_fabric("tiny"), text)


TWO_READERS = """wsc 1
fabric "wse2" 2x1
color data = 0
color told = 1
color edge = 2
input a : f32[8]
tensor buf : f32[8] at 0 size 32
region all at 0,0 size 2x1
route data in all when x == 0 : RAMP -> E
route data in all when x == 1 : W -> RAMP
route told in all when x == 0 : RAMP -> E
route told in all when x == 1 : W -> RAMP
route edge in all when x == 1 : E -> RAMP
feed edge in all side E when x == 1 from a[i] for i:8
main all
  if x == 0
    mov.f32 <data>, 1.0 for i:8
    mov.f32 <told>, 1.0
    send.f32 (1, 0) s1: [buf + 4*i], [buf + 4*i] for i:2
  else
    {between}
    mov.f32 [buf + 4*i], <data> for i:n
  end
end
"""
UNIT = "async 0 -> s0: mov.f32 [buf + 4*i], <data> for i:4\n"


def refused(between: str, extent: str = "4") -> bool:
    """Whether the check of queues finds fault with a program, whose counts may not be right."""
    text = TWO_READERS.format(between=between).replace("i:n", f"i:{extent}")
    context = Context(parse(text), find_fabric("wse2"), Source(text))
    queues.shared(context)
    found = [diagnostic.message for diagnostic in context.found]
    assert all("is done with the input queue of 'data'" in message for message in found)
    return bool(found)


@pytest.mark.parametrize(
    ("between", "wrong"),
    [
        (UNIT, True),
        (UNIT + "wait s0, 1", False),
        (UNIT + "wait s3, 1\nsignal s3, 1", True),  # main's own signals tell it nothing
        (UNIT + "wait s1, 2", False),  # a remote store may
        (UNIT + "mov.f32 [buf], <told>", False),  # so may a wavelet of another tile
        (UNIT + "mov.f32 [buf + 4*i], <edge> for i:8", True),  # but none of the edge
        (UNIT + "async 1 -> s2: mov.f32 [buf + 4*i], <edge> for i:8\nwait s2, 1", True),
        (UNIT + "async 1 -> s2: mov.f32 [buf], <told>\nwait s2, 1", False),
        (UNIT + "async 0 -> s0: mov.f32 [buf + 4*i], [buf + 4*i] for i:8", False),
        (UNIT.replace("i:4", "i:W - 2"), False),  # no step, no queue
        ("i.load r, [buf]\n" + UNIT.replace("i:4", "i:r"), False),  # only a run knows
        ("i.load r, [buf]\nif r > 0\n" + UNIT + "end", False),
        ("i.load r, [buf]\nloop k: r\n" + UNIT + "end", False),
        ("i.set r, 1\nif r > 0\n" + UNIT + "end", True),
        ("loop k: 9\nif k == 8\n" + UNIT + "end\nend", False),  # beyond what is followed
        ("loop k: 3\nif k == 2\n" + UNIT + "end\nend", True),
        ("loop k: 2\n" + UNIT + "end", True),
    ],
)
def test_a_queue_has_one_reader_as_far_as_the_text_can_tell(between: str, wrong: bool):
    assert refused(between) is wrong
    assert not refused(between, "W - 2")


def test_without_a_dynamic_network_nothing_is_sent():
    text = (PROGRAMS / "remote.wsa").read_text()
    fabric = replace(find_fabric("tiny"), dynamic=False)
    with pytest.raises(AssemblyError, match="has no dynamic network"):
        verify(parse(text), fabric, text)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14))
def test_cycles_are_found_if_and_only_if_there_are_some(edges):
    import networkx as nx

    tails, heads = (np.array([edge[side] for edge in edges], np.int64) for side in (0, 1))
    cycle = find_cycle(8, tails, heads)
    assert bool(cycle) != nx.is_directed_acyclic_graph(nx.DiGraph(edges))
    for node, following in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True):
        assert (node, following) in edges


SHARED_NAME = """wsc 1
fabric "tiny" 1x1
input x : f32[2] "float32"
output x : f32[2] "float32"
color ins = 0
color outs = 1
region all at 0,0 size 1x1
route ins in all : N -> RAMP
route outs in all : RAMP -> S
main all
  neg.f32 <outs>, <ins> for i:2
end
feed ins in all side N from x[i] for i:2
drain outs in all side S from x[i] for i:2
"""


def test_an_input_and_an_output_may_share_a_name() -> None:
    program = parse(SHARED_NAME)
    verify(program, find_fabric("tiny"))
    assert parse(print_program(program)) == program


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('output x : f32[2] "float32"', "'x' is defined twice"),
        ('input x : f32[2] "float32"', "'x' is defined twice"),
        ('weight x : f32[2] "w.safetensors" key "x"', "'x' is defined twice"),
    ],
)
def test_no_other_edge_tensors_share_a_name(line: str, message: str) -> None:
    with pytest.raises(AssemblyError, match=message):
        parse(SHARED_NAME.replace("color ins", f"{line}\ncolor ins", 1))


def test_a_weight_and_an_output_share_no_name() -> None:
    text = SHARED_NAME.replace('input x : f32[2] "float32"', 'weight x : f32[2] "w" key "x"')
    with pytest.raises(AssemblyError, match="the output 'x' has the name of a weight"):
        parse(text)


@pytest.mark.parametrize("place", [(0, 0, 0, 2), (0, 0, 2, 0), (-1, 0, 2, 2), (0, -1, 2, 2)])
def test_a_region_has_tiles(place: tuple[int, int, int, int]) -> None:
    program = Program("tiny", 4, 4, regions=(Region("all", *place),))
    with pytest.raises(AssemblyError, match="region 'all' has no tiles"):
        verify(program, find_fabric("tiny"))


@pytest.mark.parametrize(
    "layout", ["8 over 4", "8 y:2 len 3 over 4", "8 y:2 off -1 over 4", "8 y:2 over 3"]
)
def test_only_whole_blocks_lie_apart(layout: str) -> None:
    text = f'wsc 1\nfabric "tiny" 4x4\ntensor t : f32[{layout}] at 0 size 64\n'
    program = parse(text)
    with pytest.raises(AssemblyError, match=r"'t' lies over [34] tiles: only blocks along x or y"):
        verify(program, find_fabric("tiny"))


@pytest.mark.parametrize("place", [{"file": "w"}, {"key": "x"}, {"byte_offset": 0}])
def test_only_a_weight_has_a_place_in_a_file(place: dict[str, Any]) -> None:
    program = parse(SHARED_NAME)
    given, shown = program.edge_tensors
    program = program.with_(edge_tensors=(replace(given, **place), shown))
    with pytest.raises(AssemblyError, match="'x' is no weight, so it has no file"):
        verify(program, find_fabric("tiny"))


def test_the_routes_of_all_tiles_are_few_enough_to_be_laid_out() -> None:
    size = 4096  # the largest that there may be: four colors are all cells that are checked
    assert 4 * size * size == MOST_CELLS
    fabric = replace(find_fabric("wse2"), width=size, height=size)
    lines = ["wsc 1", f'fabric "wse2" {size}x{size}', *(f"color c{n} = {n}" for n in range(5))]
    lines += ["region all at 0,0 size 1x1", *(f"route c{n} in all : N -> RAMP" for n in range(5))]
    said = rf"5 routed colors on {size}x{size} tiles are \d+ cells"
    with pytest.raises(AssemblyError, match=said):
        verify(parse("\n".join(lines)), fabric)


PORTS = """wsc 1
fabric "tiny" 2x3
input a : f32[{size}] "float32"
color ins = 0
region all at 0,0 size 2x3
route ins in all when {edge} : {side} -> RAMP
main all
  if {edge}
    mov.f32 [0], <ins> for i:x + 2*y + 1
  end
end
feed ins in all side {side} from a[i] for i:x + 2*y + 1
"""


@pytest.mark.parametrize(
    ("side", "edge", "most"),
    [("N", "y == 0", 2), ("S", "y == 2", 6), ("W", "x == 0", 5), ("E", "x == 1", 6)],
)
def test_a_transfer_is_held_to_its_tensor_at_the_ports_of_its_side(
    side: str, edge: str, most: int
) -> None:
    verify(parse(PORTS.format(side=side, edge=edge, size=most)), find_fabric("tiny"))
    with pytest.raises(AssemblyError, match=f"moves elements 0 to {most - 1} of 'a'"):
        verify(parse(PORTS.format(side=side, edge=edge, size=most - 1)), find_fabric("tiny"))
