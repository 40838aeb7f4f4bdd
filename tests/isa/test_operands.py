"""What numbers, strings and nesting a text may have, and the sentence for those it may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.limits import MOST_NUMBER
from wsc.isa.operands import DEEPEST
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.verifier import verify

PROGRAM = (Path(__file__).parents[1] / "programs" / "broadcast.wsa").read_text()
PLACE = re.compile(r"^t\.wsa:\d+:\d+: \S.*\n.*\n *\^+$")
HEAD = 'wsc 1\nfabric "wse2" 2x2\nregion a at 0,0 size 2x2\n'
LISTING = """\
wsc 1
fabric "wse2" 4x2
const B = 16
input a : f32[16] "float32"
output r : f32[16] "float32" cut 0 by a
weight v : f16[100] "model.bin" at 4096 as "float32"
color c = 0
tensor t : f32[56 y:4 len 6 off -1, 12 x:4 over 3] at 832 size 1392
region all at 0,0 size 4x2
proc p(q)
  async 2 -> s3: mov.f32 <c>, [t + 4*i] for i:16
end
main all
  call p(q = 5)
end
feed c in all side N from a[i] repeat r:2 lookup w:128 by c side W port 0 for i:8
"""


def refused(text: str, *facts: str) -> str:
    """The only problem of a text: place, sentence, line and caret."""
    with pytest.raises(AssemblyError) as error:
        parse(text, "t.wsa")
    message = str(error.value)
    assert PLACE.match(message), message
    for fact in facts:
        assert fact in message
    return message


@pytest.mark.parametrize(
    "place", [m.span() for m in re.finditer(r"(?<![\w.])\d+|(?<=[sx])\d+(?!\w)", LISTING)]
)
@pytest.mark.parametrize("digits", [str(10**14), "9" * 5000])
def test_every_integer_of_a_text_has_a_range(place: tuple[int, int], digits: str) -> None:
    parse(LISTING)
    start, end = place
    refused(
        LISTING[:start] + digits + LISTING[end:],
        "is too large: a number of the text is below 10^14",
    )


def test_zeros_before_a_number_do_not_count() -> None:
    assert parse(f"{HEAD}const A = {'0' * 5000}7\n").constants == (("A", 7),)


@pytest.mark.parametrize("value", ["4*A + 1", "0 - A*5", "min(A*A*A, 3*A)"])
def test_so_has_every_constant(value: str) -> None:
    head = f"{HEAD}const A = {MOST_NUMBER // 4}\n"
    assert parse(f"{head}const B = 4*A\n").constants[1] == ("B", MOST_NUMBER)
    refused(f"{head}const B = {value}\n", "leaves the range of numbers")


NESTS = {
    "sum": lambda n: "+".join(["x"] * n),
    "signs": lambda n: "-" * n + "x",
    "function": lambda n: "min(x, " * n + "x" + ")" * n,
    "brackets": lambda n: "x+(" * n + "x" + ")" * n,
}


@pytest.mark.parametrize("kind", NESTS)
def test_expressions_nest_so_deep_and_no_deeper(kind: str) -> None:
    text = HEAD + "main a\n  i.set r, {}\nend\n"
    parse(text.format(NESTS[kind](DEEPEST - 1)))
    refused(text.format(NESTS[kind](5000)), f"nested more than {DEEPEST} deep")


@pytest.mark.parametrize(
    ("head", "middle"), [("if x == 0", ""), ("if x == 0", "else"), ("loop i: 2", "")]
)
def test_blocks_nest_so_deep_and_no_deeper(head: str, middle: str) -> None:
    def nested(depth: int) -> str:
        return f"{HEAD}main a\n" + f"{head}\n{middle}\n" * depth + "end\n" * depth + "end\n"

    parse(nested(DEEPEST))
    refused(nested(5000), f"nested more than {DEEPEST} deep")


def test_constants_that_are_gone_leave_no_depth_behind() -> None:
    deep = "+".join(["1"] * DEEPEST)
    lines = "".join(f"const K{i} = {deep}\nconst L{i} = {i}+1+2\n" for i in range(50))
    assert len(parse(HEAD + lines).constants) == 100


@pytest.mark.parametrize("text", [r"\q", r"\u12", "\t", "\x01", r"\ud800"])
@pytest.mark.parametrize("line", ['model "{}"', 'input "{}" : f32[3]', 'call p() @"{}"'])
def test_strings_follow_json(text: str, line: str) -> None:
    body = line.format(text)
    item = f"proc p()\nend\nmain a\n  {body}\nend\n" if "call" in line else f"{body}\n"
    refused(HEAD + item, "text in quotes")


@pytest.mark.parametrize("line", ['fabric "a{}"', 'weight w : f32[3] "a{}"'])
def test_names_of_files_have_no_nul(line: str) -> None:
    body = line.format("\\u0000.toml")
    head = f"wsc 1\n{body} 2x2\n" if "fabric" in line else f"{HEAD}{body}\n"
    refused(head, "NUL")


def test_what_a_text_may_hold_is_printed_in_time_that_grows_with_it() -> None:
    product = "*".join(["x"] * DEEPEST)
    program = parse(f"{HEAD}main a\n  i.set r, {product}\nend\n")
    assert product in print_program(program)


def test_a_chain_of_calls_of_any_length_is_checked() -> None:
    count = 3000
    chain = "".join(f"proc p{i}()\n  call p{i + 1}()\nend\n" for i in range(count))
    text = f"{HEAD}{chain}proc p{count}()\nend\nmain a\n  call p0()\nend\n"
    with pytest.raises(AssemblyError, match=f"calls nest {count + 1} deep"):
        verify(parse(text), find_fabric("wse2"), text)
