"""What tiles send, found without times, against what walking tiles send."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cost.cases import single
from tests.fabric import build
from wsc.cost import threads
from wsc.cost.messages import Sample
from wsc.cost.predict import predict
from wsc.cost.senders import TILES, places
from wsc.cost.walk import Walk


def entries(sample: Sample) -> set[tuple[int, ...]]:
    """Who sends how much to whom, in any order."""
    fields = (sample.x, sample.y, sample.to_x, sample.to_y, sample.wavelets)
    return set(zip(*(field.astype(int).tolist() for field in fields), strict=True))


@pytest.mark.parametrize("mesh", ["7x5", "1x6", "9x1", "4x11"])
def test_all_that_walking_tiles_send_is_found(mesh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = single("Transpose", [(13, 3, 8)], perm=[2, 1, 0])()
    program = build(model, mesh)
    found: list[tuple[Sample, Sample]] = []
    arrived = threads.Threads.arrived

    def compare(walk: threads.Threads, lanes: threads.Lanes, words: object) -> None:
        if walk.messages:
            walked = threads.of_batches(walk.messages, walk.x, walk.y)
            found.append((walked, walk.on_their_way()))
        arrived(walk, lanes, words)

    monkeypatch.setattr(threads.Threads, "arrived", compare)
    Walk(program.assembly, program.fabric).run()
    assert found
    for walked, known in found:
        assert known is not walked
        assert entries(known) == entries(walked)
        assert known.wavelets.sum() == walked.wavelets.sum()
        # Times are those of the walking tiles, from their first message to their last.
        assert known.first.min() == walked.first.min()
        assert known.last.max() == walked.last.max()


@pytest.mark.parametrize("turns", [1, 30, 10_000])
@pytest.mark.parametrize(("width", "height"), [(750, 994), (750, 4), (1, 3000), (30, 20)])
def test_a_sample_has_a_bounded_number_of_tiles(width: int, height: int, turns: int) -> None:
    columns, rows = places(width, height, turns)
    assert 1 <= len(columns.places) * len(rows.places) <= TILES


def test_senders_between_all_tiles_of_a_sample_are_those_that_walk() -> None:
    """One row of 700 sends, to all others: no tile of the sample is in it."""
    shape = [700, 90]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xey"]
    ends = {"low": [698], "high": [699], "axis": [0]}
    nodes = [
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("Slice", ["twice", *ends], ["row"]),
        helper.make_node("Add", ["e", "row"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.array(v), name) for name, v in ends.items()]
    graph = helper.make_graph(nodes, "row", tensors[:2], tensors[2:], constants)
    program = build(helper.make_model(graph), "90x700")
    # A run takes 9,267 cycles.
    assert predict(program.assembly, program.fabric).cycles == pytest.approx(9_267, rel=0.01)
