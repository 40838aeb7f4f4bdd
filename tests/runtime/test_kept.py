"""What is kept leaves at the edge and comes back in the same run, when all of it has left."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.runtime.agreement import differences, ending
from tests.runtime.generate import other_machine, varied
from tests.runtime.programs import program
from wsc import runtime
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Program
from wsc.isa.verifier import doubts, verify
from wsc.runtime.errors import Deadlock
from wsc.runtime.values.engine import execute

# Each tile of a row sends N halves away in each of T turns. They come back in the order of the
# turns, or in the reverse one, while the last tile still spends time before it sends its own.
TEXT = """
input  a : f16[{turns}, {size}] "float32"
output r : f16[{turns}, {size}] "float32"
kept "k.{{n}}" : f16[{size}] for n:{turns}
color ins = 0
color outs = 1
color back = 2
tensor buf : f16[{each}] at 0 size {room}
tensor slow : f32[64] at {room} size 256
region all at 0,0 size {tiles}x1
route ins in all : N -> RAMP
route outs in all : RAMP -> N
route back in all : S -> RAMP
main all
  loop n: {turns}
    mov.f16 [buf + 2*i], <ins> for i:{each}
    if x == W - 1
      div.f32 [slow + 4*i], [slow + 4*i], 3.0 for i:64
    end
    mov.f16 <outs>, [buf + 2*i] for i:{each}
  end
  loop n: {turns}
    mov.f16 [buf + 2*i], <back> for i:{each}
    mov.f16 <outs>, [buf + 2*i] for i:{each}
  end
end
loop n: {turns}
  feed ins in all side N from a[n*{size} + x*{each} + i] for i:{each}
  drain outs in all side N from "k.{{n}}"[x*{each} + i] for i:{each}
end
loop n: {turns}
  feed back in all side S from "k.{{{names}}}"[(W - 1 - x)*{each} + i] for i:{each}
  drain outs in all side N from r[n*{size} + x*{each} + i] for i:{each}
end
"""


def kept(turns: int, tiles: int, each: int, reverse: bool) -> Program:
    names = f"{turns - 1}-n" if reverse else "n"
    room = -(-2 * each // 4) * 4
    text = TEXT.format(
        turns=turns, tiles=tiles, each=each, size=tiles * each, names=names, room=room
    )
    return program(text, f"{tiles}x1")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("turns", "tiles", "each"), [(1, 1, 1), (2, 3, 5), (5, 7, 3)])
def test_it_comes_back_to_the_bit(turns: int, tiles: int, each: int, reverse: bool) -> None:
    made = kept(turns, tiles, each, reverse)
    assert parse(print_program(made)) == made
    image = runtime.load(made)
    verify(image.program, image.fabric)
    assert not doubts(image.program, image.fabric)
    bits = np.random.default_rng(turns).integers(0, 1 << 16, (turns, tiles * each), np.uint16)
    given = bits.view(np.float16)
    given[~np.isfinite(given)] = np.float16(6e-8)  # the host's types are of numbers
    wanted = given.reshape(turns, tiles, each)[:: -1 if reverse else 1, ::-1]
    whole = {"a": given.astype(np.float32)}
    found = [
        ending(image, whole, engine, delays=delays)
        for engine in ("reference", "both", "values")
        for delays in ((None, 3) if engine == "reference" else (None,))
    ]
    for run in found:
        assert not run.error
        assert (run.outputs["r"].reshape(wanted.shape) == wanted.astype(np.float32)).all()
    assert not list(differences(found[0], found[2], "both"))
    time = ending(image, {}, "time")
    assert (time.cycle, time.error) == (found[0].cycle, "")


@pytest.mark.parametrize("seed", range(6))
def test_engines_agree_on_any_machine(seed: int) -> None:
    """With other depths, latencies, bandwidths and links, and columns that share the work."""
    draw = random.Random(seed)
    fabric = other_machine(draw, varied(draw, find_fabric("wse2")))
    made = kept(*draw.choice([(4, 5, 3), (2, 9, 2), (3, 1, 7)]), reverse=draw.random() < 0.5)
    image = runtime.load(made, fabric)
    size = made.edge_tensors[0].shape
    given = {"a": np.random.default_rng(seed).normal(size=size).astype(np.float16)}
    whole = {"a": given["a"].astype(np.float32)}
    reference, both, time = (ending(image, whole, e) for e in ("reference", "both", "time"))
    assert not reference.error
    assert not list(differences(reference, both, "both"))
    assert time.cycle == reference.cycle
    for bands in (2, 3):
        found = execute(image, {"a": given["a"].ravel()}, bands=bands).outputs["r"]
        assert (found.reshape(size) == reference.outputs["r"]).all()


def test_a_feed_that_waits_is_told() -> None:
    """Tiles that want it before they have sent theirs wait for ever, and a report says for what."""
    text = TEXT.format(turns=1, tiles=3, each=2, size=6, names="n", room=4)
    head, sends, rest = text.partition("    mov.f16 <outs>, [buf + 2*i] for i:2\n")
    early = sends.replace("<outs>, [buf + 2*i]", "[buf + 2*i], <back>") + sends
    back = rest.replace("    mov.f16 [buf + 2*i], <back> for i:2\n", "")
    image = runtime.load(program(head + early + back, "3x1"))
    verify(image.program, image.fabric)
    for engine in ("reference", "both", "values", "time"):
        with pytest.raises(Deadlock) as caught:
            runtime.run(image, {"a": np.zeros((1, 6), np.float32)}, engine=engine)
        where = f"{image.transfers[2].where.line}: tiles (0, 0), (1, 0), (2, 0)"
        waits = "the feed of 'k.0' waits until the 6 of its 6 elements that are missing have"
        assert f"{where}: {waits}" in str(caught.value).replace(":3:", ":")


def test_why_names_who_drained_last() -> None:
    image = runtime.load(kept(1, 3, 4, reverse=False))
    given = {"a": np.zeros((1, 12), np.float32)}
    why = runtime.run(image, given, causes=True).why()
    told = {step.place.text: step for step in why.steps}
    assert told["feed k.0"].waited_for == "the last element of 'k.0' to be drained"
    assert told["drain k.0"].place.doer == "the edge at (2, 0)"
    assert told["div"].place.doer == "tile (2, 0)"  # it was late


WRONG = {
    "drain removed": (
        '  drain outs in all side N from "k.{n}"[x*2 + i] for i:2\n',
        "",
        "0 of the 6 elements of 'k.0' are drained, not element 0; its feeds wait for all of them",
    ),
    "one short": (
        'side N from "k.{n}"[x*2 + i] for i:2',
        'side N from "k.{n}"[x*2 + i] for i:min(2, 5 - 2*x)',
        "5 of the 6 elements of 'k.0' are drained, not element 5",
    ),
    "drained twice": (
        'side N from "k.{n}"[x*2 + i] for i:2',
        'side N from "k.{n}"[0*x + i] for i:2',
        "element 0 of 'k.0' is drained twice",
    ),
    "fed beyond its end": (
        'from "k.{n}"[(W - 1 - x)*2 + i] for i:2',
        'from "k.{n}"[(W - 1 - x)*2 + i] for i:4',
        "elements 4 to 7 of 'k.0', which has 6",
    ),
    "fed in the turn before": (
        'from "k.{n}"[x*2 + i] for i:2\n',
        'from "k.{n}"[x*2 + i] for i:2\n  feed back in all side S from "k.{1-n}"[i] for i:2\n',
        "'k.1' is kept, and is fed before this entry has drained all of it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(name: str) -> None:
    old, new, says = WRONG[name]
    text = TEXT.format(turns=2, tiles=3, each=2, size=6, names="n", room=4)
    assert old in text
    broken = program(text.replace(old, new), "3x1")
    with pytest.raises(AssemblyError, match="(?s)" + says.replace("(", r"\(")):
        verify(broken, runtime.load(kept(2, 3, 2, reverse=False)).fabric)


def test_names_are_of_one_tensor() -> None:
    text = TEXT.format(turns=2, tiles=3, each=2, size=6, names="n", room=4)
    twice = text.replace("input  a", 'output "k.1" : f16[6] "float32"\ninput  a')
    with pytest.raises(AssemblyError, match=r"the output 'k\.1' has the name of what is kept"):
        program(twice, "3x1")


def test_what_is_not_fed_is_a_doubt() -> None:
    text = TEXT.format(turns=2, tiles=3, each=2, size=6, names="n", room=4)
    some = text.replace("[(W - 1 - x)*2 + i]", "[i]")
    image = runtime.load(program(some, "3x1"))
    verify(image.program, image.fabric)
    first = doubts(image.program, image.fabric)[0]
    assert "2 of the 6 elements of 'k.0' are fed, not element 2" in str(first.message)
