"""The published models give the published numbers; the machine's own rules follow the fabric."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wsc.collectives import Machine, Published
from wsc.isa.fabric import find_fabric


@pytest.mark.parametrize(
    ("name", "words", "cycles"),
    [
        ("broadcast", 64, 580),
        ("broadcast", 4096, 4612),
        ("chain", 64, 3130),
        ("chain", 4096, 7162),
        ("tree", 64, 845),
    ],
)
def test_quoted_numbers_for_512_tiles(name: str, words: int, cycles: int) -> None:
    assert round(getattr(Published(2), name)(words, 512)) == cycles


def test_a_rectangle_of_one_row_is_a_row() -> None:
    assert Published(3).broadcast_2d(10, 7, 1) == Published(3).broadcast(10, 7)


def test_the_machine_pays_for_issue_depth_and_queues() -> None:
    fabric = find_fabric("wse2")
    usual = Machine(fabric)
    slow = Machine(replace(fabric, issue_cycles=fabric.issue_cycles + 1))
    assert slow.ring(64, 8) == usual.ring(64, 8) + 14
    deep = Machine(replace(fabric, router_buffer_depth=fabric.router_buffer_depth + 1))
    assert deep.tree(256, 8) == usual.tree(256, 8) + 2
    short = Machine(replace(fabric, input_queues=(2,) * 8))
    assert short.tree(4096, 4) > usual.tree(4096, 4) + 2000
    assert usual.star(100, 2) == usual.published.chain(100, 2)
