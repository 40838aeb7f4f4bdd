"""Counts of wavelets: nothing right is refused, and no extent can be off by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.runtime.generate import generate
from wsc.isa.diagnostics import AssemblyError, Source
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import If, Loop, Op, Program, Queue, Region, Statement, Transfer
from wsc.isa.turns import plain_transfers
from wsc.isa.verifier import verify
from wsc.isa.verify import ends, follow, routes, streams, switches
from wsc.isa.verify.context import Context

ROOT = Path(__file__).parents[3]
WRITTEN = sorted(ROOT.glob("tests/programs/*.wsa"))
COMPILED = sorted(ROOT.glob("docs/collectives/*.wsa"))

HEAD = """wsc 1
fabric "tiny" 4x1
input a : f32[64] "float32"
tensor buf : f32[64] at 0 size 256
color ins = 0
color east = 1
region all at 0,0 size 4x1
route ins in all : N -> RAMP
route east in all when x == 0 : RAMP -> E
route east in all when (x > 0)*(x < W - 1) : W -> RAMP, E
route east in all when x == W - 1 : W -> RAMP
feed ins in all side N from a[16*x + i] for i:8 + x
main all
"""


def found(program: Program, text: str = "") -> list[str]:
    """What the check of counts says."""
    context = Context(program, find_fabric(program.fabric), Source(text))
    streams.counts(context, routes.build(context))
    return [diagnostic.message for diagnostic in context.found]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_an_extent_more_or_less_is_told(path: Path) -> None:
    program = parse(path.read_text(encoding="utf-8"))
    assert not found(program)
    # All of its code runs somewhere, so each change shows.
    for other in _off_by_one(program):
        assert found(other)


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_compiled_programs_are_right(path: Path) -> None:
    assert not found(parse(path.read_text(encoding="utf-8")))


def _off_by_one(program: Program) -> Iterator[Program]:
    """The program with one more step, or one less, of each transfer and instruction in turn."""
    for place, transfer in enumerate(plain_transfers(program)):
        *outer, last = transfer.dims
        for more in (-1, 1):
            dims = (*outer, replace(last, extent=last.extent + more))
            changed = list(plain_transfers(program))
            changed[place] = replace(transfer, dims=dims)
            yield program.with_(transfers=tuple(changed))
    for place, procedure in enumerate(program.procedures):
        for body in _bodies(procedure.body):
            procedures = list(program.procedures)
            procedures[place] = replace(procedure, body=body)
            yield program.with_(procedures=tuple(procedures))
    for place, region in enumerate(program.regions):
        for body in _bodies(region.main):
            regions = list(program.regions)
            regions[place] = replace(region, main=body)
            yield program.with_(regions=tuple(regions))


def _bodies(body: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    for place, statement in enumerate(body):
        for other in _statements(statement):
            yield (*body[:place], other, *body[place + 1 :])


def _statements(statement: Statement) -> Iterator[Statement]:
    if isinstance(statement, Loop):
        yield from (replace(statement, body=body) for body in _bodies(statement.body))
    elif isinstance(statement, If):
        yield from (replace(statement, then=body) for body in _bodies(statement.then))
        yield from (replace(statement, otherwise=body) for body in _bodies(statement.otherwise))
    elif isinstance(statement, Op) and any(isinstance(o, Queue) for o in statement.operands):
        *outer, last = statement.dims
        yield replace(statement, dims=(*outer, replace(last, extent=last.extent + 1)))


@pytest.mark.parametrize("seed", [n for n in range(25) if n != 14])
def test_random_programs_that_end_are_right(seed: int) -> None:
    """The one that is left out is spoiled."""
    case = generate(seed)
    assert not found(case.program, case.text)


RIGHT = {
    "held over a name": "mov.f32 [buf + 4*i], <ins: i> for i:8 + x, j:3",
    "one for all": "mov.f32 [buf + 4*i], <ins: > for i:3\nmov.f32 [buf], <ins> for i:7 + x",
    "no step, no wavelet": "mov.f32 [buf], <ins: i> for i:9, j:x - 9\n"
    "mov.f32 [buf], <ins> for i:8 + x",
    "in a loop": "loop k: 4\nmov.f32 [buf], <ins> for i:2\nend\nmov.f32 [buf], <ins> for i:x",
    "turns differ": "i.set n, 0\nloop k: 4\ni.add n, n, k\nmov.f32 [buf], <ins> for i:n - 1\nend\n"
    "mov.f32 [buf], <ins> for i:x + 1",  # 0, 0, 2 and 5
    "branches": "i.set n, 8\nif x % 2 == 1\ni.set n, 9\nend\nmov.f32 [buf], <ins> for i:n\n"
    "if x > 1\nmov.f32 [buf], <ins> for i:2\nend",
    "a turn for each tile": "loop k: x + 8\nmov.f32 [buf], <ins>\nend",
    "on a unit": "async 0 -> s0: mov.f32 [buf], <ins> for i:8 + x\nwait s0, 1",
    "only a run knows": "i.load n, [buf]\nmov.f32 [buf], <ins> for i:n",
    "so with a branch": "i.load n, [buf]\nif n > 3\nmov.f32 [buf], <ins> for i:8 + x\nend",
    "so with a loop": "i.load n, [buf]\nloop k: n\nmov.f32 [buf], <ins>\nend",
    "and all that follows": "i.load n, [buf]\ni.min n, n, 9\nmov.f32 [buf], <ins> for i:n",
}
WRONG = {
    "in one tile": (
        "mov.f32 [buf], <ins> for i:8 + min(x, 2)",
        "11 wavelets of 'ins' come to "
        "tile 3,0 (fed in line 12), and its code takes 10: the run would never end",
    ),
    "nobody takes": (
        "i.set n, 1",
        "8 wavelets of 'ins' come to tile 0,0 (fed in line 12), and "
        "its code takes 0: the run would never end",
    ),
    "a turn too many": (
        "loop k: 9 + x\nmov.f32 [buf], <ins>\nend",
        "tile 0,0 takes 9 wavelets "
        "of 'ins', and 8 come to it (fed in line 12): it would wait for ever",
    ),
    "between tiles": (
        "mov.f32 [buf], <ins> for i:8 + x\nif x == 0\nmov.f32 <east>, 1.0 for i:5\n"
        "else\nmov.f32 [buf], <east> for i:3 + x\nend",
        "5 wavelets of 'east' come to tile 1,0, and its code takes 4: the run would never end",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_taken_comes(name: str) -> None:
    text = f"{HEAD}{RIGHT[name]}\nend\n"
    verify(parse(text), find_fabric("tiny"), text)


@pytest.mark.parametrize("before", ["", "mov.f32 [buf], <ins>"])
def test_what_is_called_as_often_as_data_say_is_left_to_the_run(before: str) -> None:
    """A call in a loop uses the queues that its procedure uses, also through another one."""
    procedures = "proc take()\nmov.f32 [buf], <ins>\nend\nproc more()\ncall take()\nend\n"
    code = f"{before}\ni.load n, [buf]\nloop k: n\ncall more()\nend"
    text = f"{HEAD.replace('main all', procedures + 'main all')}{code}\nend\n"
    verify(parse(text), find_fabric("tiny"), text)


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_come_is_told(name: str) -> None:
    code, message = WRONG[name]
    text = f"{HEAD}{code}\nend\n"
    with pytest.raises(AssemblyError) as caught:
        verify(parse(text), find_fabric("tiny"), text)
    assert message in str(caught.value)


def test_counts_beyond_all_ranges_are_left_to_the_run() -> None:
    code = "loop a: N\nloop b: N\nloop c: N\nmov.f32 [buf], <ins> for i:N\nend\nend\nend"
    text = f"{HEAD}{code}\nend\n".replace("color ins", "const N = 1048576\ncolor ins")
    verify(parse(text), find_fabric("tiny"), text)


# Every tile of the color switches: the first half of what is fed stays, the rest passes through.
SWITCHED = """wsc 1
fabric "tiny" 1x1
input a : f32[64] "float32"
output r : f32[64] "float32"
tensor buf : f32[64] at 0 size 256
color deal = 0
color idle = 1
color rest = 2
region all at 0,0 size 1x1
route idle in all : W -> RAMP
route deal in all : N -> RAMP | N -> S
route rest in all : E -> RAMP
main all
  mov.f32 [buf + 4*i], <deal> for i:{taken}
end
feed deal in all side N from a[8*n + i] repeat n:2 for i:8 then advance
drain deal in all side S from r[i] for i:{drained}
"""


@pytest.mark.parametrize(
    ("taken", "drained", "message"),
    [
        (8, 8, ""),
        (9, 8, "takes 9 wavelets of 'deal', and 8 come to it"),
        (7, 8, "8 wavelets of 'deal' come to tile 0,0"),
        (8, 9, "8 wavelets of 'deal' come to port 0 of side S, and 9 are taken there"),
        (8, 7, "8 wavelets of 'deal' come to port 0 of side S, and 7 are taken there"),
    ],
)
def test_a_color_that_switches_in_every_tile(taken: int, drained: int, message: str) -> None:
    said = found(parse(SWITCHED.format(taken=taken, drained=drained)))
    assert len(said) == bool(message)
    assert not said or message in said[0]


@pytest.mark.parametrize(
    ("module", "bound", "enough"),
    [(ends, "MOST_REPETITIONS", 2), (switches, "MOST_ITEMS", 4), (follow, "MOST_VISITS", 1)],
)
def test_what_takes_too_long_is_left_to_the_run(
    module: ModuleType, bound: str, enough: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count that is wrong is told with just enough of a bound, and not with one less."""
    program = parse(SWITCHED.format(taken=9, drained=8))
    monkeypatch.setattr(module, bound, enough)
    assert found(program)
    monkeypatch.setattr(module, bound, enough - 1)
    assert not found(program)


def test_transfers_of_layers_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs in names alone is fed and taken alike; one feed too few is told as ever."""
    seen: list[str] = []
    repetitions = ends.Ends._repetitions

    def noted(self: ends.Ends, transfer: Transfer, region: Region) -> object:
        seen.append(transfer.tensor)
        return repetitions(self, transfer, region)

    monkeypatch.setattr(ends.Ends, "_repetitions", noted)
    for turns, message in ((9, ""), (8, "takes 72 wavelets of 'deal', and 64 come to it")):
        text = SWITCHED.format(taken=72, drained=8 * turns)
        inputs = "\n".join(f'input "a.{n}" : f32[64] "float32"' for n in range(9))
        text = text.replace('input a : f32[64] "float32"', inputs)
        text = text.replace("f32[64] at 0 size 256", "f32[80] at 0 size 320")
        text = text.replace('output r : f32[64] "float32"', 'output r : f32[72] "float32"')
        feed = 'feed deal in all side N from "a.{layer}"[8*n + i] repeat n:2 for i:8 then advance'
        feed += " final reset"
        text = text.replace(
            text[text.index("feed") : text.index("\ndrain")], f"loop layer: {turns}\n{feed}\nend"
        )
        said = found(parse(text))
        assert len(said) == bool(message)
        assert not said or message in said[0]
        assert len(seen) == 2  # of all feeds, and of the drain
        seen.clear()
