"""Remote stores against runs of small programs that do nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.cost.predict import predict
from wsc.cost.wormhole import Grid, Sends, follow
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.runtime.api import run

TEXT = """\
wsc 1
fabric "wse2" 1x{height}
precision f32
model "sends"

tensor buf : f32[4096] at 0 size 16384

region all at 0,0 size 1x{height}

proc sends()
{body}
  wait s2, {words}
end

main all
  call sends()
end
"""
SEND = """\
  if {when}
    send.f32 (x, {to}) s2: [buf + 8192 + j*64 + i*4], [buf + j*64 + i*4] for j:{count}, i:{length}
  end
"""


def _deviation(
    height: int, sends: list[tuple[str, str]], senders: str, count: int, length: int
) -> float:
    body = "".join(SEND.format(when=w, to=t, count=count, length=length) for w, t in sends)
    words = f"({senders})*{count * length}"
    program = parse(TEXT.format(height=height, body=body.rstrip("\n"), words=words))
    fabric = find_fabric("wse2").sized(1, height)
    return predict(program, fabric).cycles / run(program, {}, fabric=fabric).cycles - 1


@pytest.mark.parametrize("seed", range(2))
def test_compiled_code_is_the_code_of_python(seed: int) -> None:
    random = np.random.default_rng(seed)
    width, height, each = 5, 4, 30
    tiles, count = width * height, width * height * each
    first = np.sort(random.uniform(0, 200, (tiles, each)), axis=1).ravel()
    wavelets = random.integers(3, 12, count)
    begin = np.arange(0, count + 1, each)
    target, last = random.integers(0, tiles, count), first + wavelets - 1
    sends = Sends.of_tiles(begin, target, wavelets, first, last)
    grid = Grid.of_tiles(width, height)
    plain, fast = (follow(sends, grid, 4, 2.0, 1.0, way) for way in (False, True))
    assert all(np.array_equal(one, other) for one, other in zip(plain, fast, strict=True))
    assert plain[0].max() > first.max()


LENGTHS = [(32, 1), (32, 2), (32, 5), (24, 12)]


@pytest.mark.parametrize(("count", "length"), LENGTHS)
@pytest.mark.parametrize("height", [2, 3, 5])
def test_all_to_one(height: int, count: int, length: int) -> None:
    sends = [("y > 0", "0")]
    assert abs(_deviation(height, sends, f"(y == 0)*{height - 1}", count, length)) < 0.02


@pytest.mark.parametrize(("count", "length"), LENGTHS)
@pytest.mark.parametrize("height", [3, 5, 9])
def test_to_both_neighbours(height: int, count: int, length: int) -> None:
    sends = [("y > 0", "y - 1"), ("y < H - 1", "y + 1")]
    assert abs(_deviation(height, sends, "(y > 0) + (y < H - 1)", count, length)) < 0.05


@pytest.mark.parametrize(("count", "length"), LENGTHS)
def test_over_a_neighbour(count: int, length: int) -> None:
    """Messages that wait for others in the buffers of a tile between: less exact."""
    sends = [("y > 1", "y - 2"), ("y > 0", "y - 1"), ("y < H - 1", "y + 1"), ("y < H - 2", "y + 2")]
    senders = "(y > 1) + (y > 0) + (y < H - 1) + (y < H - 2)"
    assert abs(_deviation(14, sends, senders, count, length)) < 0.1


def test_messages_that_end_within_one_cell_wait_for_each_other() -> None:
    """Two come from both sides and turn south there: neither takes the other's place."""
    width, height, words = 3, 3, 20.0
    begin = np.searchsorted([0, 2], np.arange(width * height + 1))
    target = np.array([width + 1, 2 * width + 1])
    cycles, shares = np.full((5, 2), words), np.ones((5, 2))
    inside = np.array([[1, -1], [0, 0]])
    start = np.zeros(2)
    sends = Sends(begin, target, cycles, shares, inside, start, start + words - 1)
    grid = Grid(np.full(width, 8.0), np.full(height, 8.0))
    arrived, _ = follow(sends, grid, 4, 2.0, 1.0, compiled=False)
    assert min(arrived[target]) > words
    assert max(arrived[target]) > 2 * words


@pytest.mark.parametrize("ends", [(3, 4), (3, 5), (3, 7), (0, 8)])
@pytest.mark.parametrize("ways", [(1, 2), (2, 1), (-1, -2), (-2, -1)])
def test_none_is_lost_of_messages_that_come_by_one_input(
    ends: tuple[int, int], ways: tuple[int, int]
) -> None:
    """One has come a short way within the cell and one a far way: both go to the core."""
    width, height, words = 3, 3, 100.0
    begin = np.searchsorted(ends, np.arange(width * height + 1))
    target = np.array([width + 1, width + 1])
    cycles, shares = np.full((5, 2), words), np.ones((5, 2))
    inside = np.array([(-1, -1), ways])
    start = np.zeros(2)
    sends = Sends(begin, target, cycles, shares, inside, start, start + words - 1)
    grid = Grid(np.full(width, 8.0), np.full(height, 8.0))
    arrived, _ = follow(sends, grid, 4, 2.0, 1.0, compiled=False)
    assert arrived[width + 1] > 2 * words


def test_lanes_of_a_link_are_links() -> None:
    """Messages on two rows of one cell do not meet; on one row the second waits for the first."""
    words = 100.0
    cycles, shares, inside = np.full((5, 2), words), np.ones((5, 2)), np.zeros((2, 2), int)
    start = np.zeros(2)
    latest: dict[bool, float] = {}
    for apart in (True, False):
        # From the cell in the west to two columns of the one in the east.
        senders = [0, 2] if apart else [0, 0]
        begin = np.searchsorted(senders, np.arange(5))
        sends = Sends(begin, np.array([2, 3]), cycles, shares, inside, start, start + words - 1)
        grid = Grid(np.full(2, 4.0), np.full(1, 4.0), lanes=2)
        latest[apart] = follow(sends, grid, 4, 2.0, 1.0, compiled=False)[0].max()
    assert latest[True] < 1.2 * words
    assert latest[False] > 2 * words
