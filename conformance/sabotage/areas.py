"""What is sabotaged, and which tests should see it: the nearest first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """files: patterns of what is changed. tests: arguments for pytest, the quickest first.

    limit: seconds after which a change counts as seen: something waits for ever.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    limit: int = 300


_RUNS = (
    "tests/runtime/test_turns.py",
    "tests/runtime/test_faults.py",
    "tests/runtime/test_cycles.py",
    "tests/runtime/test_runs.py",
    "tests/runtime/test_limits.py",
    "tests/runtime/test_nan.py",
    "tests/runtime/test_races.py",
    "tests/runtime/test_both.py",
    "tests/runtime/test_engines.py",
)

AREAS: dict[str, Area] = {
    "verifier": Area(
        ("isa/verify/*.py", "isa/code_size.py"),
        ("tests/errors", "tests/isa", "tests/programs", "tests/kernels"),
    ),
    "memory": Area(
        ("wsc/passes/memory.py", "wsc/passes/lives.py", "runtime/memory.py"),
        ("tests/passes", "tests/runtime/test_limits.py", "tests/kernels", "tests/e2e"),
        600,
    ),
    "placement": Area(
        ("wsc/passes/place.py", "wsc/passes/values.py", "wsc/passes/views.py"),
        ("tests/passes", "tests/kernels", "tests/frontend/test_movement.py"),
        600,
    ),
    "engines": Area(
        (
            "runtime/reference/*.py",
            "runtime/time/*.py",
            "runtime/both.py",
            "runtime/decisions.py",
            "runtime/observations/drive.py",
        ),
        _RUNS,
        900,
    ),
    "counters": Area(
        ("runtime/observations/*.py", "runtime/reference/findings.py"),
        (
            "tests/runtime/test_faults.py",
            "tests/runtime/test_runs.py",
            "tests/runtime/test_limits.py",
            "tests/cli/test_run.py",
            "tests/runtime/test_trace.py",
            "tests/runtime/test_races.py",
        ),
    ),
    "files": Area(
        ("runtime/store.py", "wsc/files.py", "isa/fabric.py", "runtime/keep.py"),
        (
            "tests/runtime/kernels/test_library.py",
            "tests/runtime/test_runs.py",
            "tests/test_weights.py",
            "tests/isa",
            "tests/e2e/test_bad_input.py",
            "tests/frontend/test_types.py",
            "tests/cli",
        ),
    ),
    "cost": Area(
        ("wsc/cost/*.py",),
        ("tests/cost", "tests/cli/test_estimate.py"),
    ),
}
