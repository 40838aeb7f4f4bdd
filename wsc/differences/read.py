"""Reading one side of a comparison: what a path holds is seen by its contents."""

from __future__ import annotations

import json
from pathlib import Path

from wsc.differences.ir import IR, ir_side, ir_tables
from wsc.differences.program import PROGRAM, program_side, read_machine
from wsc.differences.run import run_side
from wsc.differences.tables import Side, Table
from wsc.errors import CompileError
from wsc.isa.files import read_text
from wsc.isa.program import Program
from wsc.passes.dump import dumped_after, form_of, parse_stage

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
    if form_of(text) is Program and dumped_after(text) is None:
        return _program(path)
    stage = parse_stage(text, str(path))
    if isinstance(stage, Program):  # between two passes it need not be one that runs
        return program_side(stage, read_machine(stage))
    return ir_side(stage)


def _text(path: Path) -> str:
    if path.suffix == ".onnx" and path.is_file():
        raise CompileError(f"{path}: is a model: compile it, and compare the programs")
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
    files = sorted(path.glob("*.txt"))
    if not files:
        raise CompileError(f"{path}: holds no dumps, which wsc compile --dump-ir writes")
    tables: list[Table] = []
    for file in files:
        text = _text(file)
        name = file.stem.partition("-")[2] or file.stem  # another compiler may have more passes
        stage = parse_stage(text, str(file))
        if not isinstance(stage, Program):
            tables += ir_tables(stage, f"{name}: ")
            continue
        for table in program_side(stage, read_machine(stage)).tables:
            title = f"{name}: {table.title}"
            tables.append(Table(title, table.rows, table.weight, table.nodes))
    return Side(FOLDER, tuple(tables))


__all__ = ["FOLDER", "IR", "read"]
