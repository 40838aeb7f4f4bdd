"""A step in as few runs as its samples find room in."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest

import wsc
from tests.cli.helpers import done, refused
from tests.cli.helpers import wsc as command
from tests.training.networks import NETWORKS
from wsc.errors import CompileError, DoesNotFit
from wsc.isa.fabric import Fabric, find_fabric
from wsc.training.runs import in_fewest_runs

BATCH, ROOM = 16, 10400  # bytes of a tile: enough for 8 samples of the MLP, and not for 16


def limited(most: int) -> tuple[list[int], object]:
    """Runs that were tried, and what compiles those of at most so many samples of twelve."""
    tried: list[int] = []

    def compiled(runs: int) -> int:
        tried.append(runs)
        if 12 // runs > most:
            raise DoesNotFit("too many")
        return 12 // runs

    return tried, compiled


@pytest.mark.parametrize(
    ("most", "wafers", "wanted"),
    [(12, 1, [1]), (5, 1, [1, 2, 3]), (1, 1, [1, 2, 3, 4, 6, 12]), (5, 2, [2, 4]), (12, 4, [4])],
)
def test_the_fewest_that_share_out_all_samples(most: int, wafers: int, wanted: list[int]) -> None:
    tried, compiled = limited(most)
    size, runs, note = in_fewest_runs(12, compiled, wafers)  # type: ignore[arg-type]
    assert tried == wanted
    assert (size, runs) == (12 // wanted[-1], wanted[-1])
    assert note.startswith(f"12 samples of a step in {runs} runs") is (runs > 1)
    assert ("do not fit" in note) is (len(wanted) > 1)


def test_what_has_no_room_at_all_is_refused() -> None:
    _, compiled = limited(0)
    with pytest.raises(DoesNotFit, match="too many"):
        in_fewest_runs(12, compiled)  # type: ignore[arg-type]
    with pytest.raises(CompileError, match="12 samples cannot be shared out to 5 wafers"):
        in_fewest_runs(12, compiled, 5)  # type: ignore[arg-type]
    with pytest.raises(CompileError, match="over is a number of runs from 1 on, or auto, not some"):
        wsc.train("model.onnx", over="some")


@pytest.fixture(scope="module")
def small() -> Fabric:
    """Tiles that have no room for all samples at a time."""
    return replace(find_fabric("wse2").sized(2, 2), sram_bytes=ROOM)


def test_a_trainer_chooses_and_trains_as_one_that_was_told(small: Fabric) -> None:
    network = NETWORKS["mlp"]()
    taken = [*islice(network.batches(), BATCH)]
    batch = {name: np.concatenate([b[name] for b in taken])[:BATCH] for name in taken[0]}
    told = wsc.train(network.model, optimizer="sgd:lr=0.1", fabric=small, over=2)
    free = wsc.train(network.model, optimizer="sgd:lr=0.1", fabric=small, over="auto")
    assert free.step(batch).loss == told.step(batch).loss
    assert free.over == 2
    assert free.program is not None
    assert free.program.notes[0] == ("16 samples of a step in 2 runs of 8; 16 at a time do not fit")
    for name, array in told.weights.items():
        np.testing.assert_array_equal(free.weights[name], array)


def test_commands_choose(tmp_path: Path) -> None:
    path = tmp_path / "mlp.onnx"
    onnx.save(NETWORKS["mlp"]().model, path)
    flags = [path, "--train", "--fabric", "2x2", "--set", f"sram.bytes={ROOM}"]
    asked = [*flags, "--accumulate", "auto"]
    shown = done(command("estimate", *asked, "--batch", BATCH))
    assert "16 samples of a step in 2 runs of 8; 16 at a time do not fit" in shown.output
    out = tmp_path / "step.wsa"
    done(command("compile", *asked, "--batch", BATCH, "-o", out))
    assert "gradients over 2\n" in out.read_text()
    refused(command("estimate", *asked), "--accumulate auto: say how many samples", "(--batch)")
    # Where nobody says how many runs, and one has no room, it is the same.
    shown = done(command("estimate", *flags, "--batch", BATCH))
    assert "16 samples of a step in 2 runs of 8; 16 at a time do not fit" in shown.output
    refused(command("estimate", *flags, "--accumulate", "1", "--batch", BATCH), "a tile of fabric")
    shown = done(command("estimate", *flags, "--batch", 4))
    assert "samples of a step in" not in shown.output
