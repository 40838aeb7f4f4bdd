"""The rooms of the runtime: none of its files imports another in a circle, types included."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2] / "runtime"


def imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the runtime that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{item.name}" for item in node.names} | {node.module}
            found |= names & modules.keys()
        elif isinstance(node, ast.Import):
            found |= {item.name for item in node.names} & modules.keys()
    return found


def test_nothing_is_imported_in_a_circle() -> None:
    modules: dict[str, Path] = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        modules[".".join(("wsc", *parts)).removesuffix(".__init__")] = path
    assert len(modules) > 60
    graph = {name: imports(path, modules) for name, path in modules.items()}
    assert list(TopologicalSorter(graph).static_order())
