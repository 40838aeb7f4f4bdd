"""Building instructions: what a kernel writes, before it becomes a procedure.

A kernel never prints text. It calls the methods below with integers, expressions over
``x``, ``y``, ``W``, ``H`` and buffer names, and registers; the printer does the rest.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

from wsc.isa.expr import Expr, ExprLike, Int, Name, NotAffine, binary, expr, split
from wsc.isa.expr import names as names_in
from wsc.isa.program import (
    Asynchronous,
    Call,
    Dim,
    If,
    Loop,
    Mem,
    Op,
    Operand,
    Queue,
    Real,
    Scalar,
    Statement,
    Transfer,
)
from wsc.isa.table import OPERATORS
from wsc.isa.types import Control, DType

MAX_REGISTERS_IN_OPERAND = 2
FLAT = frozenset({"i"})  # the usual name of a walk over a whole buffer
SCALAR_OPS = {operator: name for name, operator in OPERATORS.items()}


@dataclass(frozen=True, slots=True)
class At:
    """A memory operand in the making: base address and byte stride for each iteration name."""

    base: Expr
    strides: dict[str, int] = field(default_factory=dict)

    def moved(self, offset: ExprLike) -> At:
        """The same descriptor, ``offset`` bytes further."""
        return At(self.base + offset, self.strides)


Source = At | Queue | float | int | Expr


@dataclass(frozen=True, slots=True)
class Emission:
    """What a kernel gives for one task: a body, and the edge's part.

    name: stem for the procedure's name. doc: its comment lines. numbers: what numbers of the body
    are called. operands: what the task calls its buffers. Both name the procedure's parameters.
    """

    name: str
    body: tuple[Statement, ...]
    transfers: tuple[Transfer, ...] = ()
    doc: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])
    operands: Mapping[str, str] = field(default_factory=dict[str, str])


class Asm:
    """A body under construction: statements, fresh registers, nested blocks.

    No iteration name of a body is the name of one of its registers: both are given here, and
    what is taken by one kind is not given to the other.
    """

    def __init__(self, max_dims: int) -> None:
        self.max_dims = max_dims
        self.registers: set[str] = set()
        self.iterations: set[str] = set()
        self._blocks: list[list[Statement]] = [[]]

    @property
    def body(self) -> tuple[Statement, ...]:
        """The finished statements."""
        assert len(self._blocks) == 1, "a block is still open"
        return tuple(self._blocks[0])

    def add(self, statement: Statement) -> None:
        """Append a statement to the innermost open block."""
        self._blocks[-1].append(statement)

    def register(self, hint: str) -> Name:
        """A fresh register named after ``hint``."""
        name = _fresh(hint, self.registers | self.iterations)
        self.registers.add(name)
        return Name(name)

    def _iteration(self, key: str) -> str:
        """The name of an iteration over ``key``: its own, unless a register has it."""
        name = _fresh(key, self.registers)
        self.iterations.add(name)
        return name

    # --- scalar ---------------------------------------------------------------

    def set(self, register: Name, value: ExprLike) -> Name:
        """``register = value``, with as few instructions as the expression needs."""
        node = expr(value)
        op = getattr(node, "op", None)
        if not self._operand(node) and op in SCALAR_OPS:
            left, right = self.value(node.left), self.value(node.right)  # type: ignore[attr-defined]
            self._scalar(SCALAR_OPS[op], register, left, right)
        else:
            self._scalar("i.set", register, self.value(node))
        return register

    def let(self, hint: str, value: ExprLike) -> Expr:
        """``value`` in a fresh register, unless it is static and needs none."""
        node = expr(value)
        if not set(names_in(node)) & self.registers:
            return node
        return self.set(self.register(hint), node)

    def times(self, hint: str, value: ExprLike, factor: int) -> Expr:
        """``value * factor``; an instruction even for a factor of one, if it needs a register.

        For factors that depend on the mesh: bodies keep their form, and so share a procedure. A
        factor that is one in all of them goes then (``wsc.kernels.scalars.plainer``).
        """
        return self._always(hint, "*", value, factor)

    def over(self, hint: str, value: ExprLike, divisor: int) -> Expr:
        """``floor(value / divisor)``, likewise."""
        return self._always(hint, "/", value, divisor)

    def _always(self, hint: str, op: str, value: ExprLike, number: int) -> Expr:
        node = expr(value)
        if not set(names_in(node)) & self.registers:
            return binary(op, node, number)
        left = self.value(node)
        register = self.register(hint)
        self._scalar(SCALAR_OPS[op], register, left, Int(number))
        return register

    def value(self, value: ExprLike) -> Expr:
        """An expression that an operand can hold: static, plus at most two registers."""
        node = expr(value)
        if self._operand(node):
            return node
        op = node.op  # type: ignore[attr-defined]
        if op not in SCALAR_OPS:
            raise NotAffine(f"no scalar instruction computes '{op}'")
        return self.set(self.register("t"), node)

    def _operand(self, node: Expr) -> bool:
        try:
            parts = split(node, frozenset(self.registers))
        except NotAffine:
            return False
        return len(parts.registers) <= MAX_REGISTERS_IN_OPERAND

    def _scalar(self, name: str, register: Name, *operands: Expr) -> None:
        sources = tuple(Scalar(operand) for operand in operands)
        self.add(Op(name, None, sources, register=register.name))

    def load(self, hint: str, address: ExprLike) -> Name:
        """A fresh register with the word at ``address``."""
        register = self.register(hint)
        self.add(Op("i.load", None, (Mem(self.value(address)),), register=register.name))
        return register

    def position(self, register: Name, size: ExprLike) -> None:
        """A register's index as a position of ``size``; what is none stops the run."""
        self._scalar("i.index", register, register, self.value(size))

    # --- control --------------------------------------------------------------

    @contextmanager
    def loop(self, hint: str, count: ExprLike) -> Generator[Name]:
        """A hardware loop; gives its counter."""
        register, bound = self.register(hint), self.value(count)
        self._blocks.append([])
        yield register
        block = tuple(self._blocks.pop())
        if block:
            self.add(Loop(register.name, bound, block))

    @contextmanager
    def when(self, left: ExprLike, relation: str, right: ExprLike) -> Generator[None]:
        """A guarded block."""
        a, b = self.value(left), self.value(right)
        self._blocks.append([])
        yield
        block = tuple(self._blocks.pop())
        if block:
            self.add(If(a, relation, b, block))

    @contextmanager
    def otherwise(self) -> Generator[None]:
        """The other half of the guard that ended just before."""
        guard = self._blocks[-1].pop()
        assert isinstance(guard, If)
        assert not guard.otherwise
        self._blocks.append([])
        yield
        block = tuple(self._blocks.pop())
        self.add(If(guard.left, guard.relation, guard.right, guard.then, block))

    def call(self, procedure: str, **arguments: ExprLike) -> None:
        """Call a library procedure."""
        values = tuple((key, self.value(item)) for key, item in arguments.items())
        self.add(Call(procedure, values))

    def wait(self, semaphore: int, count: ExprLike) -> None:
        """Wait for ``count`` on a semaphore and take it."""
        self.add(Op("wait", None, (Scalar(self.value(count)),), semaphore=semaphore))

    def signal(self, semaphore: int, count: ExprLike) -> None:
        """Add ``count`` to a semaphore."""
        self.add(Op("signal", None, (Scalar(self.value(count)),), semaphore=semaphore))

    def control(self, control: Control, color: str) -> None:
        """Send a control wavelet."""
        self.add(Op("control", None, color=color, control=control))

    # --- vector ---------------------------------------------------------------

    def vector(
        self,
        name: str,
        dtype: DType,
        destination: At | Queue,
        *sources: Source,
        dims: Sequence[tuple[str, ExprLike]] = (),
        asynchronous: Asynchronous | None = None,
        target: tuple[Expr, Expr] | None = None,
        semaphore: int | None = None,
        keep: frozenset[str] = frozenset(),
    ) -> None:
        """One vector instruction over ``dims`` (outermost first), in as few dimensions as it can.

        Dimensions of extent one go, but for those in ``keep`` (whose extent is one on this mesh
        only: dropping them would give each mesh a text of its own) and the flat ``i``.
        Neighbours that every operand walks as one merge. What is still beyond the machine's
        number of dimensions becomes hardware loops.
        """
        operands: list[Source] = [destination, *sources]
        space = [
            (key, expr(size)) for key, size in dims if key in keep | FLAT or expr(size) != Int(1)
        ]
        space, operands = merge(space, operands)
        if len(space) > self.max_dims:
            key, size = space[0]
            with self.loop(key, size) as counter:
                inner = [self._stepped(operand, key, counter) for operand in operands]
                self.vector(
                    name,
                    dtype,
                    inner[0],  # type: ignore[arg-type]
                    *inner[1:],
                    dims=space[1:],
                    asynchronous=asynchronous,
                    target=target,
                    semaphore=semaphore,
                    keep=keep,
                )
            return
        addressed = [self._addressed(operand) for operand in operands]
        sizes = [self.value(size) for _, size in space]
        # Named last: what is computed for the operands above has its registers now.
        names = {key: self._iteration(key) for key, _ in space}
        self.add(
            Op(
                name,
                dtype,
                tuple(_finished(operand, names) for operand in addressed),
                tuple(Dim(names[key], size) for (key, _), size in zip(space, sizes, strict=True)),
                asynchronous=asynchronous,
                target=target,
                semaphore=semaphore,
            )
        )

    def fill(self, base: Expr, dtype: DType, value: float, count: ExprLike) -> None:
        """Set ``count`` contiguous elements from ``base`` on to one value."""
        literal: Source = float(value) if dtype.is_float else Int(int(value))
        self.vector("mov", dtype, At(base, {"i": dtype.bytes}), literal, dims=[("i", count)])

    def _stepped(self, operand: Source, key: str, counter: Name) -> Source:
        if isinstance(operand, At) and operand.strides.get(key, 0):
            offset = self.let("step", counter * operand.strides[key])
            rest = {name: stride for name, stride in operand.strides.items() if name != key}
            return At(self.value(operand.base + offset), rest)
        if isinstance(operand, Queue) and operand.dims is not None:
            return Queue(operand.color, tuple(dim for dim in operand.dims if dim != key))
        return operand

    def _addressed(self, operand: Source) -> Source:
        """The operand with its base and value in a form that an instruction can hold."""
        if isinstance(operand, At):
            return At(self.value(operand.base), operand.strides)
        return operand if isinstance(operand, (Queue, float)) else self.value(operand)


def _fresh(hint: str, taken: Set[str]) -> str:
    """``hint``, or the first of hint2, hint3 and so on that is not taken."""
    name, number = hint, 1
    while name in taken:
        number += 1
        name = f"{hint}{number}"
    return name


def _finished(operand: Source, names: dict[str, str]) -> Operand:
    """The operand of an instruction over iterations: key -> name, outermost first."""
    if isinstance(operand, Queue):
        if operand.dims is None:
            return operand
        kept = tuple(name for key, name in names.items() if key in operand.dims)
        return Queue(operand.color, None if len(kept) == len(names) else kept)
    if isinstance(operand, At):
        address = operand.base
        for key, name in names.items():
            address = address + Name(name) * operand.strides.get(key, 0)
        return Mem(address)
    return Real(operand) if isinstance(operand, float) else Scalar(expr(operand))


def merge(
    space: list[tuple[str, Expr]], operands: list[Source]
) -> tuple[list[tuple[str, Expr]], list[Source]]:
    """Merge neighbouring dimensions that every operand walks as one."""
    for outer in range(len(space) - 2, -1, -1):
        (first, many), (second, size) = space[outer], space[outer + 1]
        if isinstance(size, Int) and all(_contiguous(o, first, second, size) for o in operands):
            space = [*space[:outer], (second, many * size), *space[outer + 2 :]]
            operands = [_without(operand, first) for operand in operands]
    return space, operands


def _contiguous(operand: Source, first: str, second: str, size: Int) -> bool:
    if isinstance(operand, At):
        strides = operand.strides
        return strides.get(first, 0) == strides.get(second, 0) * size.value
    if isinstance(operand, Queue) and operand.dims is not None:
        return (first in operand.dims) == (second in operand.dims)
    return True


def _without(operand: Source, key: str) -> Source:
    if isinstance(operand, At):
        return At(operand.base, {k: s for k, s in operand.strides.items() if k != key})
    if isinstance(operand, Queue) and operand.dims is not None:
        return Queue(operand.color, tuple(dim for dim in operand.dims if dim != key))
    return operand
