"""Whole language models: every layer alone agrees with ONNX Runtime."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from benchmarks.whole import main

SMALL = "--fabric wse2:3x4 --sequence 5 --hidden 16 --heads 2 --ffn 24 --vocabulary 19"
# Columns far from those that have the heads: outputs lie in larger blocks.
WIDE = "--fabric wse2:80x3 --sequence 48 --hidden 640 --heads 40 --ffn 64 --vocabulary 50"


@pytest.mark.parametrize(("name", "sizes"), [("gpt-j-6b", SMALL), ("gpt-neo-2.7b", WIDE)])
def test_each_layer_is_held_against_onnx_runtime(name: str, sizes: str) -> None:
    options = [name, "--layers", "2", *sizes.split()]
    result = CliRunner().invoke(main, options, catch_exceptions=False)
    assert result.exit_code == 0
    found = re.search(r"2 layers against ONNX Runtime: (\S+) of the largest", result.output)
    assert found is not None
    assert float(found[1]) < 2e-2
