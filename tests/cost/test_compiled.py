"""Loops that run on Python's lists or, compiled, on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wsc.cost import compiled


def _add(times: Any, each: Any, table: Any, total: Any) -> None:
    for at in range(len(each)):
        table[1][at] += times * each[at] + table[0][at]
        total[0] += table[1][at]


@pytest.mark.parametrize("by_numba", [False, True])
def test_arrays_that_change_are_changed(by_numba: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "by_numba", lambda run: run)  # it takes seconds to compile
    table, total = np.arange(6.0).reshape(2, 3), np.zeros(1)
    given = [np.array([1.0, 2.0, 3.0])]
    compiled.run_on_arrays(_add, [2.0], given, [table, total], by_numba)
    assert table.tolist() == [[0.0, 1.0, 2.0], [5.0, 9.0, 13.0]]
    assert total.tolist() == [27.0]
