"""The ONNX nodes that statements of main are for, as people name them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from wsc.isa.expr import Int
from wsc.isa.program import Call, If, Loop, Program, Statement
from wsc.isa.shown import named as named_nodes
from wsc.isa.turns import expand
from wsc.runtime.errors import RuntimeFault

MOST_TURNS = 1 << 12  # of a loop, whose nodes are told apart
Tables = Mapping[str, tuple[str, ...]]


def statements_of(program: Program, node: str) -> np.ndarray:
    """Whether each statement of the mains is for a node, in the order of the text.

    node: also the mark of a statement as it stands, of several nodes or of all turns of a loop.

    Raises:
        RuntimeFault: none is; nodes with names that are like it are given.
    """
    tables = dict(program.names)
    named = [names for region in program.regions for names in _nodes(region.main, (), tables)]
    wanted = np.array([node in names for names in named], bool)
    if not wanted.any():
        known = sorted({name for names in named for name in names})
        near = difflib.get_close_matches(node, known, n=3, cutoff=0.4)
        hint = f"; there is {', '.join(map(repr, near))}" if near else ""
        raise RuntimeFault(f"no statement of main is for a node '{node}'{hint}")
    return wanted


def _nodes(
    body: Iterable[Statement], around: tuple[tuple[str, int], ...], tables: Tables
) -> Iterator[set[str]]:
    """The nodes of each statement: in a loop those of all turns.

    around: what counts the turns of the loops around these, innermost first, and how many there
    are.
    """
    for statement in body:
        marks = list(statement.nodes) if isinstance(statement, Call) else []
        own = named_nodes(marks)
        for name, turns in around:
            every = (expand(item, name, k, tables) for item in marks for k in range(turns))
            marks = list(dict.fromkeys(every))
        yield {own, *marks} - {""}
        if isinstance(statement, Loop):
            count = statement.count
            turns = count.value if isinstance(count, Int) else 1
            inner = ((statement.register, turns if turns <= MOST_TURNS else 1), *around)
            yield from _nodes(statement.body, inner, tables)
        elif isinstance(statement, If):
            yield from _nodes(statement.then, around, tables)
            yield from _nodes(statement.otherwise, around, tables)
