"""The table of agreement: what it holds, and what is said from it."""

from __future__ import annotations

import json

from tests.cli.helpers import TWICE
from wsc.cost.agreement import (
    KERNEL,
    NETWORK,
    TABLE,
    Agreement,
    Checked,
    Kind,
    Pair,
    dump,
    kind,
    load,
    summarised,
)
from wsc.ir.graph import Reduction
from wsc.isa.parser import parse


def test_kinds() -> None:
    names = ("move", "move_12", "map_add_max_3", "reduce_sum", "matmul_streamed_2")
    assert [kind(n) for n in names] == ["move", "move", "map", "reduce_sum", "matmul_streamed"]
    assert {kind(n) for n in ("move_send", "move_take_3")} == {"move"}


def test_short_kernels_have_a_floor_and_count_in_no_mean() -> None:
    short, exact, off = Pair("move", 30, 10), Pair("move_2", 1000, 1000), Pair("move_3", 600, 1000)
    assert short.agrees
    assert exact.agrees
    assert not off.agrees
    assert summarised([short, exact, off]) == (Kind("move", 3, 2010, 0.2, 0.4, 1),)


def test_the_table_that_ships() -> None:
    agreement = load()
    assert dump(agreement) == TABLE.read_text(encoding="utf-8")
    assert json.loads(TABLE.read_text(encoding="utf-8"))["fabric"] == agreement.fabric
    assert {"matmul_streamed", "move", "load", "store", "map"} <= {k.kind for k in agreement.kinds}
    assert all(item.off <= NETWORK for item in agreement.networks)
    assert all(item.mean <= KERNEL for item in agreement.kinds)


def test_every_kind_of_kernel_that_the_compiler_emits_is_in_the_table() -> None:
    contractions = {
        f"{what}_{where}{order}"
        for what in ("matmul", "convolution")
        for where in ("streamed", "resident")
        for order in ("", "_ordered", "_out")
    }
    others = {"map", "gather", "scatter", "move", "copy", "load", "store", "lookup"}
    reductions = {f"reduce_{kind.value}" for kind in Reduction}
    steps = {f"matmul_{how}" for how in ("resident_rising", "streamed_beside")}
    steps |= {"matmul_resident_over_columns", "risen", "settle", "clear_way"}
    steps |= {"load_beside", "arrived"}
    known = contractions | reductions | others | steps
    assert {item.kind for item in load().kinds} == known


def test_what_was_never_checked_is_said() -> None:
    found = Agreement(
        "wse2",
        (2, 2),
        (Kind("take", 9, 900, 0.01, 0.02, 0),),
        (Checked("mlp", "2x2", "f32", 103, 100),),
    )
    said = "\n".join(found.sentences(parse(TWICE), "narrow"))
    assert "off by 1.0% on average and 2.0% at worst (take) in 9 calls" in said
    assert "1 whole networks by 3.0% at worst (mlp on 2x2)" in said
    assert "never checked: double, give" in said
    assert "the numbers of 'wse2'" in said
    assert "no network on a mesh beyond 2x2" in said


def test_runs_on_large_meshes_are_said() -> None:
    runs = tuple(Checked(name, "90x4", "f16", 110, 100) for name in ("sum", "product"))
    small = parse(TWICE)
    assert "large" not in "\n".join(
        Agreement("wse2", (9, 9), (), (), runs).sentences(small, "wse2")
    )
    said = "\n".join(Agreement("wse2", (2, 1), (), (), runs).sentences(small, "wse2"))
    assert "2 runs of single kernels on meshes of up to 90 columns, 4 rows or 360 tiles" in said
    assert "off by 10.0% at worst (sum on 90x4)" in said
    assert "beyond them" not in said
    # None is as high; each side is reached by one, but none has as many tiles.
    for meshes in (("90x1",), ("4x1", "1x3")):
        few = tuple(Checked("sum", mesh, "f16", 110, 100) for mesh in meshes)
        said = "\n".join(Agreement("wse2", (1, 1), (), (), few).sentences(small, "wse2"))
        assert "this one is beyond them" in said


def test_narrow_models_are_said_with_their_meshes() -> None:
    narrow = (Checked("gpt2, 1 layer", "12x3", "f16", 95, 100),)
    small = parse(TWICE)
    said = "\n".join(Agreement("wse2", (2, 1), (), (), (), narrow).sentences(small, "wse2"))
    assert "1 narrow language models on meshes of up to 12x3 by 5.0% at worst" in said
    assert "no network on a mesh beyond" not in said


def test_models_of_full_width_are_said_with_their_meshes() -> None:
    wide = (Checked("gpt2, 1 layer", "wse2:90x3", "f16", 104, 100),)
    small = parse(TWICE)
    said = "\n".join(Agreement("wse2", (2, 1), (), (), wide=wide).sentences(small, "wse2"))
    assert "1 language models of full width on meshes of up to 90x3 by 4.0% at worst" in said
    assert "no network on a mesh beyond" not in said
