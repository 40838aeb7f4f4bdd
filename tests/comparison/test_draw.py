"""Inputs that are drawn: those that a run takes, and no others."""

from __future__ import annotations

import numpy as np
import onnx

import wsc


def test_an_integer_of_two_words_is_drawn_as_one_input() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]>'
        "g (int64[4] x, float[4] z) => (int64[4] y) { y = Neg(x) }"
    )
    program = wsc.compile(proto, "1x1", wide=["x"])
    drawn = program.draw(3)
    assert drawn.keys() == {"x", "z"}
    found = program.run(drawn, engine="values").outputs
    np.testing.assert_array_equal(found["y"], -drawn["x"])
