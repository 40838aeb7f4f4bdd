"""How large a model becomes when its functions are inlined, counted before that is done.

A model of two kilobytes whose functions call each other twice becomes larger than any memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx

from wsc.errors import CompileError, shortened
from wsc.frontend.damage import nodes_within

MOST_NODES = 1 << 18  # of a model, after its functions have been inlined
DEEPEST = 100  # functions that call functions

_Key = tuple[str, str, str]


def refuse_expansion(proto: onnx.ModelProto, what: str) -> None:
    """Raise CompileError for functions in a circle, nested too deeply, or used too often.

    what: the model, for messages.
    """
    bodies = {(f.domain, f.name, f.overload): _calls(f.node) for f in proto.functions}
    used = {key: {name for name in calls if name in bodies} for key, calls in bodies.items()}
    # (nodes that a call becomes, functions within functions), those without calls first.
    found: dict[_Key, tuple[int, int]] = {}
    while len(found) < len(bodies):
        ready = [key for key in bodies if key not in found and used[key] <= found.keys()]
        if not ready:
            name = min(key for key in bodies if key not in found)[1]
            raise CompileError(f"{what}: function {shortened(name)!r} is recursive")
        for key in ready:
            size = _size(bodies[key], found)
            depth = 1 + max((found[name][1] for name in used[key]), default=0)
            if depth > DEEPEST:
                raise CompileError(f"{what}: functions are nested more than {DEEPEST} deep")
            found[key] = size, depth
    if _size(_calls(proto.graph.node), found) > MOST_NODES:
        raise CompileError(
            f"{what}: with its functions inlined it has more than {MOST_NODES:,} nodes"
        )


def _calls(nodes: Iterable[onnx.NodeProto]) -> Counter[_Key]:
    """How often each operator or function is used in nodes and the graphs in them."""
    return Counter((node.domain, node.op_type, node.overload) for node in nodes_within(nodes))


def _size(calls: Counter[_Key], found: dict[_Key, tuple[int, int]]) -> int:
    whole = sum(count * found.get(key, (1, 0))[0] for key, count in calls.items())
    return min(whole, MOST_NODES + 1)
