"""Running the command in this process, small models, and a program written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from click.testing import CliRunner, Result

from wsc.cli.main import cli
from wsc.models import builders

TWICE = """\
wsc 1
fabric "wse2" 4x2
precision f32
model "twice.onnx"

input  a : f32[8] "float32"
output r : f32[8] "float32"

color into = 0
color back = 1

tensor buf : f32[8 x:2] at 0 size 8 @"/twice/Add"

region all at 0,0 size 4x2

route into in all when y < H - 1 : N -> RAMP, S
route into in all when y == H - 1 : N -> RAMP
route back in all when y == 0 : RAMP -> N

proc take(at, count)
  ; Take words from the edge.
  mov.f32 [at + i*4], <into> for i:count
end

proc double(at, count)
  ; Add each word to itself.
  add.f32 [at + i*4], [at + i*4], [at + i*4] for i:count
end

proc give(at, count)
  ; Give words to the edge.
  mov.f32 <back>, [at + i*4] for i:count
end

main all
  call take(at = buf, count = 2) as c1 @"a"
  call double(at = buf, count = min(2, 8 - x*2)) @"/twice/Add"
  if y == 0
    call give(at = buf, count = 2) as c2 @"r"
  end
end

feed into in all side N from a[x*2 + i] for i:2 call c1 @"a"
drain back in all side N from r[x*2 + i] for i:2 call c2 @"r"
"""


def wsc(*arguments: object) -> Result:
    """The result of ``wsc arguments``; standard output and standard error apart."""
    return CliRunner().invoke(cli, [str(item) for item in arguments], prog_name="wsc")


def done(result: Result, code: int = 0) -> Result:
    """The result itself, which must have this exit code."""
    assert result.exit_code == code, result.stderr + result.stdout
    return result


def refused(result: Result, *facts: str) -> None:
    """Exit code 2, one message on standard error with these facts, nothing else anywhere."""
    assert result.exit_code == 2, f"{result.exit_code}: {result.stderr}{result.stdout}"
    assert not result.stdout
    assert result.stderr.startswith("error: "), result.stderr
    assert result.stderr.count("error: ") == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "defect of wsc" not in result.stderr
    for fact in facts:
        assert fact in result.stderr, f"{fact!r} is not in {result.stderr!r}"


def saved(model: onnx.ModelProto, path: Path) -> Path:
    """The path, where the model now lies."""
    onnx.save(model, path)
    return path


def mlp(folder: Path, batch: int | str = 4) -> Path:
    """A small network: x [batch, 16] -> logits [batch, 10]."""
    return saved(builders.mlp((16, 32, 10), batch=batch), folder / "mlp.onnx")


def text_file(path: Path, text: str) -> Path:
    """The path, where the text now lies."""
    path.write_text(text, encoding="utf-8")
    return path


def array_file(path: Path, array: np.ndarray) -> Path:
    """The path, where the array now lies as .npy."""
    np.save(path, array)
    return path


def files(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(str(item.relative_to(folder)) for item in folder.rglob("*"))


def dumped(folder: Path, name: str) -> Path:
    """What ``--dump-ir`` wrote behind a pass."""
    (path,) = folder.glob(f"[0-9][0-9]-{name}.txt")
    return path
