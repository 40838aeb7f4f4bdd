"""Every bad program gets its diagnostics: NAME.wsa, and what is said of it in NAME.txt."""

from pathlib import Path

import pytest

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.verifier import verify

HERE = Path(__file__).parent


def assemble(text, file):
    program = parse(text, file)
    verify(program, find_fabric(program.fabric), text)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.wsa")), ids=lambda path: path.stem)
def test_diagnostics(path, golden):
    text = path.read_text()
    with pytest.raises(AssemblyError) as caught:
        assemble(text, path.name)
    golden(path.with_suffix(".txt"), caught.value.render() + "\n")


def test_built_programs_show_their_printed_line():
    """An object that no parser saw has no line; the diagnostic shows how it prints."""
    from wsc.isa.program import Program, Region, Route

    program = Program("tiny", 2, 1, regions=(Region("all", 0, 0, 2, 1),))
    program = program.with_(routes=(Route("a", "all", None, ()),))
    with pytest.raises(AssemblyError, match=r"there is no color 'a'\n  route a in all"):
        verify(program, find_fabric("tiny"))
