"""The hand-written programs do what their heads say: each against NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from wsc import runtime
from wsc.isa.parser import parse

Arrays = Mapping[str, np.ndarray]
HERE = Path(__file__).parent
RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def execute(name: str, inputs: Arrays) -> dict[str, np.ndarray]:
    path = HERE / f"{name}.wsa"
    program = parse(path.read_text(encoding="utf-8"), str(path))
    return runtime.run(program, dict(inputs)).outputs


def westward_sum(a: np.ndarray) -> np.ndarray:
    """Sum over x in the order of the chain: a[5] + a[4], + a[3], ..., + a[0]."""
    total = a[:, -1]
    for x in range(a.shape[1] - 2, -1, -1):
        total = total + a[:, x]
    return total


def broadcast(given: Arrays) -> Arrays:
    return {"r": np.repeat(given["a"][:, None, :], 6, axis=1)}


def chain_reduce(given: Arrays) -> Arrays:
    return {"r": westward_sum(given["a"])}


def all_reduce(given: Arrays) -> Arrays:
    return {"r": np.repeat(westward_sum(given["a"])[:, None, :], 6, axis=1)}


def stencil(given: Arrays) -> Arrays:
    grid = given["u0"]
    for _ in range(3):
        p = np.pad(grid, 1)
        total = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]
        grid = total * np.float32(0.25)
    return {"u": grid}


def life(given: Arrays) -> Arrays:
    board = given["board"]
    for _ in range(8):
        p = np.pad(board, 1)
        rows, columns = board.shape
        count = sum(p[i : i + rows, j : j + columns] for i in range(3) for j in range(3))
        board = ((count == 3) | ((count == 4) & (board == 1))).astype(np.int32)
    return {"after": board}


def remote(given: Arrays) -> Arrays:
    return {"r": given["a"].T}


def switch(given: Arrays) -> Arrays:
    return {"r": given["a"] + given["b"]}


def sections(given: Arrays) -> Arrays:
    return {"r": given["a"] * np.float32(8)}


def squares(given: Arrays) -> Arrays:
    return {"r": given["a"] * given["a"]}


def glider() -> np.ndarray:
    """A glider, with enough room to move on for eight generations, and a blinker."""
    board = np.zeros((16, 20), np.int32)
    board[2:5, 2:5] = [[0, 1, 0], [0, 0, 1], [1, 1, 1]]
    board[12, 14:17] = 1
    return board


CASES: dict[str, tuple[Callable[[Arrays], Arrays], Arrays]] = {
    "broadcast": (broadcast, {"a": normal(3, 16)}),
    "chain_reduce": (chain_reduce, {"a": normal(3, 6, 16)}),
    "all_reduce": (all_reduce, {"a": normal(3, 6, 16)}),
    "stencil": (stencil, {"u0": normal(20, 24)}),
    "life": (life, {"board": RNG.integers(0, 2, (16, 20)).astype(np.int32)}),
    "remote": (remote, {"a": normal(12, 12)}),
    "switch": (switch, {"a": normal(4, 3, 8), "b": normal(4, 3, 8)}),
    "sections": (sections, {"a": normal(8)}),
    "async": (squares, {"a": normal(4, 96)}),
}


def test_every_program_has_a_case() -> None:
    assert {path.stem for path in HERE.glob("*.wsa")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_numpy_to_the_bit(name: str) -> None:
    compute, inputs = CASES[name]
    wanted, got = compute(inputs), execute(name, inputs)
    assert set(got) == set(wanted)
    for key, array in wanted.items():
        assert got[key].dtype == array.dtype
        np.testing.assert_array_equal(got[key], array)


def test_a_glider_crosses_tiles() -> None:
    board = glider()
    after = execute("life", {"board": board})["after"]
    np.testing.assert_array_equal(after, life({"board": board})["after"])
    # Eight generations: two cells down and to the right; the blinker is as it was.
    np.testing.assert_array_equal(after[4:7, 4:7], board[2:5, 2:5])
    np.testing.assert_array_equal(after[12, 14:17], [1, 1, 1])
