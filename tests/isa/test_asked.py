"""Messages name what whoever reads them can write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsc.isa.asked import asked, constant, dimension, on_the_command_line, option

ROOT = Path(__file__).parents[2]


def test_flags_and_arguments() -> None:
    python = ["dims={'n': 4}", "bind={'x': array}", "wide: 'x'", "dims: 'n'", "b"]

    def told() -> list[str]:
        made = [dimension("n", 4), constant("x"), option("wide", "x"), option("dim", "n")]
        return [*made, asked("a", "b")]

    assert told() == python
    with on_the_command_line():
        assert told() == ["--dim n=4", "--bind x=FILE.npy", "--wide x", "--dim n", "a"]
    with pytest.raises(KeyError), on_the_command_line():
        raise KeyError
    assert told() == python


@pytest.mark.parametrize("folder", ["wsc/frontend", "wsc/training", "wsc/passes", "runtime", "isa"])
def test_no_message_names_a_flag_alone(folder: str) -> None:
    """What Python code meets too is not told in the words of the command line."""
    flag = re.compile(r"""^[^#]*"[^"]*(?<![\w`-])--[a-z]""")
    for file in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            shown = f"{file.name}:{number}: {line.strip()}"
            assert not flag.search(line) or "asked(" in line or "dump-ir" in line, shown
