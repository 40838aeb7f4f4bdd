"""What the verifier says of numbers at the ends of their ranges, and of work without an end."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.verifier import verify

TINY = find_fabric("tiny")
SRAM = TINY.sram_bytes

TEXT = """wsc 1
fabric "tiny" 2x1
input a : f32[8] "float32"
color ins = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 2x1
route ins in all : N -> RAMP
main all
  i.set p, 0
  {CODE}
  mov.f32 [t + 4*i], <ins> for i:8
end
feed ins in all side N from {FEED}
"""


def check(code: str = "mov.f32 [t], 1.0", feed: str = "a[i] for i:8") -> None:
    text = TEXT.replace("{CODE}", code).replace("{FEED}", feed)
    verify(parse(text), TINY, text)


def refused(message: str, code: str = "mov.f32 [t], 1.0", feed: str = "a[i] for i:8") -> None:
    began = time.process_time()
    with pytest.raises(AssemblyError, match=message):
        check(code, feed)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(("dtype", "size"), [("f32", 4), ("i32", 4), ("f16", 2)])
@pytest.mark.parametrize("operand", ["[{A}]", "[{A} - 4*i]", "[{A} - 8 + 8*x]"])
def test_the_last_element_of_sram_is_the_last(operand: str, dtype: str, size: int) -> None:
    space = " for i:3" if "i" in operand else ""
    for address, good in ((SRAM - size, True), (SRAM - size + 2, False), (SRAM, False)):
        code = f"mov.{dtype} {operand.replace('{A}', str(address))}, [t]{space}"
        if good:
            check(code)
        else:
            refused(f"covers bytes .*SRAM ends at {SRAM - 1}", code)


def test_the_first_element_of_sram_is_the_first() -> None:
    check("mov.f32 [4*i], [t] for i:8")
    refused("covers bytes -4 to 27", "mov.f32 [4*i - 4], [t] for i:8")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("mov.f32 [t + i*4294967296], [t] for i:4294967297", r"is 4294967296, and an operand"),
        ("mov.f32 [t + i*2147483647 + j*2147483647], [t] for i:3, j:3", "covers bytes 0 to 8589"),
        ("mov.f32 [t], [t] for i:2147483647, j:2147483647", "steps, and there may be"),
        ("mov.f32 [t], [t] for i:2, j:5000000", "has 5000000 steps in a row"),
        ("mov.f32 [t], <ins: i> for i:2, j:3000, k:3000", "has 9000000 steps in a row"),
        ("loop k: 2147483648\nend", "is 2147483648, and an operand holds 32 bits"),
        ("if 99999999999 > p\nend", "is 99999999999, and an operand holds 32 bits"),
        ("i.add p, p + 2147483648, 1", "is 2147483648, and an operand holds 32 bits"),
        ("i.set p, x*3000000000", r"x\*3000000000 is 3000000000, and an operand"),
        ("i.set p, 99999999*99999999*(x + 1)", "leaves the range of numbers"),
    ],
)
def test_what_an_operand_cannot_hold_is_refused(code: str, message: str) -> None:
    refused(message, code)


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ("a[n*4] repeat n:2147483647 for i:1", "moves elements 0 to 8589934584 of 'a'"),
        ("a[0*n] repeat n:2147483647 for i:min(n, 1)", "2147483647 at each of 2 ports"),
        ("a[0*n] repeat n:99999999999 for i:1", "cannot be repeated 99999999999 times"),
        ("a[i*0] for i:99999999999, j:99999999999", "a port moves more than"),
        ("a[i*4294967296 + j*4294967296] for i:65536, j:65536", "a port moves .*|moves elements"),
        ("a[i*99999999999999 + j*99999999999999] for i:8, j:8", "moves elements 0 to more than"),
        ("a[x*99999999999999*9] for i:1", "leaves the range of numbers"),
    ],
)
def test_transfers_are_bounded_before_they_are_walked(feed: str, message: str) -> None:
    refused(message, feed=feed)


@pytest.mark.parametrize(
    "line",
    [
        "const A = 999999999999999",
        "const A = 99999999999999 * 99999999999999",
        "tensor u : f32[99999999999999999999] at 64 size 8",
        "region b at 9,99999999999999999 size 1x1",
        "region b at 0,0 size 1x99999999999999999999",
        'weight w : f32[1] "f" at 99999999999999999999',
        f"const A = {'9' * 5000}",
    ],
)
def test_a_number_of_the_text_has_a_range(line: str) -> None:
    with pytest.raises(AssemblyError, match=r"too large: a number of the text|leaves the range"):
        parse(f"{TEXT.replace('{CODE}', '').replace('{FEED}', 'a[0]')}{line}\n")


def test_an_edge_tensor_has_no_more_elements_than_can_be_numbered() -> None:
    text = 'wsc 1\nfabric "tiny" 1x1\ninput a : f32[99999999999, 99999999999] "float32"\n'
    with pytest.raises(AssemblyError, match="'a' has 9999999999800000000001 elements"):
        verify(parse(text), TINY, text)


def test_a_network_too_large_to_lay_out_is_refused_before_it_is() -> None:
    fabric = replace(TINY, width=4096, height=4096)
    lines = [f"color c{n} = {n}\nroute c{n} in all : W -> E" for n in range(8)]
    text = "\n".join(['wsc 1\nfabric "tiny" 4096x4096', "region all at 0,0 size 4096x4096", *lines])
    with pytest.raises(AssemblyError, match="are 134217728 cells, and 67108864 can be checked"):
        verify(parse(text + "\n"), fabric, text)
