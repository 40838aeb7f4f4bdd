"""From the dump of any pass, compiling goes on to the same program, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import wsc
from tests.stacks import patchwork
from wsc.api import compile_step
from wsc.frontend.store import Seed
from wsc.models import builders
from wsc.models.language import Task, build, find_shape
from wsc.passes.dump import dump_text
from wsc.pipeline import Stage

Compile = Callable[..., wsc.Program]


def _named(name: str, **sizes: int) -> Any:
    return build(find_shape(name).sized(**sizes), Task(sequence=6))


CASES: dict[str, Compile] = {
    # Convolutions with windows and pooling, in an odd mesh.
    "cnn": partial(
        wsc.compile,
        builders.cnn((2, 9, 7), (3, 4), kernel=3, padding=1, hidden=(6,)),
        fabric=(3, 2),
    ),
    # Sums in an order of their own, halves, one column.
    "mlp": partial(
        wsc.compile,
        builders.mlp((4, 6, 3), batch="n"),
        fabric=(1, 4),
        dims={"n": 5},
        precision="f16",
        same_order=True,
    ),
    # A square that is chosen; a machine with other numbers.
    "lstm": partial(wsc.compile, builders.lstm(4, 3, 3), settings={"router.buffer_depth": 8}),
    # Layers that are a loop.
    "layers": partial(wsc.compile, patchwork(2), fabric=(4, 3)),
    # Weights that are drawn, and in no file.
    "gpt2": partial(
        wsc.compile,
        _named("gpt2", layers=2, hidden=16, heads=2, ffn=24, vocabulary=20),
        fabric=(4, 4),
        weights=Seed(3),
    ),
    # A graph with its backward pass, and updates in the store.
    "step": partial(
        compile_step,
        builders.mlp((4, 6, 3), batch="n"),
        optimizer="adam",
        fabric=(2, 3),
        dims={"n": 4},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_compiling_goes_on_from_any_pass(name: str, tmp_path: Path) -> None:
    stages: dict[str, Stage] = {}
    wanted = CASES[name](observe=stages.__setitem__)
    assert len(stages) == 11
    # One of each form; of the smallest network all of them.
    some = stages if name == "mlp" else {key: stages[key] for key in ("between", "memory", "emit")}
    for after, stage in some.items():
        dump = tmp_path / f"{after}.txt"
        dump.write_text(dump_text(after, stage), encoding="utf-8")
        program = CASES[name](resume=dump)
        assert program.text == wanted.text, after
        assert {item.name for item in program.constants} == {c.name for c in wanted.constants}
