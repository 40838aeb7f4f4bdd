"""Looks at a run while it goes on: they change nothing, and all engines see the same."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.runtime.test_runs import WRITTEN, random_inputs
from tests.runtime.test_trace import written
from wsc import runtime
from wsc.runtime.counters import ColorLinks, Counters
from wsc.runtime.errors import CycleLimit, RuntimeFault
from wsc.runtime.observations.records import Network
from wsc.runtime.observations.watching import MOST_STRETCHES
from wsc.runtime.trace import TraceRequest

SHOWN = [path for path in WRITTEN if path.stem in ("all_reduce", "async", "remote")]
ENGINES = (None, "reference")


def plain(value: Any) -> Any:
    """Counters as plain data, without what a window has not."""
    if isinstance(value, (Counters, ColorLinks)):
        names = [item.name for item in fields(value) if item.name != "statements"]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, np.ndarray):
        return np.round(value, 6).tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_windows_are_what_runs_up_to_their_ends_differ_in(path: Any) -> None:
    program = written(path)
    inputs = random_inputs(program)
    whole = runtime.run(program, inputs)
    cuts = [0, whole.cycles // 3, whole.cycles // 3 + 1, whole.cycles // 2, 2 * whole.cycles]
    windows = list(pairwise(cuts))
    found = [runtime.run(program, inputs, engine=name, windows=windows) for name in ENGINES]
    for run in found:
        assert plain(run.counters) == plain(whole.counters)
        assert plain(run.windows) == plain(found[0].windows)
    # One after the other they make the whole.
    assert sum(window.cycles for window in found[0].windows) == whole.cycles
    for name in ("busy", "waiting", "links", "dynamic_links"):
        parts = [getattr(window, name) for window in found[0].windows]
        assert np.array_equal(sum(parts), getattr(whole.counters, name))
    # A run that was stopped there has counted the same, and what was counted stays as it is.
    with pytest.raises(CycleLimit) as stopped:
        runtime.run(program, inputs, max_cycles=cuts[3], windows=[(cuts[1], cuts[3])])
    with pytest.raises(CycleLimit) as before:
        runtime.run(program, inputs, max_cycles=cuts[1])
    between = stopped.value.counters.since(before.value.counters)
    assert plain(between) == plain(stopped.value.windows[0])
    (inside,) = runtime.run(program, inputs, windows=[(cuts[1], cuts[3])]).windows
    assert plain(between) == plain(inside)


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_the_network_is_seen_cycle_by_cycle(path: Any) -> None:
    program = written(path)
    inputs = random_inputs(program)
    first, cycles = 7, 40
    request = TraceRequest("all", first=first, cycles=cycles, network=True)
    seen: list[Network] = []
    for name in ENGINES:
        run = runtime.run(
            program, inputs, engine=name, trace=request, windows=[(first, first + cycles)]
        )
        assert run.trace is not None
        network = run.trace.network
        assert network is not None
        assert network.left_out is None
        # Each wavelet over a link is one that was counted.
        (window,) = run.windows
        for rows, counted in (
            (network.wavelets, window.links),
            (network.messages, window.dynamic_links),
        ):
            assert rows[:, 1].sum() == counted.sum()
            assert (rows[:, 0] >= first).all()
            assert (rows[:, :2].sum(axis=1) <= first + cycles).all()
        seen.append(network)
    for name in ("wavelets", "messages", "switches", "semaphores"):
        one, other = (sorted(getattr(network, name).tolist()) for network in seen)
        assert one == other, name
    turned = seen[0].switches[seen[0].switches[:, 0] > first]
    assert bool(len(turned)) == (path.stem in ("all_reduce", "remote"))
    assert bool(len(seen[0].semaphores)) == (path.stem in ("async", "remote"))


def test_a_network_that_does_too_much_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    program = written(SHOWN[0])
    assert MOST_STRETCHES > 1000
    monkeypatch.setattr("wsc.runtime.observations.watching.MOST_STRETCHES", 10)
    request = TraceRequest("all", network=True)
    trace = runtime.run(program, random_inputs(program), trace=request).trace
    assert trace is not None
    assert trace.network is not None
    assert len(trace.network.wavelets) <= 10
    assert trace.network.left_out is not None


@pytest.mark.parametrize("window", [(5, 5), (-1, 3), (7, 2), 3, ("a", "b"), (1, 2, 3)])
def test_what_is_no_window_is_refused(window: Any) -> None:
    program = written(SHOWN[0])
    with pytest.raises(RuntimeFault, match="window"):
        runtime.run(program, random_inputs(program), windows=[window])
