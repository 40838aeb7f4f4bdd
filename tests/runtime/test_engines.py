"""The two engines are one machine: the same outputs, cycles, counters and errors on everything."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import wsc
from benchmarks.patterns import PATTERNS, streamed
from tests.e2e.corruptions import candidates
from tests.fabric import build, network
from tests.runtime.agreement import Ending, assert_agree, differences, ending, random_inputs
from tests.runtime.generate import generate, other_machine, varied
from tests.runtime.programs import broadcast, chain, program, with_io
from wsc import models, runtime
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.types import DType
from wsc.models import builders
from wsc.runtime.clocked.records import MOST_VISITS
from wsc.runtime.counters import Counters
from wsc.runtime.errors import LoadError
from wsc.runtime.image import Image

WRITTEN = sorted((Path(__file__).parents[1] / "programs").glob("*.wsa"))
Feeds = dict[str, np.ndarray]


def cut_short(image: Image, inputs: Feeds, whole: Ending, seed: int) -> None:
    """Compare what was counted when the run ends somewhere on the way; its cycles are enough."""
    if whole.cycle > 1:
        limit = random.Random(seed).randrange(1, whole.cycle)
        stopped = assert_agree(image, inputs, max_cycles=limit)
        assert stopped.cycle <= limit
    if not whole.error:
        assert not list(differences(assert_agree(image, inputs, max_cycles=whole.cycle), whole, ""))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_written_programs(path: Path) -> None:
    image = runtime.load(parse(path.read_text(encoding="utf-8")))
    inputs = random_inputs(image.program)
    whole = assert_agree(image, inputs)
    assert not whole.error
    for seed in range(6):
        delayed = assert_agree(image, inputs, delays=seed)
        assert not list(differences(whole.outputs, delayed.outputs, "outputs"))
        cut_short(image, inputs, whole, seed)


@pytest.mark.parametrize("rate", [1, 6, 16, 1 << 20])
def test_written_programs_at_other_bandwidths(rate: int) -> None:
    for path in WRITTEN:
        program = parse(path.read_text(encoding="utf-8"))
        assert_agree(program, random_inputs(program), fabric=with_io(rate))


@pytest.mark.parametrize("tiles", [2, 3, 9, 32])
@pytest.mark.parametrize("count", [1, 5, 64])
def test_collectives(tiles: int, count: int) -> None:
    for made in (broadcast(tiles, count), chain(tiles, count)):
        assert not assert_agree(made, {}).error
        assert_agree(made, {}, delays=count)


@pytest.mark.parametrize("size", ["4x4", "3x7", "12x5"])
@pytest.mark.parametrize("name", PATTERNS)
def test_benchmark_patterns(name: str, size: str) -> None:
    pattern = PATTERNS[name](size, 96)
    image = runtime.load(pattern.program, pattern.fabric)
    whole = assert_agree(image, pattern.inputs)
    assert not whole.error
    assert_agree(image, pattern.inputs, delays=1)
    cut_short(image, pattern.inputs, whole, 2)


CROSSED = """
const T = {tokens}
input w : f32[{down}] "float32"
input v : f32[{across}] "float32"
output r : f32[{width}, {tokens}] "float32"
color down = 0
color across = 1
color out = 2
tensor acc : f32[{tokens}] at 0 size {bytes}
tensor sum : f32[{tokens}] at {bytes} size {bytes}
region all at 0,0 size {width}x{height}
route down in all when y < H - 1 : N -> RAMP, S
route down in all when y == H - 1 : N -> RAMP
route across in all when x < W - 1 : W -> RAMP, E
route across in all when x == W - 1 : W -> RAMP
route out in all when y == H - 1 : RAMP -> S
main all
  async 1 -> s0: {second} <across: k> for k:{across}, i:{rows}
  fmac.f32 [acc + 4*i], 0.5, <down: k> for k:{first}, i:T
  loop p: {pause}*(x + y)
    i.add idle, p, 0
  end
  add.f32 [acc + 4*i], [acc + 4*i], <down: k> for k:{down} - {first}, i:T
  wait s0, 1
  add.f32 [acc + 4*i], [acc + 4*i], [sum + 4*i] for i:T
  if y == H - 1
    mov.f32 <out>, [acc + 4*i] for i:T
  end
end
feed down in all side N from w[k] for k:{down}
feed across in all side W from v[k] for k:{across}
drain out in all side S from r[x*T + i] for i:T
"""


@pytest.mark.parametrize("seed", range(12))
def test_trees_that_share_their_ramps(seed: int) -> None:
    """Streams down and across meet at every ramp; each flows alone before and after the other."""
    rng = random.Random(seed)
    width, height, tokens = rng.randint(1, 5), rng.randint(1, 7), rng.choice([1, 3, 8, 40])
    sizes = {"width": width, "height": height, "tokens": tokens, "bytes": 4 * tokens}
    down, across = rng.choice([30, 300, 2500]), rng.choice([9, 40, 200])
    sizes |= {"down": down, "across": across, "first": rng.randint(1, down - 1)}
    sizes |= {"pause": rng.choice([0, 1, 30]), "rows": rng.randint(1, tokens)}
    second = rng.choice(
        ("mov.f32 [sum + 4*i],", "fmac.f32 [sum + 4*i], 0.25,", "max.f32 [sum + 4*i], [sum + 4*i],")
    )
    made = program(CROSSED.format(**sizes, second=second), f"{width}x{height}")
    fabric = replace(varied(rng, find_fabric("wse2")), io_bytes_per_cycle=1 << 20)
    fabric = other_machine(rng, fabric)
    image = runtime.load(made, fabric)
    whole = assert_agree(image, random_inputs(made))
    assert not whole.error
    for cut in range(4):
        cut_short(image, random_inputs(made), whole, cut)


def test_a_fault_in_a_later_row_has_the_cycle_of_that_row() -> None:
    text = """
input a : i32[2] "int32"
input b : i32[4] "int32"
color ca = 0
color cb = 1
tensor r : i32[4] at 0 size 16
region all at 0,0 size 1x1
route ca in all : N -> RAMP
route cb in all : N -> RAMP
main all
  div.i32 [r + 8*j + 4*k], <ca: j>, <cb: j, k> for j:2, k:2
end
feed ca in all side N from a[i] for i:2
feed cb in all side N from b[i] for i:4
"""
    given = {"a": np.array([8, 9], np.int32), "b": np.array([10, 9, 3, 0], np.int32)}
    assert "division of 9 by zero" in assert_agree(program(text, "1x1"), given).error
    beyond = text.replace("div.i32", "index.i32")
    assert "index 9 is outside [-3, 3)" in assert_agree(program(beyond, "1x1"), given).error


def many_colors(count: int) -> Image:
    """Streams of as many colors over one link, all read by one main thread."""
    fabric = replace(
        find_fabric("wse2"), colors=count, input_queues=(2,) * count, output_queues=(2,) * count
    ).sized(2, 1)
    each = "\n".join(
        f"color c{k} = {k}\n"
        f"route c{k} in all when x == 0 : RAMP -> E\nroute c{k} in all when x == 1 : W -> RAMP"
        for k in range(count)
    )
    sends = "\n".join(f"mov.f32 <c{k}>, {k}.5 for i:4" for k in range(count))
    takes = "\n".join(f"mov.f32 [got + {16 * k} + 4*i], <c{k}> for i:4" for k in range(count))
    text = f"""
tensor got : f32[{4 * count}] at 0 size {16 * count}
color result = {count}
region all at 0,0 size 2x1
{each}
route result in all when x == 1 : RAMP -> E
main all
if x == 0
{sends}
else
{takes}
mov.f32 <result>, [got + 4*i] for i:{4 * count}
end
end
output r : f32[{4 * count}] "float32"
drain result in all side E from r[i] for i:{4 * count}
"""
    return runtime.load(program(text, "2x1"), replace(fabric, colors=count + 1))


@pytest.mark.parametrize("count", [33, 48, 61])
def test_many_colors_on_one_link(count: int) -> None:
    assert not assert_agree(many_colors(count), {}).error


def test_more_colors_in_a_tile_than_bits() -> None:
    with pytest.raises(LoadError, match=r"tile \(1, 0\) has routes for 63 colors.* at most 62"):
        many_colors(62)


def test_more_tiles_than_a_slice_has_visits() -> None:
    pattern = streamed("500x500", 2)
    image = runtime.load(pattern.program, pattern.fabric)
    assert image.tiles > MOST_VISITS
    assert runtime.run(image, pattern.inputs, engine="time").cycles == (
        runtime.run(image, pattern.inputs, engine="reference").cycles
    )


# --- random programs -------------------------------------------------------------------

BLOCK, BLOCKS = 25, 20


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_programs(block: int) -> None:
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        case = generate(seed)
        image, inputs = runtime.load(case.program, case.fabric), case.inputs
        whole = assert_agree(image, inputs, several_faults=True)
        delayed = assert_agree(image, inputs, delays=seed, several_faults=True)
        if not whole.error:
            found = list(differences(whole.outputs, delayed.outputs, "outputs"))
            assert not found, f"delays change values: {found}"
        if seed % 3 == 0:
            cut_short(image, inputs, whole, seed)


def test_looks_at_links_that_fill_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link may be due in one cycle several times; with room for one look each, none is lost."""
    monkeypatch.setattr("wsc.runtime.time.tables.LOOKS", 1)
    for seed in range(2000, 2060):
        case = generate(seed)
        assert_agree(
            runtime.load(case.program, case.fabric), case.inputs, delays=3, several_faults=True
        )


# Programs of other seeds on which the engines once differed.
ONCE_DIFFERENT = (901030,)  # a feed was put off while another of its port waited for a later cycle


@pytest.mark.parametrize("seed", ONCE_DIFFERENT)
def test_programs_on_which_the_engines_differed(seed: int) -> None:
    case = generate(seed)
    assert_agree(runtime.load(case.program, case.fabric), case.inputs)


def test_random_programs_do_what_they_are_for() -> None:
    """Of the first fifty, most end well, and what is hard for an engine is in many."""
    seen = dict.fromkeys(("well", "lost", "unit", "send", "switch", "edge"), 0)
    for seed in range(50):
        case = generate(seed)
        end = ending(runtime.load(case.program, case.fabric), case.inputs, "reference")
        if end.counters is None:
            continue
        counters = end.counters
        assert isinstance(counters, Counters)  # of an engine with a clock
        seen["well"] += 1
        seen["lost"] += any(links.lost.any() for links in counters.colors)
        seen["unit"] += bool(counters.unit_busy.any())
        seen["send"] += bool(counters.dynamic_links.any())
        seen["switch"] += "control" in counters.instructions or "advance" in case.text
        seen["edge"] += counters.io_bytes_in > 0
    assert seen["well"] >= 35, seen
    assert min(seen.values()) >= 20, seen


def test_the_same_seed_makes_the_same_program() -> None:
    assert generate(5) == generate(5)
    assert generate(5).text != generate(6).text


# --- compiled networks -----------------------------------------------------------------

NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "mlp": lambda: builders.mlp((30, 37, 11, 5), batch=3),
    "cnn": lambda: builders.cnn((1, 12, 10), (3, 4), kernel=3, padding=1, hidden=(11,), classes=6),
    "encoder": lambda: builders.transformer_encoder(1, 18, 3, 7, expansion=2),
    "lstm": lambda: builders.lstm(5, 9, 3),
    "digits": lambda: network(Path(models.DIGITS)),
}


def feeds_of(model: onnx.ModelProto) -> Feeds:
    """Inputs of the model's shapes, one for a dimension without size."""
    rng, feeds = np.random.default_rng(9), Feeds()
    for item in model.graph.input:
        shape = [dim.dim_value or 1 for dim in item.type.tensor_type.shape.dim]
        feeds[item.name] = rng.normal(size=shape).astype(np.float32)
    return feeds


@pytest.mark.parametrize("precision", [DType.F32, DType.F16], ids=lambda kind: kind.value)
@pytest.mark.parametrize("fabric", ["5x3", "4x4", "1x4", "7x1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, fabric: str, precision: DType, tmp_path: Path) -> None:
    model = NETWORKS[name]()
    built = build(model, fabric, precision)
    built.save(tmp_path / "program.wsa")
    image = runtime.load(built.assembly, built.fabric, tmp_path)
    feeds = feeds_of(model)
    whole = assert_agree(image, feeds)
    assert not whole.error
    delayed = assert_agree(image, feeds, delays=1)
    assert not list(differences(whole.outputs, delayed.outputs, "outputs"))
    cut_short(image, feeds, whole, 3)


@pytest.mark.parametrize("precision", [DType.F32, DType.F16], ids=lambda kind: kind.value)
@pytest.mark.parametrize(
    ("sizes", "batch", "fabric"),
    [((48, 48, 48), 16, "6x16"), ((32, 32, 32), 24, "4x24"), ((96, 64), 40, "9x40")],
)
def test_sums_along_rows_meet_weights_in_tall_columns(
    sizes: tuple[int, ...], batch: int, fabric: str, precision: DType, tmp_path: Path
) -> None:
    """Each row of tiles is behind the one above it, so some row always passes sums on."""
    model = builders.mlp(sizes, batch=batch)
    built = build(model, fabric, precision)
    built.save(tmp_path / "program.wsa")
    image, feeds = runtime.load(built.assembly, built.fabric, tmp_path), feeds_of(model)
    whole = assert_agree(image, feeds)
    assert not whole.error
    assert not assert_agree(image, feeds, delays=2).error
    cut_short(image, feeds, whole, 5)


def test_a_product_on_a_thousand_tiles(tmp_path: Path) -> None:
    """Tiles far from each other are in different blocks: much is put off, and for long."""
    model = builders.mlp((384, 384, 384), batch=128)
    built = build(model, "32x32")
    built.save(tmp_path / "program.wsa")
    image = runtime.load(built.assembly, built.fabric, tmp_path)
    assert not assert_agree(image, feeds_of(model)).error


# --- a network on other machines, and networks that are broken -------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[wsc.Program, Feeds]:
    """Attention over seven tokens on 3 x 4 tiles: streams, chains, remote stores, switches."""
    model = NETWORKS["encoder"]()
    built = build(model, "3x4")
    built.save(tmp_path_factory.mktemp("encoder") / "program.wsa")
    return built, feeds_of(model)


@pytest.mark.parametrize("seed", range(8))
def test_a_network_on_other_fabrics(encoder: tuple[wsc.Program, Feeds], seed: int) -> None:
    built, feeds = encoder
    fabric = other_machine(random.Random(seed), varied(random.Random(seed), built.fabric))
    end = assert_agree(
        built.assembly, feeds, fabric=fabric, weights_dir=built.folder, delays=seed or None
    )
    assert not end.error


# Those that change neither addresses nor who waits for whom: no new race, so that both
# engines have to say the same, and not only to notice.
BROKEN = (
    "opcode",
    "extent",
    "literal",
    "wait",
    "route removed",
    "side dropped",
    "switch reversed",
    "feed color",
    "feed extent",
    "no advance",
    "order",
)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_networks(encoder: tuple[wsc.Program, Feeds], kind: str) -> None:
    built, feeds = encoder
    found = candidates(built.assembly, kind, built.fabric.semaphores - 1)
    assert found
    random.Random(kind).shuffle(found)
    for corruption in found[:3]:
        try:
            image = runtime.load(corruption.program, built.fabric, built.folder)
        except LoadError:
            continue
        assert_agree(image, feeds, max_cycles=40_000)
