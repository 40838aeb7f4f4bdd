"""Tasks declare what they use: no pass knows a field by its name, and none can be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

import pytest

from wsc.ir import tasks
from wsc.ir.layout import View
from wsc.ir.tasks import Edge, Fact, Read, Role, Scratch, Task, Write, roles

KINDS = [*tasks.TASKS.values()]
OPERANDS = (Role.READ, Role.WRITE, Role.SCRATCH, Role.EDGE)


@pytest.fixture(autouse=True)
def same_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of task that a test makes are forgotten again."""
    monkeypatch.setattr(tasks, "TASKS", dict(tasks.TASKS))
    monkeypatch.setattr(tasks, "ROLES", dict(tasks.ROLES))


def kind_of(hints: dict[str, Any]) -> type[Task]:
    """A kind of task with these fields."""
    return type("Another", (Task,), {"__annotations__": hints, "__slots__": ()})


def fields() -> Iterator[tuple[type[Task], str]]:
    for kind in KINDS:
        for name in roles(kind):
            if name != "origin":
                yield kind, name


@pytest.mark.parametrize(("kind", "field"), [*fields()])
def test_any_field_may_have_another_name(kind: type[Task], field: str) -> None:
    hints = get_type_hints(kind, include_extras=True)
    renamed = kind_of({("other" if name == field else name): hint for name, hint in hints.items()})
    assert [*roles(renamed).values()] == [*roles(kind).values()]


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, name) for kind, name in fields() if roles(kind)[name] in OPERANDS]
)
def test_an_operand_without_a_declaration_stops_the_import(kind: type[Task], field: str) -> None:
    hints = get_type_hints(kind, include_extras=True)
    bare = get_type_hints(kind)[field]
    with pytest.raises(TypeError, match=f"field '{field}' of Another can hold a view or a name"):
        kind_of(hints | {field: bare})


@pytest.mark.parametrize(
    "hint",
    [
        Scratch[View],
        Edge[View],
        Fact[View],
        Fact[tuple[View, ...]],
        Read[str],
        Write[int],
        Edge[int],
    ],
)
def test_a_role_has_a_type(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"field 'wrong' of Another is \w+, and cannot hold"):
        kind_of({"wrong": hint})


def test_operands_come_in_the_order_of_the_fields() -> None:
    @dataclass(frozen=True, slots=True)
    class Two(Task):
        late: Write[View]
        many: Read[tuple[View, ...]]
        some: Read[View | None]
        room: Scratch[tuple[str, ...]]
        word: Scratch[str] = ""
        stream: Edge[str] = ""
        size: int = 0

    a, b = (View(name, tasks.EdgeTensor, (), ()) for name in "ab")  # type: ignore[arg-type]
    task = Two(a, (b, a), None, ("r", "s"), stream="w", origin=("n, m",))
    assert tasks.views(task) == [a, b, a]
    assert tasks.read(task) == [b, a]
    assert tasks.written(task) == [a]
    assert tasks.scratch(task) == ["r", "s"]
    assert tasks.edge_names(task) == ["w"]
