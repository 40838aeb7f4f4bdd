"""The dynamic network as lanes: what the reference engine does router by router."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.runtime.agreement import assert_agree
from tests.runtime.programs import program
from wsc import runtime
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.program import Program
from wsc.isa.table import Timing
from wsc.runtime.counters import Counters
from wsc.runtime.image import Image
from wsc.runtime.runs import Options
from wsc.runtime.time.records import DEEPEST_BUFFER, PASSED_DIGITS
from wsc.runtime.time.tables import meshed

# Where the messages of a tile go: to neighbours and far away, to one tile, or to one of a row.
TARGETS = (
    "((x + {a}) % W, (y + {b}) % H)",
    "((x * {a} + y) % W, (y * {b} + x) % H)",
    "({a} % W, {b} % H)",
    "(W - 1 - x, H - 1 - y)",
    "(x, {b} % H)",
    "({a} % W, y)",
)


def storm(rng: random.Random, width: int, height: int) -> Program:
    """Some or all tiles send messages of several lengths, from units and from the main thread."""
    lines = list[str]()
    for unit in (0, 0, 1, 2, 3):
        target = rng.choice(TARGETS).format(a=rng.randrange(1, 90), b=rng.randrange(1, 90))
        many, long = rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 7, 20))
        issue = f"async {unit}: " if unit else ""
        send = f"{issue}send.i32 {target} s0: [4*i], [400 + 4*i] for j:{many}, i:{long}"
        if rng.random() < 0.6:
            send = f"if (x + {rng.randrange(9)} * y) % {rng.randrange(1, 6)} == 0\n {send}\nend"
        lines.append(send)
    body = "\n".join(lines)
    text = f"tensor t : i32[200] at 0 size 800\nregion all at 0,0 size {width}x{height}\n"
    return program(f"{text}main all\n{body}\nend\n", f"{width}x{height}")


def other_network(rng: random.Random) -> Fabric:
    """A fabric whose dynamic network has other buffers and other ways."""
    base = find_fabric("wse2")
    timing = dict(base.timing)
    timing[Timing.SEND] = replace(timing[Timing.SEND], cycles=rng.choice((1, 1, 2)))
    return replace(
        base,
        timing=timing,
        dynamic_buffer_depth=rng.choice((2, 3, 4, 9)),
        hop_cycles=rng.choice((1, 1, 2, 5)),
        ramp_latency=rng.choice((1, 2, 7)),
    )


def lanes(image: Image) -> bool:
    """Whether the dynamic network of a run goes as lanes."""
    return meshed(image, Options())


@pytest.mark.parametrize(
    ("width", "height"), [(66, 10), (5, 19), (130, 2), (1, 17), (9, 9), (20, 1), (1, 1)]
)
def test_messages_over_the_borders_of_blocks(width: int, height: int) -> None:
    for seed in range(3):
        rng = random.Random(f"{width} {height} {seed}")
        image = runtime.load(storm(rng, width, height), other_network(rng))
        assert lanes(image)
        whole = assert_agree(image, {})
        assert not whole.error
        assert_agree(image, {}, max_cycles=rng.randrange(1, whole.cycle))


def test_a_message_comes_to_blocks_in_which_nothing_was() -> None:
    """One message from corner to corner: all buffers on its way are free from the start."""
    send = "if (x == {x}) * (y == {y})\nsend.i32 (W - 1 - x, H - 1 - y) s0: [0], [4]\nend"
    for width, height in ((130, 18), (3, 40), (140, 1)):
        for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
            text = f"tensor t : i32[2] at 0 size 8\nregion all at 0,0 size {width}x{height}\n"
            text += f"main all\n{send.format(x=x, y=y)}\nend\n"
            whole = assert_agree(program(text, f"{width}x{height}"), {})
            assert not whole.error
            # Three wavelets over each link.
            assert isinstance(whole.counters, Counters)
            assert whole.counters.dynamic_links[..., :4].sum() == 3 * (width + height - 2)


def test_more_wavelets_over_a_link_than_lanes_count() -> None:
    many = (1 << PASSED_DIGITS) // 50 + 2
    text = "tensor t : i32[100] at 0 size 400\nregion all at 0,0 size 3x1\nmain all\n"
    text += f"if x == 0\nsend.i32 (2, 0) s0: [4*i], [200 + 4*i] for j:{many}, i:50\nend\n"
    text += "if x == 2\nwait s0, {count}\nend\nend\n"
    for missing in (0, 1):  # of the last the receiver's main thread waits for good
        made = program(text.format(count=50 * many + missing), "3x1")
        whole = assert_agree(made, {})
        assert bool(whole.error) == bool(missing)


def test_what_has_no_lanes_goes_router_by_router() -> None:
    rng = random.Random(4)
    made = storm(rng, 7, 10)
    deep = replace(find_fabric("wse2"), dynamic_buffer_depth=DEEPEST_BUFFER + 1)
    for fabric in (deep, replace(find_fabric("wse2"), ramp_latency=64)):
        image = runtime.load(made, fabric)
        assert not lanes(image)
        assert not assert_agree(image, {}).error
    image = runtime.load(made)
    assert not meshed(image, Options(delays=1))
    assert not assert_agree(image, {}, delays=1).error
