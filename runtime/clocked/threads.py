"""Steps of the main thread that read and write neither memory nor the state of an engine."""

from __future__ import annotations

from wsc.runtime.clocked.basics import fault
from wsc.runtime.clocked.compiled import Machine, kernel
from wsc.runtime.clocked.operands import reference
from wsc.runtime.clocked.records import Fault
from wsc.runtime.kernels.calls import look, operate


@kernel
def enter_statement(s: Machine, tile: int, thread: int, statement: int, t: int) -> None:
    """The main thread goes on with another statement of main."""
    old, number = s.tile[tile].statement, s.tile[tile].passing
    if old >= 0:
        s.statements[old].end = max(s.statements[old].end, t)
        if number >= 0:
            s.passes[number].end = max(s.passes[number].end, t)
            number += 1
            s.tile[tile].passing = number
    if statement >= 0:
        if number >= 0:
            s.passes[number].start = min(s.passes[number].start, t)
        s.statements[statement].start = min(s.statements[statement].start, t)
        s.unit[thread].statement = statement
    s.tile[tile].statement = statement


@kernel
def call(s: Machine, tile: int, row: int, pc: int) -> int:
    """Enter a procedure: a new window, arguments first, all else zero. The next row."""
    now = s.now[0]
    depth, frame = s.tile[tile].depth, s.tile[tile].frame
    new = frame + s.rows[row].window
    if depth >= now.calls:
        fault(s, Fault.CALLS, tile, 0, row, now.calls, 0)
        return pc
    if new + s.rows[row].rank > now.registers:
        fault(s, Fault.REGISTERS, tile, 0, row, now.registers, 0)
        return pc
    start = tile * now.registers
    for register in range(new, new + s.rows[row].rank):
        s.regs[start + register] = 0
    for k in range(s.rows[row].count):
        value = reference(s, s.lists[s.rows[row].dims + k], tile)
        s.regs[start + new + k] = value
    s.frames[(tile * now.calls + depth) * 2] = pc + 1
    s.frames[(tile * now.calls + depth) * 2 + 1] = frame
    s.tile[tile].depth = depth + 1
    s.tile[tile].frame = new
    return s.rows[row].branch


@kernel
def calculate(s: Machine, tile: int, row: int, target: int, a: int, b: int) -> None:
    """An operation on two words, by the compiled form of its value function."""
    words, opcode = s.words, s.rows[row].opcode
    words[1], words[2] = a, b
    base, domain = words.ctypes.data, s.domains[opcode]
    if domain != 0 and look(domain, base, base + 4, base + 8, base, 1) == 0:
        fault(s, Fault.DOMAIN, tile, 0, row, words[1], words[2])
        return
    operate(s.operations[opcode, 1], base, base + 4, base + 8, base + 8, 1)
    s.regs[target] = words[0]


@kernel
def stopped(s: Machine, tile: int, t: int) -> bool:
    """Whether a fault, here or in a tile that counts before this one, ends a tile's run."""
    now = s.now[0]
    if now.error == 0 or now.error_time > t:
        return False
    if now.error_time < t or now.error_tile < tile:
        return True
    return now.error_tile == tile and now.error_turn == 0
