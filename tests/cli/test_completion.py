"""What a shell is proposed: values that are known, beside options and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.helpers import TWICE, text_file
from wsc.cli.main import COMMANDS, cli
from wsc.isa.fabric import presets

PROPOSED = {
    "wsc ru": ["run"],
    "wsc run p.wsa --engine ": ["values", "time", "reference"],
    "wsc report p.wsa --engine r": ["reference"],
    "wsc run --map b": ["busy"],
    "wsc run gpt2": ["gpt2"],
    "wsc compile llama3": ["llama3-8b"],
    "wsc compile m.onnx --fabric ": list(presets()),
    "wsc train m.onnx --optimizer adamw": ["adamw"],
    "wsc train m.onnx --loss c": ["cross_entropy"],
    "wsc compile m.onnx --print-ir-after simp": ["simplify"],
    "wsc sweep m.onnx --fabric wse2,t": ["wse2,tiny"],
    "wsc estimate m.onnx --set router.buffer": ["router.buffer_depth="],
    "wsc fabrics ti": ["tiny"],
    "wsc inspect p.wsa --node ": ["/twice/Add", "a", "r"],
    "wsc why p.wsa --node /": ["/twice/Add"],
    "wsc inspect p.wsa --kernel d": ["double"],
    "wsc inspect other.wsa --node ": [],
}


def proposed(line: str, shell: str = "bash") -> list[str]:
    words = line.split(" ")
    given = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        given = {"COMP_WORDS": line, "COMP_CWORD": words[-1]}
    result = CliRunner().invoke(
        cli, [], prog_name="wsc", env=given | {"_WSC_COMPLETE": f"{shell}_complete"}
    )
    lines = result.stdout.splitlines()
    if shell == "zsh":
        return lines[1::3]
    return [text.partition(",")[2].partition("\t")[0] for text in lines if text]


@pytest.mark.parametrize("line", PROPOSED)
def test_known_values_are_proposed(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_file(tmp_path / "p.wsa", TWICE)
    monkeypatch.chdir(tmp_path)
    assert sorted(proposed(line)) == sorted(PROPOSED[line])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_served(shell: str) -> None:
    assert set(COMMANDS) <= set(proposed("wsc ", shell))
    source = CliRunner().invoke(cli, [], prog_name="wsc", env={"_WSC_COMPLETE": f"{shell}_source"})
    assert "_WSC_COMPLETE" in source.stdout
