"""Whole language models: every layer alone agrees with ONNX Runtime."""

from __future__ import annotations

import re

from click.testing import CliRunner

from benchmarks.whole import main


def test_each_layer_is_held_against_onnx_runtime() -> None:
    sizes = (
        "--fabric wse2:3x4 --sequence 5 --layers 2 --hidden 16 --heads 2 --ffn 24 --vocabulary 19"
    )
    result = CliRunner().invoke(main, ["gpt-j-6b", *sizes.split()], catch_exceptions=False)
    assert result.exit_code == 0
    found = re.search(r"2 layers against ONNX Runtime: (\S+) of the largest", result.output)
    assert found is not None
    assert float(found[1]) < 2e-2
