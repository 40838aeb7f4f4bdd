"""Small changes of a Python file: each one a fault that a test should see."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_KEPT = ("TYPE_CHECKING", "__name__")  # conditions that are no part of what a program does


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one file: its kind and the code that it is made to, in a function.

    nth: which of those of its function that read the same, from 1. begins, number: line of the
    function, and which of its places is changed.
    """

    line: int
    function: str
    what: str
    nth: int
    begins: int
    number: int

    @property
    def key(self) -> str:
        """What names the change as long as the code reads the same, wherever it stands."""
        return f"{self.function}: {self.what}" + (f" #{self.nth}" if self.nth > 1 else "")


def changes(source: str) -> list[Change]:
    """All changes of a file that can be made, in the order of its lines."""
    found: list[Change] = []
    seen = Counter[str]()
    for function in _functions(ast.parse(source)):
        for number, place in enumerate(_places(function)):
            what = f"{place.what}: {ast.unparse(place.node)}".replace("\n", " ")
            seen[f"{function.name}: {what}"] += 1
            found.append(
                Change(
                    getattr(place.node, "lineno", function.lineno),
                    function.name,
                    what,
                    seen[f"{function.name}: {what}"],
                    function.lineno,
                    number,
                )
            )
    return sorted(found, key=lambda change: change.line)


def changed(source: str, change: Change) -> str:
    """The file after a change."""
    tree = ast.parse(source)
    function = next(f for f in _functions(tree) if f.lineno == change.begins)
    list(_places(function))[change.number].apply()
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions and methods; what stands within another function belongs to that."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a change can be made, and what makes it."""

    what: str
    node: ast.AST
    apply: Callable[[], None]


def _places(function: ast.FunctionDef) -> Iterator[_Place]:
    for node in _inside(function):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
            yield _Place("comparison", node, partial(_compare, node))
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _COMPUTED:
            yield _Place("operator", node, partial(_compute, node))
        elif isinstance(node, ast.BoolOp):
            yield _Place("and, or", node, partial(_connect, node))
        elif isinstance(node, (ast.If, ast.IfExp)) and not _is_kept(node.test):
            yield _Place("condition never holds", node.test, partial(_never, node))
        elif isinstance(node, ast.Call) and _name(node.func) in _SWAPPED:
            yield _Place("other function", node, partial(_swap, node))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield _Place("off by one", node, partial(_off_by_one, node))
        for body in _bodies(node):
            for index, statement in enumerate(body):
                if _can_go(statement):
                    yield _Place("dropped", statement, partial(_drop, body, index))


def _inside(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function's body, without annotations and texts of errors."""
    waiting: list[ast.AST] = [*function.body]
    yield function
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)):
            continue
        yield node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.AnnAssign):
            children = [child for child in children if child is not node.annotation]
        waiting += children


def _bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse"):
        body = getattr(node, name, None)
        if isinstance(body, list):
            yield body


def _can_go(statement: ast.stmt) -> bool:
    """Whether the rest still has all its names without a statement, and it is no docstring."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, (ast.Call, ast.Yield, ast.YieldFrom))
    if isinstance(statement, ast.Assign):
        return all(isinstance(t, (ast.Subscript, ast.Attribute)) for t in statement.targets)
    return isinstance(statement, (ast.AugAssign, ast.Raise, ast.Continue, ast.Break))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_kept(test: ast.expr) -> bool:
    return any(_name(node) in _KEPT for node in ast.walk(test))


def _compare(node: ast.Compare) -> None:
    node.ops[0] = _COMPARED[type(node.ops[0])]()


def _compute(node: ast.BinOp | ast.AugAssign) -> None:
    node.op = _COMPUTED[type(node.op)]()


def _connect(node: ast.BoolOp) -> None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _never(node: ast.If | ast.IfExp) -> None:
    node.test = ast.Constant(False)


def _swap(node: ast.Call) -> None:
    assert isinstance(node.func, ast.Name)
    node.func.id = _SWAPPED[node.func.id]


def _off_by_one(node: ast.Constant) -> None:
    assert isinstance(node.value, int)
    node.value += 1


def _drop(body: list[ast.stmt], index: int) -> None:
    body[index] = ast.Pass()
