"""Counters by statement: what each adds sums to the run, also inside loops and guards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isa.program import Kind
from wsc.api import load

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.wsa"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_what_statements_add_sums_to_the_run(path: Path) -> None:
    program = load(path)
    inputs = {
        tensor.name: np.ones(tensor.shape, tensor.host)
        for tensor in program.assembly.edge_tensors
        if tensor.kind is Kind.INPUT
    }
    result = program.run(inputs)
    statements = result.counters.statements
    assert sum(item.added for item in statements) == max(item.end for item in statements)
    assert all(item.added >= 0 for item in statements)
