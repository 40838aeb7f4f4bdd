"""What is sabotaged, and which tests should see it: the nearest first, none that takes long."""

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


_REFUSALS = (
    "tests/errors",
    "tests/isa/verify",
    "tests/isa/test_verifier.py",
    "tests/isa/test_coverage.py",
    "tests/isa/test_operands.py",
    "tests/programs",
)

AREAS: dict[str, Area] = {
    "verifier": Area(("isa/verify/*.py",), _REFUSALS),
    "code_size": Area(("isa/code_size.py",), ("tests/isa/test_code_size.py", *_REFUSALS)),
    "turns": Area(("isa/turns.py",), ("tests/isa/test_turns.py", "tests/passes/test_layers.py")),
    "drawing": Area(("isa/drawing.py",), ("tests/isa/test_drawing.py",)),
    "layers": Area(
        ("wsc/passes/layers.py", "wsc/passes/stack.py"), ("tests/passes/test_layers.py",)
    ),
    "derivatives": Area(
        ("wsc/passes/differentiate.py", "wsc/passes/adjoint.py"),
        ("tests/passes/test_differentiate.py", "tests/training/test_operators.py"),
    ),
    "optimizer": Area(("runtime/optimizer.py",), ("tests/runtime/test_optimizer.py",)),
    "apart": Area(
        ("runtime/both.py", "runtime/decisions.py", "runtime/record.py"),
        ("tests/runtime/test_both.py",),
    ),
    "memory": Area(
        ("wsc/passes/memory.py", "wsc/passes/lives.py"),
        ("tests/passes/test_memory.py", "tests/passes/test_place.py", "tests/e2e/test_long.py"),
    ),
    "addresses": Area(
        ("runtime/memory.py", "runtime/sizes.py", "runtime/needs.py", "runtime/schedule.py"),
        ("tests/runtime/test_addresses.py", "tests/runtime/test_limits.py"),
    ),
    "placement": Area(
        ("wsc/passes/place.py", "wsc/passes/values.py", "wsc/passes/views.py"),
        ("tests/passes/test_place.py", "tests/kernels/test_indices.py"),
    ),
    "routes": Area(
        ("wsc/passes/route.py", "wsc/flows/flow.py", "wsc/flows/carried.py"),
        (
            "tests/passes/test_route.py",
            "tests/flows/test_carried.py",
            "tests/kernels/test_collectives.py",
            "tests/programs",
        ),
    ),
    "counters": Area(
        ("runtime/counters.py", "runtime/observations/collect.py"),
        ("tests/runtime/test_counters.py", "tests/runtime/test_runs.py", "tests/cli/test_run.py"),
    ),
    "races": Area(
        ("runtime/reference/races.py", "runtime/reference/findings.py"),
        ("tests/runtime/test_races.py",),
        900,
    ),
    "deadlock": Area(
        ("runtime/observations/deadlock.py",),
        ("tests/runtime/test_faults.py", "tests/runtime/test_runs.py"),
    ),
    "store": Area(
        ("runtime/store.py",), ("tests/runtime/test_store.py", "tests/runtime/test_weights.py")
    ),
    "weights": Area(
        ("runtime/weights.py",),
        (
            "tests/runtime/test_weights.py",
            "tests/store/test_weights.py",
            "tests/runtime/test_store.py",
        ),
    ),
    "files": Area(
        ("wsc/store/files.py",), ("tests/store/test_files.py", "tests/store/test_weights.py")
    ),
    "fabric": Area(("isa/fabric.py",), ("tests/isa/test_fabric.py", "tests/isa/test_machine.py")),
    "kept": Area(
        ("runtime/keep.py", "runtime/kernels/library.py"),
        ("tests/runtime/test_keep.py", "tests/runtime/kernels/test_library.py"),
    ),
    "cost": Area(
        ("wsc/cost/model.py", "wsc/cost/edge.py", "wsc/cost/steady.py", "wsc/cost/tiles.py"),
        (
            "tests/cost/test_model.py",
            "tests/cost/test_edge.py",
            "tests/cost/test_steady.py",
            "tests/cost/test_tiles.py",
            "tests/cost/test_bounds.py",
            "tests/cost/test_agreement.py",
            "tests/cost/test_predict.py",
        ),
    ),
    "streams": Area(
        (
            "wsc/flows/cast.py",
            "wsc/flows/chain.py",
            "wsc/flows/collect.py",
            "wsc/flows/feed.py",
            "wsc/flows/multicast.py",
            "wsc/flows/requests.py",
            "wsc/flows/scatter.py",
            "wsc/cost/streams.py",
            "wsc/cost/threads.py",
            "wsc/cost/walk.py",
        ),
        (
            "tests/flows/test_carried.py",
            "tests/flows/test_chain.py",
            "tests/flows/test_feed.py",
            "tests/flows/test_multicast.py",
            "tests/cost/test_model.py",
            "tests/cost/test_bounds.py",
            "tests/cost/test_predict.py",
        ),
    ),
    "network": Area(
        (
            "wsc/cost/network.py",
            "wsc/cost/cells.py",
            "wsc/cost/senders.py",
            "wsc/cost/wormhole.py",
        ),
        (
            "tests/cost/test_cells.py",
            "tests/cost/test_network.py",
            "tests/cost/test_senders.py",
            "tests/cost/test_wormhole.py",
        ),
    ),
    "engines": Area(
        (
            "runtime/clocked/*.py",
            "runtime/reference/routers.py",
            "runtime/reference/edge.py",
            "runtime/reference/messages.py",
            "runtime/reference/cores.py",
            "runtime/reference/units.py",
            "runtime/reference/vectors.py",
            "runtime/time/*.py",
            "runtime/observations/drive.py",
        ),
        (
            "tests/runtime/test_turns.py",
            "tests/runtime/test_addresses.py",
            "tests/runtime/test_limits.py",
            "tests/runtime/test_races.py",
            "tests/runtime/test_faults.py",
            "tests/runtime/test_runs.py",
            "tests/runtime/test_both.py",
            "tests/runtime/test_engines.py",
        ),
        900,
    ),
    "values": Area(
        ("runtime/values/*.py",),
        ("tests/runtime/values", "tests/runtime/test_faults.py", "tests/runtime/test_runs.py"),
        900,
    ),
}
