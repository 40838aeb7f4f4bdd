"""What must always hold, on compiled networks: the text, corruption, delays, values, size, work.

Partial outputs are under test with the commands (``tests/cli``, ``test_bad_input``).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wsc
from tests.e2e.corruptions import KINDS, candidates, without_call
from tests.fabric import build, compare
from tests.networks import NETWORKS, Network
from wsc import runtime
from wsc.cost import multiply_accumulates
from wsc.frontend import import_model
from wsc.ir.graph import Constant, Graph
from wsc.ir.task_text import parse_placed, print_placed
from wsc.ir.tasks import Placed
from wsc.ir.text import parse_graph, print_graph
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Call, Program
from wsc.isa.types import DType
from wsc.isa.verifier import verify
from wsc.models import builders
from wsc.pipeline import Stage
from wsc.runtime.errors import RuntimeFault

Feeds = dict[str, np.ndarray]


# --- 1. the text -----------------------------------------------------------------------


def survives(stage: Stage, constants: tuple[Constant, ...]) -> bool:
    """Whether a stage is what its text says."""
    if isinstance(stage, Graph):
        return parse_graph(print_graph(stage), {item.name: item for item in constants}) == stage
    if isinstance(stage, Placed):
        return parse_placed(print_placed(stage)) == stage
    text = print_program(stage)
    again = parse(text)
    return again == stage and print_program(again) == text


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_text_is_the_identity_after_each_pass(network: Network, precision: str) -> None:
    stages: list[tuple[str, Stage]] = []
    program = wsc.compile(
        network.path,
        fabric="16x16",
        dims=dict(network.dims),
        precision=precision,
        observe=lambda name, stage: stages.append((name, stage)),
    )
    names = ["import", "simplify", "tokens", "heads", "blocks", "between"]
    names += ["place", "memory", "emit", "sections", "route"]
    assert [name for name, _ in stages] == names
    for name, stage in stages:
        assert survives(stage, program.constants), name


# --- small networks --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """A compiled network with an input, its weights on disk, and its run."""

    graph: Graph
    program: Program
    fabric: Fabric
    folder: Path
    feeds: Feeds
    plain: runtime.RunResult

    def run(self, program: Program | None = None, **options: int) -> runtime.RunResult:
        """Run this program, or another one over the same weights."""
        return runtime.run(
            program or self.program,
            self.feeds,
            weights_dir=self.folder,
            fabric=self.fabric,
            **options,  # type: ignore[arg-type]
        )


def encoder() -> tuple[onnx.ModelProto, Feeds]:
    """Attention over 7 tokens: streams, chains, remote stores, switches, stream units."""
    feeds = {"x": np.random.default_rng(3).normal(size=(1, 7, 18)).astype(np.float32)}
    return builders.transformer_encoder(1, 18, 3, 7, expansion=2), feeds


def images() -> tuple[onnx.ModelProto, Feeds]:
    """Convolutions over halos, pooling, fully connected layers."""
    model = builders.cnn((1, 11, 9), (3, 4), kernel=3, padding=1, pooled=1, hidden=(11,), classes=6)
    feeds = {"image": np.random.default_rng(4).normal(size=(1, 1, 11, 9)).astype(np.float32)}
    return model, feeds


def ready(model: onnx.ModelProto, feeds: Feeds, fabric: str, folder: Path) -> Ready:
    import onnx_ir

    built = build(model, fabric)
    built.save(folder / "program.wsa")
    graph = import_model(onnx_ir.from_proto(model), DType.F32)
    machine = find_fabric(fabric)
    plain = runtime.run(built.assembly, feeds, weights_dir=folder, fabric=machine)
    return Ready(graph, built.assembly, machine, folder, feeds, plain)


SMALL: dict[str, Callable[[], tuple[onnx.ModelProto, Feeds]]] = {
    "encoder": encoder,
    "images": images,
}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A small network on 6 x 5 tiles: every route of a reduction carries something there."""
    return ready(*SMALL[request.param](), "6x5", tmp_path_factory.mktemp("small"))


def same(one: Feeds, other: Feeds) -> bool:
    """Whether outputs agree to the bit."""
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


# --- 2. corruption ---------------------------------------------------------------------

SAMPLES = 5  # corruptions of each kind and network


def outcome(net: Ready, program: Program) -> str:
    """'same', 'other', or the name of the error that stopped the program."""
    limit = net.plain.cycles * 10  # a program that waits in a circle ends too
    try:
        verify(program, net.fabric)
        result = net.run(program, max_cycles=limit)
    except (AssemblyError, RuntimeFault) as error:
        return type(error).__name__
    return "same" if same(net.plain.outputs, result.outputs) else "other"


def unused_semaphore(fabric: Fabric) -> int:
    """The last one; kernels count from the first."""
    return fabric.semaphores - 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_shows(small: Ready, kind: str) -> None:
    found = candidates(small.program, kind, unused_semaphore(small.fabric))
    random.Random(kind).shuffle(found)
    tried = 0
    for corruption in found:
        if corruption.probe is not None and outcome(small, corruption.probe) == "same":
            continue  # no tile reaches the statement
        assert outcome(small, corruption.program) != "same", corruption.name
        tried += 1
        if tried == SAMPLES:
            break
    assert tried > 0


def test_there_are_enough_corruptions(small: Ready) -> None:
    """Seventy in each network; a kind of which there are fewer counts with what it has."""
    semaphore = unused_semaphore(small.fabric)
    assert sum(min(SAMPLES, len(candidates(small.program, k, semaphore))) for k in KINDS) >= 70


def test_every_call_of_the_schedule_matters(small: Ready) -> None:
    (region,) = small.program.regions
    for number, call in enumerate(region.main):
        assert outcome(small, without_call(small.program, number)) != "same", call


# --- 3. delays -------------------------------------------------------------------------


def test_delays_change_cycles_and_no_bit(small: Ready) -> None:
    counters = small.plain.counters
    assert counters.instructions["send"] > 0
    assert counters.unit_busy.sum() > 0
    assert any(len(route.positions) > 1 for route in small.program.routes)
    for seed in range(20):
        delayed = small.run(delays=seed)
        assert same(small.plain.outputs, delayed.outputs), seed
        assert delayed.cycles != small.plain.cycles, seed


# --- 4. agreement ----------------------------------------------------------------------

FABRICS = ("1x1", "1x5", "6x1", "2x2", "4x3", "3x7")
sizes = st.integers(1, 13)


@st.composite
def perceptrons(draw: st.DrawFn) -> onnx.ModelProto:
    widths = draw(st.lists(st.integers(1, 30), min_size=2, max_size=4))
    return builders.mlp(widths, batch=draw(sizes), seed=draw(sizes))


@st.composite
def convolutions(draw: st.DrawFn) -> onnx.ModelProto:
    image = (draw(st.integers(1, 3)), draw(st.integers(6, 13)), draw(st.integers(6, 13)))
    channels = draw(st.lists(st.integers(1, 7), min_size=1, max_size=2))
    kernel = draw(st.sampled_from([1, 3]))
    return builders.cnn(
        image,
        channels,
        kernel=kernel,
        padding=kernel // 2,
        pooled=draw(st.integers(0, 2)),
        hidden=draw(st.lists(sizes, max_size=1)),
        classes=draw(sizes),
        seed=draw(sizes),
    )


@st.composite
def encoders(draw: st.DrawFn) -> onnx.ModelProto:
    heads, width = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    return builders.transformer_encoder(
        1,
        heads * width,
        heads,
        draw(sizes),
        expansion=draw(st.integers(1, 3)),
        batch=draw(st.integers(1, 2)),
        seed=draw(sizes),
    )


@st.composite
def recurrences(draw: st.DrawFn) -> onnx.ModelProto:
    return builders.lstm(draw(sizes), draw(sizes), draw(st.integers(1, 3)), seed=draw(sizes))


def drawn(model: onnx.ModelProto) -> Feeds:
    """Inputs of the model's shapes."""
    rng = np.random.default_rng(9)
    return {
        item.name: rng.normal(
            size=[dim.dim_value for dim in item.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for item in model.graph.input
    }


GENERATED = st.one_of(perceptrons(), convolutions(), encoders(), recurrences())


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(model=GENERATED, fabric=st.sampled_from(FABRICS), precision=st.sampled_from(DType))
def test_small_models_agree_with_onnx_runtime(
    model: onnx.ModelProto, fabric: str, precision: DType
) -> None:
    kind = DType.F16 if precision is DType.F16 else DType.F32
    compare(model, drawn(model), fabric, kind)


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_split_dimension_of_one_has_one_holder(fabric: str) -> None:
    """Tiles beyond the first hold nothing of it, and send nothing."""
    model = builders.transformer_encoder(1, 1, 1, 1, expansion=2)
    compare(model, drawn(model), fabric)


# --- 6. size ---------------------------------------------------------------------------

GROWING = ("8x8", "32x32", "750x994")
MOST_LINES = 5000


def assert_size_is_steady(lines: dict[str, int]) -> None:
    """No larger mesh has more than 2% more than a smaller one, and none as many as the limit.

    Fewer it may have: which movement goes in runs depends on what a tile has of them.
    """
    assert max(lines.values()) < MOST_LINES, lines
    sizes = [lines[fabric] for fabric in GROWING]
    least = [min(sizes[: place + 1]) for place in range(len(sizes))]
    assert all(size <= 1.02 * few for size, few in zip(sizes, least, strict=True)), lines


def test_text_of_an_encoder_does_not_grow_with_the_fabric() -> None:
    model = builders.transformer_encoder(2, 64, 4, 48)
    assert_size_is_steady({f: build(model, f).text.count("\n") for f in GROWING})


def test_text_of_minilm_does_not_grow_with_the_fabric() -> None:
    (network,) = [item for item in NETWORKS if item.name == "minilm"]
    lines: dict[str, int] = {}
    for fabric in GROWING:
        program = wsc.compile(network.path, fabric=fabric, dims=dict(network.dims))
        lines[fabric] = program.text.count("\n")
    assert_size_is_steady(lines)


# --- nothing is free -------------------------------------------------------------------


def test_the_work_is_done_by_instructions(small: Ready) -> None:
    counters = small.plain.counters
    (region,) = small.program.regions
    assert [row.statement.nodes for row in counters.statements] == [
        call.nodes for call in region.main if isinstance(call, Call)
    ]
    assert all(row.busy > 0 for row in counters.statements)
    assert sum(row.busy for row in counters.statements) == counters.busy.sum()
    assert all(count > 0 for count in counters.instructions.values())
    macs = sum(row.macs for row in counters.statements)
    assert macs == counters.macs_f32 + counters.macs_f16
    assert macs >= multiply_accumulates(small.graph)


def test_each_cycle_of_each_tile_has_its_cause(small: Ready) -> None:
    counters = small.plain.counters
    stalled = counters.stalled_input + counters.stalled_output + counters.waiting
    assert (counters.busy + stalled + counters.idle == counters.cycles).all()
    assert (counters.idle >= 0).all()


@pytest.mark.parametrize("fabric", ["1x1", "4x4", "2x8"])
def test_blocks_without_padding_do_the_graphs_work_exactly(fabric: str, tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(3).normal(size=(1, 16, 32)).astype(np.float32)}
    net = ready(builders.transformer_encoder(1, 32, 4, 16), feeds, fabric, tmp_path)
    needed = multiply_accumulates(net.graph)
    assert needed == 16 * 32 * 32 * (4 + 2 * 4) + 2 * 16 * 16 * 32
    assert net.plain.counters.macs_f32 == needed
