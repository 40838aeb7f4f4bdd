"""Reading one side of a comparison: what a path holds is seen by its contents."""

from __future__ import annotations

import json
from pathlib import Path

from wsc.differences.ir import IR, ir_side, ir_tables, is_ir
from wsc.differences.program import PROGRAM, program_side, read_machine
from wsc.differences.run import run_side
from wsc.differences.tables import Side, Table
from wsc.errors import CompileError
from wsc.isa.files import read_text

FOLDER = "folder of dumps"
LONGEST = 1 << 28  # bytes of a file


def read(path: Path) -> Side:
    """A program, an object of ``--json``, a dump of the IR, or the folder of ``--dump-ir``.

    Raises:
        CompileError: it cannot be read, or is none of these.
        AssemblyError, FabricError: it is a program with an error.
    """
    if path.is_dir():
        return _folder(path)
    text = _text(path)
    if text.lstrip().startswith("{"):
        try:
            return run_side(json.loads(text), str(path))
        except (ValueError, RecursionError) as error:
            raise CompileError(f"{path}: is no JSON: {error}") from None
    if is_ir(text):
        return ir_side(text)
    return _program(path)


def _text(path: Path) -> str:
    try:
        return read_text(path, LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CompileError(f"{path}: cannot be read ({reason})") from error


def _program(path: Path) -> Side:
    import warnings

    from wsc.api import load
    from wsc.errors import OtherMachine

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OtherMachine)
        program = load(path)
    side = program_side(program.assembly, program.fabric)
    return Side(PROGRAM, side.tables, (*program.notes, *side.notes))


def _folder(path: Path) -> Side:
    """All dumps of a folder, a stage after the other."""
    from wsc.isa.parser import parse

    files = sorted(path.glob("*.txt"))
    if not files:
        raise CompileError(f"{path}: holds no dumps, which wsc compile --dump-ir writes")
    tables: list[Table] = []
    for file in files:
        text = _text(file)
        stage = file.stem.partition("-")[2] or file.stem  # another compiler may have more passes
        if is_ir(text):
            tables += ir_tables(text, f"{stage}: ")
            continue
        program = parse(text, str(file))
        for table in program_side(program, read_machine(program)).tables:
            title = f"{stage}: {table.title}"
            tables.append(Table(title, table.rows, table.weight, table.nodes))
    return Side(FOLDER, tuple(tables))


__all__ = ["FOLDER", "IR", "read"]
