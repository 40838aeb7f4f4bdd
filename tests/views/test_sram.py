"""SRAM by procedure and tensor: the parts are all of the whole."""

from __future__ import annotations

import random

import pytest

import wsc
from tests.cli.helpers import TWICE
from tests.stacks import patchwork
from wsc.isa.program import Tensor
from wsc.isa.types import DType
from wsc.models import builders
from wsc.views.inspect import sram_use
from wsc.views.sram import covered, procedure_rooms, users


@pytest.mark.parametrize("network", ["cnn", "layers", "hand"])
def test_all_code_and_all_tensors_are_in_the_rows(network: str) -> None:
    models = {
        "cnn": lambda: builders.cnn((1, 6, 5), (2,), kernel=3, padding=1),
        "layers": patchwork,
    }
    program = wsc.parse(TWICE) if network == "hand" else wsc.compile(models[network](), (3, 2))
    assembly = program.assembly
    rows = procedure_rooms(assembly, program.fabric)
    assert sum(row.code for row in rows) == sram_use(assembly, program.fabric).code
    known = users(rows)
    # Only the word that tiles meet at has no procedure that is called with it.
    assert {tensor.name for tensor in assembly.tensors} - set(known) <= {"sync"}
    for row in rows:
        assert row.data <= sum(tensor.bytes for tensor in row.tensors)
        assert all(row.name in known[tensor.name] for tensor in row.tensors)
    assert sum(row.calls is None for row in rows) == 1


def test_bytes_of_several_tensors_count_once() -> None:
    draw = random.Random(1)
    for count in range(40):
        ranges = [(draw.randrange(40), draw.randrange(20)) for _ in range(count % 7)]
        tensors = [Tensor(f"t{n}", DType.F32, (), at, size) for n, (at, size) in enumerate(ranges)]
        taken = {byte for at, size in ranges for byte in range(at, at + size)}
        assert covered(tensors) == len(taken)
