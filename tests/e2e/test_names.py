"""Names from a model or a program never reach a terminal or a file for people raw."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.helpers import TWICE, done, saved, text_file, wsc

EVIL = "a\x1b[31m\x9b2J\0\u202eb\x7f"
SHOWN = r"a\x1b[31m\x9b2J\x00\u202eb\x7f"


def evil_model(path: Path) -> Path:
    """y = Relu(x), in which everything that can have a name has an evil one."""
    graph = helper.make_graph(
        [helper.make_node("Relu", [f"x{EVIL}"], [f"y{EVIL}"], name=f"n{EVIL}")],
        f"g{EVIL}",
        [helper.make_tensor_value_info(f"x{EVIL}", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info(f"y{EVIL}", TensorProto.FLOAT, [4])],
    )
    return saved(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


def clean(text: str) -> None:
    """Printable characters and line ends alone."""
    left = {item for item in text if not item.isprintable() and item != "\n"}
    assert not left, left


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    evil_model(folder / "m.onnx")
    done(wsc("compile", folder / "m.onnx", "-o", folder / "m.wsa", "--fabric", "1x1"))
    return folder


def test_the_text_of_a_program(folder: Path) -> None:
    text = (folder / "m.wsa").read_text(encoding="utf-8")
    clean(text)
    assert r"\u001b" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "m.onnx", "-o", "n.wsa", "--fabric", "1x1", "--print-ir-after", "all"),
        ("check", "m.wsa"),
        ("check", "m.onnx"),
        ("run", "m.wsa"),
        ("run", "m.wsa", "--json"),
        ("run", "m.wsa", "--input", f"z{EVIL}=none.npy".replace("\0", "")),
        ("estimate", "m.wsa", "--all"),
        ("estimate", "m.wsa", "--json"),
        ("inspect", "m.wsa"),
        ("inspect", "m.wsa", "--tile", "0,0"),
        ("inspect", "m.wsa", "--streams"),
        ("inspect", "m.wsa", "--node", f"n{EVIL}"),
        ("inspect", "m.wsa", "--node", EVIL),
        ("inspect", "m.wsa", "--kernel", EVIL),
        ("compile", "m.onnx", "--fabric", EVIL.replace("\0", "")),
        ("compile", "m.onnx", "--dim", f"{EVIL}=1".replace("\0", "")),
        ("compile", "m.onnx", EVIL.replace("\0", "")),
        ("compile", "m.onnx", "--debug", "--dim", f"{EVIL}=1".replace("\0", "")),
    ],
    ids=lambda item: " ".join(item[:3:2]),
)
def test_what_commands_print(
    arguments: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    result = wsc(*arguments)
    assert "defect" not in result.stderr
    clean(result.stdout + result.stderr)


def test_the_trace(folder: Path) -> None:
    trace = folder / "trace.json"
    done(wsc("run", folder / "m.wsa", "--trace", trace))
    text = trace.read_text(encoding="utf-8")
    clean(text)

    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.items() for text in strings(list(item))]
        if isinstance(value, list):
            return [text for item in value for text in strings(item)]
        return [value] if isinstance(value, str) else []

    found = strings(json.loads(text))
    assert any(SHOWN in item for item in found)
    clean("".join(found))


def test_errors_in_a_text(tmp_path: Path) -> None:
    broken = TWICE.replace("  add.f32", f"  add.f3 ; {EVIL}")
    result = wsc("check", text_file(tmp_path / "t.wsa", broken))
    assert result.exit_code == 2
    assert SHOWN in result.stderr
    clean(result.stderr)


def test_errors_in_a_model(tmp_path: Path) -> None:
    model = onnx.load(evil_model(tmp_path / "m.onnx"))
    model.graph.node[0].op_type = f"Nope{EVIL}"
    for command in ("compile", "check"):
        result = wsc(command, saved(model, tmp_path / "m.onnx"))
        assert result.exit_code == 2
        clean(result.stderr)
