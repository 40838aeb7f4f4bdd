"""Text and program are two forms of one thing."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.isa import strategies
from wsc.isa import operands, printer
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import grammar_text, parse
from wsc.isa.printer import listing, print_program, print_statement
from wsc.isa.program import If, Op, Program, Region
from wsc.isa.table import TABLE
from wsc.isa.turns import each_transfer
from wsc.isa.verifier import verify

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(
    path
    for folder in ("tests/programs", "docs/collectives", "docs/published")
    for path in (ROOT / folder).glob("*.wsa")
)
HEAD = 'wsc 1\nfabric "tiny" 1x1\n'


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(strategies.programs())
def test_text_to_program_is_the_inverse_of_program_to_text(program):
    text = print_program(program)
    again = parse(text)
    assert again == program
    assert print_program(again) == text


@settings(max_examples=60, deadline=None)
@given(strategies.operation())
def test_every_instruction_reads_back(op):
    program = Program(
        "tiny",
        1,
        1,
        constants=tuple((name, 1) for name in strategies.CONSTANTS),
        colors=tuple((name, number) for number, name in enumerate(strategies.COLORS)),
        regions=(Region("all", 0, 0, 1, 1, (*strategies.SET, op)),),
    )
    head = print_program(program.with_(regions=()))
    tensors = "".join(f"tensor {name} : f32[] at 0 size 4\n" for name in strategies.TENSORS)
    lines = "\n".join(map(print_statement, (*strategies.SET, op)))
    text = f"{head}{tensors}region all at 0,0 size 1x1\nmain all\n{lines}\nend\n"
    assert parse(text).regions[0].main[-1] == op


@settings(deadline=None)
@given(strategies.plain)
def test_expressions_read_back(node):
    names = [*strategies.CONSTANTS, *strategies.TENSORS, *strategies.REGISTERS]
    sets = "".join(f"i.set {name}, 0\n" for name in names)
    text = f"{HEAD}region a at 0,0 size 1x1\nmain a\n{sets}i.set q, {operands.ex.show(node)}\nend\n"
    last = parse(text).regions[0].main[-1]
    assert isinstance(last, Op)
    assert last.operands == (operands.Scalar(node),)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_strings_and_nodes_read_back(text):
    assert operands.build_string(operands.show_string(text)) == text
    assert operands.show_string(text).isprintable()
    assert operands.show_nodes((text, text)) == f" @{operands.show_string(text)}" * 2


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_hand_written_programs_verify_and_round_trip(path):
    text = path.read_text()
    assert text.startswith(";")
    program = parse(text, str(path))
    verify(program, find_fabric(program.fabric), text)
    printed = print_program(program)
    assert parse(printed) == program
    assert print_program(parse(printed)) == printed


def test_canonical_text(golden):
    """What a printed program looks like."""
    golden(
        "isa/stencil.txt", print_program(parse((ROOT / "tests/programs/stencil.wsa").read_text()))
    )


def test_the_example_of_the_machine_page_parses():
    page = (ROOT / "docs/machine.md").read_text()
    found = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert found
    program = parse(found[1], "machine.md")
    assert parse(print_program(program)) == program


def test_objects_know_their_place():
    path = ROOT / "tests/programs/async.wsa"
    text = path.read_text()
    program = parse(text, "async.wsa")
    first = program.regions[0].main[0]
    assert text.split("\n")[first.where.line - 1][first.where.column - 1 :].startswith("async 0")
    assert first.where.file == "async.wsa"


def test_listing_traces_lines():
    text = (ROOT / "docs/machine.md").read_text().split("```text\n")[1].split("```")[0]
    program = parse(text)
    lines = listing(program)
    assert "".join(f"{line.text}\n" for line in lines) == print_program(program)
    call, layer = [line for line in lines if line.text.strip().startswith("call")]
    assert call.nodes == ("/some/node",)
    assert (layer.nodes, layer.around) == (("/h.{layer}/proj",), (("layer", 4),))
    branch = program.regions[0].main[0]
    assert isinstance(branch, If)
    assert call.source is branch.then[0]
    shown = [line.source for line in lines]
    played = [transfer for transfer, _ in each_transfer(program.transfers)]
    for thing in (*program.tensors, *program.routes, *played, *program.procedures):
        assert thing in shown


def test_parsing_is_fast():
    body = "  mov.f32 [a + 4*i], <east> for i:b\n  fmac.f32 [a + 4*i], [a + 4*i], 1.5 for i:b\n"
    text = f"{HEAD}color east = 0\nproc p(a, b)\n{body * 2500}end\n"
    parse(text)
    start = time.process_time()
    assert len(parse(text).procedures[0].body) == 5000
    assert time.process_time() - start < 4  # about one second; slow test machines have room


def test_mnemonics_are_not_repeated_in_the_grammar():
    grammar = Path(printer.__file__).with_name("grammar.lark").read_text()
    rules = "".join(line for line in grammar.split("\n") if not line.startswith("//"))
    for row in TABLE:
        assert not re.search(rf"(?<![\w.]){re.escape(row.name)}\b(?!\w)", rules) or row.name in (
            "control",
            "signal",
            "send",
            "min",
            "max",
        ), row.name
        assert re.escape(row.name) in grammar_text()


def test_documentation_is_what_stands_right_under_the_head():
    program = parse(
        HEAD + "proc p()  ; not this\n  ; one\n  ;\n  ;   two\n\n  ; not this\n"
        "  signal s0, 1\n  ; nor this\nend\n"
    )
    assert program.procedures[0].doc == ("one", "", "  two")


def test_constants_fold():
    program = parse(HEAD + "const A = 4\nconst B = A*A - 2\n")
    assert program.constants == (("A", 4), ("B", 14))


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_any_end_of_line(end):
    text = f'wsc 1{end or chr(10)}fabric "tiny" 1x1{end}'
    assert parse(text) == Program("tiny", 1, 1)


def test_a_program_of_another_fabric_is_refused_by_its_size():
    program = Program("wse2", 700, 700)
    verify(program, find_fabric("wse2"))
    with pytest.raises(AssemblyError, match="do not fit on fabric 'tiny'"):
        verify(program, find_fabric("tiny"))


def test_a_guard_without_comparison_is_one_for_not_zero() -> None:
    text = """wsc 1
fabric "tiny" 2x2
tensor t : f32[1] at 0 size 4
region all at 0,0 size 2x2
main all
  if (x > 0)*(y == 0)
    mov.f32 [t], 1.0
  end
end
"""
    program = parse(text)
    assert parse(text.replace("(y == 0)", "(y == 0) != 0")) == program
    assert parse(print_program(program)) == program
