"""Fewer statements in Numba's form of a kernel, each of which costs the compiler a millisecond.

- A member of an integer enumeration, such as ``G.NOW``, is a number.
- A branch takes any number; Numba need not call ``bool`` first.
- What a block loads or builds twice from the same parts, it has once.
- A table is indexed by two numbers, not by a tuple of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from enum import IntEnum
from typing import Any

from numba.core import ir
from numba.core.ir_utils import replace_vars

from wsc.runtime.engine.pointer import load_item, store_item


def simplify(function: Any) -> None:
    """Rewrite the blocks of a function in Numba's form before it has been typed.

    Raises:
        NotImplementedError: the function raises something.
    """
    blocks = list(function.blocks.values())
    for block in blocks:
        if isinstance(block.body[-1], (ir.Raise, ir.StaticRaise, ir.DynamicRaise)):
            raise NotImplementedError("a kernel cannot raise: nothing looks whether it did")
        _fold_numbers(block)
    counts = Counter(
        statement.target.name for block in blocks for statement in block.find_insts(ir.Assign)
    )
    once = {name for name, count in counts.items() if count == 1}
    same: dict[str, Any] = {}
    for block in blocks:
        _drop_bool(block, once)
        _share(block, once, same)
    if same:
        replace_vars(function.blocks, same)


def _fold_numbers(block: Any) -> None:
    classes: dict[str, type[IntEnum]] = {}
    kept: list[Any] = []
    for statement in block.body:
        if isinstance(statement, ir.Assign):
            value: Any = statement.value
            kind = _enumeration(value)
            if kind is not None:
                classes[statement.target.name] = kind
                continue
            if _is(value, "getattr") and value.value.name in classes:
                member = getattr(classes[value.value.name], value.attr)
                statement.value = ir.Const(int(member), value.loc)
        kept.append(statement)
    block.body = kept


def _enumeration(value: Any) -> type[IntEnum] | None:
    """The class that is loaded, if that is what the value does."""
    if isinstance(value, (ir.Global, ir.FreeVar)):
        kind = value.value
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            return kind
    return None


def _is(value: Any, operation: str) -> bool:
    return isinstance(value, ir.Expr) and value.op == operation


def _drop_bool(block: Any, once: set[str]) -> None:
    """Branch on what ``bool`` was called with."""
    branch = block.body[-1]
    if not isinstance(branch, ir.Branch) or branch.cond.name not in once:
        return
    made = {s.target.name: s for s in block.find_insts(ir.Assign)}
    call = made.get(branch.cond.name)
    if call is None or not _is(call.value, "call"):
        return
    function = made.get(call.value.func.name)
    if function is None or not isinstance(function.value, ir.Global):
        return
    if function.value.value is bool and len(call.value.args) == 1:
        branch.cond = call.value.args[0]
        block.body = [s for s in block.body if s is not call and s is not function]


def _share(block: Any, once: set[str], same: dict[str, Any]) -> None:
    """Collect in ``same`` what is a second time the same, and take it out of the block."""
    found: dict[Hashable, Any] = {}
    kept: list[Any] = []
    for statement in block.body:
        if isinstance(statement, ir.Assign) and statement.target.name in once:
            key = _key(statement.value, once, same)
            if key is not None:
                first = found.setdefault(key, statement.target)
                if first is not statement.target:
                    same[statement.target.name] = first
                    continue
        kept.append(statement)
    block.body = kept


def _key(value: Any, once: set[str], same: dict[str, Any]) -> Hashable | None:
    """What a value depends on; None if it may differ the next time."""
    if isinstance(value, ir.Const):
        return "const", repr(value.value)  # 0.0 == -0.0, but it is not the same
    if isinstance(value, ir.Global):
        return "global", value.name
    if _is(value, "getattr"):
        parts, what = [value.value], value.attr
    elif _is(value, "build_tuple"):
        parts, what = value.items, ""
    else:
        return None
    names = [same.get(part.name, part).name for part in parts]
    return (value.op, what, *names) if once.issuperset(names) else None


def spread_pairs(blocks: dict[int, Any]) -> None:
    """Index by the parts of pairs, and do without the pairs, once each variable has one value."""
    assignments = [s for block in blocks.values() for s in block.find_insts(ir.Assign)]
    pairs = {
        s.target.name: s.value.items
        for s in assignments
        if _is(s.value, "build_tuple") and len(s.value.items) == 2
    }
    for label, block in blocks.items():
        _spread_in(block, label, pairs)
    read = {part.name for block in blocks.values() for s in block.body for part in _read(s)}
    unread = pairs.keys() - read
    for block in blocks.values():
        block.body = [
            s for s in block.body if not (isinstance(s, ir.Assign) and s.target.name in unread)
        ]


def _read(statement: Any) -> list[Any]:
    """The variables that a statement reads."""
    what = statement.value if isinstance(statement, ir.Assign) else statement
    if isinstance(what, ir.Var):
        return [what]
    return what.list_vars() if isinstance(what, ir.Inst) else []


def _spread_in(block: Any, label: int, pairs: dict[str, list[Any]]) -> None:
    functions: dict[Any, Any] = {}
    kept: list[Any] = []

    def call(function: Any, target: Any, *args: Any) -> None:
        loc = target.loc
        if function not in functions:
            functions[function] = ir.Var(block.scope, f"${function.__name__}.{label}", loc)
            value = ir.Global(function.__name__, function, loc)
            kept.append(ir.Assign(value, functions[function], loc))
        kept.append(ir.Assign(ir.Expr.call(functions[function], args, (), loc), target, loc))

    statement: Any
    for statement in block.body:
        value: Any = statement.value if isinstance(statement, ir.Assign) else None
        if isinstance(statement, ir.SetItem) and statement.index.name in pairs:
            stored = ir.Var(block.scope, f"$stored.{label}.{len(kept)}", statement.loc)
            pair = pairs[statement.index.name]
            call(store_item, stored, statement.target, *pair, statement.value)
        elif _is(value, "getitem") and value.index.name in pairs:
            call(load_item, statement.target, value.value, *pairs[value.index.name])
        else:
            kept.append(statement)
    block.body = kept
