"""Updates in the text: read back, and checked."""

from __future__ import annotations

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.format import format_text
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.verifier import verify

HEAD = """wsc 1
fabric "wse2" 1x1
precision f32
file "w.safetensors" sha256 "{digest}"
output loss : f32[] "float32"
output "w.grad" : f32[2, 3] "float32"
output n : i32[] "int32"
weight w : f32[2, 3] "w.safetensors" key "w"
weight i : i32[2, 3] "w.safetensors" key "i"
weight "w.mean" : f32[2, 3] "w.safetensors" key "w.mean"
weight "w.square" : f32[2, 3] "w.safetensors" key "w.square"
weight short : f32[3] "w.safetensors" key "short"
color outs = 0
tensor b : f32[8] at 0 size 32
region all at 0,0 size 1x1
route outs in all : RAMP -> N
main all
  mov.f32 <outs>, [b + 4*i] for i:7
  mov.i32 <outs>, [b]
end
drain outs in all side N from loss[0]
drain outs in all side N from "w.grad"[i] for i:6
drain outs in all side N from n[0]
""".format(digest="0" * 64)
ADAM = 'update w by adam(rate = 0.5) from "w.grad" with "w.mean", "w.square"\n'


def checked(lines: str) -> None:
    program = parse(HEAD + lines, "step.wsa")
    verify(program, find_fabric("wse2").sized(1, 1), HEAD + lines)


def test_text_of_updates_is_read_back() -> None:
    lines = "gradients clip 1.5 over 4\n" + ADAM
    program = parse(HEAD + lines)
    checked(lines)
    assert (program.clip, program.over) == (1.5, 4)
    (update,) = program.updates
    assert dict(update.numbers)["beta2"] == 0.999  # what is not given
    text = print_program(program)
    assert parse(text) == program
    assert format_text(text) == text
    assert text.endswith(
        "update w by adam(rate = 0.5, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-08, decay = 0.0) "
        'from "w.grad" with "w.mean", "w.square"\n'
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('update w by lion() from "w.grad"\n', "no optimizer 'lion'; there are take, sgd"),
        ('update w by sgd(heat = 1) from "w.grad"\n', "'sgd' has no number 'heat'"),
        ('update w by sgd(rate = 1, rate = 2) from "w.grad"\n', "'rate' is given twice"),
        ('update w by sgd(rate = -1.0) from "w.grad"\n', "rate = -1 is not from 0 to below"),
        ('update w by sgd(rate = nan) from "w.grad"\n', "rate = nan is not from 0 to below"),
        ('update v by sgd() from "w.grad"\n', "no weight 'v' to update"),
        ('update i by sgd() from "w.grad"\n', "'i' is i32; an update is of floats"),
        ("update w by sgd() from g\n", "no output 'g' with the gradient of 'w'"),
        ("update w by sgd() from n\n", "'n' is no gradient: an output of floats"),
        ("update w by sgd() from loss\n", "the gradient 'loss' is \\[\\], and 'w' is \\[2, 3\\]"),
        ('update short by sgd() from "w.grad"\n', "and 'short' is \\[3\\]"),
        ('update w by adam() from "w.grad"\n', "'adam' keeps 2 tensors, not 0"),
        (
            'update w by momentum() from "w.grad" with short\n',
            "'short' is f32\\[3\\], not f32\\[2, 3\\]",
        ),
        ('update w by momentum() from "w.grad" with v\n', "no weight 'v' to keep what 'momentum'"),
        ('update w by momentum() from "w.grad" with w\n', "'w' is changed by two updates"),
        (ADAM + ADAM, "'w.grad' goes into two updates"),
        ("gradients\n", "followed by 'clip', 'over' or both"),
        ("gradients clip 1.0\n", "and no update takes them"),
        ("gradients over 0\n" + ADAM, "gradients over 0 runs"),
        ("gradients clip -1.0\n" + ADAM, "clipped to -1.0"),
        ("gradients clip 1.0\ngradients over 2\n" + ADAM, "the gradients is given twice"),
    ],
)
def test_what_is_wrong_is_said(lines: str, message: str) -> None:
    with pytest.raises(AssemblyError, match=message):
        checked(lines)
