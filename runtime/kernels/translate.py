"""Kernels as LLVM code: Python functions over the tables of a machine, translated as they stand.

A kernel is written in a small part of Python: integers of 64 bits, f32, truth values, lanes (see
``lanes``), tables of a ``Machine``, records, slices of tables, ``while``, ``for`` over ``range``,
and calls of other kernels. Its annotations are its types, and each variable has the type of its
first value. There is nothing to infer, so that two thousand lines are translated in a fraction of
a second. Whatever is not of this part of Python is refused, with its line.

Integers are divided as Python does, but a division by zero gives zero. No index is checked.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir

from wsc.runtime.kernels.words import WORDS

# --- types --------------------------------------------------------------------------------

INT, TRUTH, REAL, NOTHING = ir.IntType(64), ir.IntType(1), ir.FloatType(), ir.VoidType()
DOUBLE = ir.DoubleType()  # of value functions alone
POINTER = ir.PointerType()
INT_BYTES = 8
LANES = ir.VectorType(INT, WORDS)
_BYTE = ir.IntType(8)
_NUMBERS: tuple[Any, ...] = (INT, TRUTH, REAL, DOUBLE, LANES)
PAIR = ir.LiteralStructType([INT, INT])
FLAT = 0  # columns of a table of one dimension


@dataclass(frozen=True, slots=True)
class Elements:
    """The type of an array that begins at an address: a table, or a row or slice of one.

    columns: of a table of two dimensions, or ``FLAT``.
    """

    dtype: np.dtype[Any]
    columns: int = FLAT


@dataclass(frozen=True, slots=True)
class Record:
    """The type of one record of a table."""

    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Whole:
    """The type of the machine: the table of the addresses of all tables."""


MACHINE = Whole()


@dataclass(frozen=True, slots=True)
class Value:
    """A value while a function is translated: its type, and where LLVM has it."""

    kind: Any
    code: Any


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of Python that is not code yet: a number, or a tuple of them."""

    value: Any


Given = Value | Constant


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """A function without a body in Python: ``emit`` makes its code of the arguments."""

    name: str
    emit: Callable[[Any, Sequence[Value]], Value]


@dataclass(eq=False, slots=True)
class Function:
    """A function to be translated. outer: Python calls it too.

    declared: it has no body; what is translated in its place is the library's own. emit: fills
    LLVM's function; without it, that is done from the source. label: its name, if it has another
    than the function of Python.
    """

    function: Callable[..., Any]
    takes: tuple[Any, ...]
    gives: Any
    outer: bool = False
    declared: bool = False
    emit: Callable[[Translator, Function, Any], None] | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """As people know it."""
        return self.label or self.function.__name__


_ANNOTATIONS: dict[str, Any] = {
    "int": INT,
    "bool": TRUTH,
    "float": REAL,
    "None": NOTHING,
    "Lanes": LANES,
    "Machine": MACHINE,
    "tuple[int, int]": PAIR,
}


def annotated(function: Callable[..., Any], outer: bool) -> Function:
    """A function whose annotations say what it takes and gives."""
    notes = dict(function.__annotations__)
    gives = _ANNOTATIONS[notes.pop("return")]
    return Function(function, tuple(_ANNOTATIONS[note] for note in notes.values()), gives, outer)


# --- the module ---------------------------------------------------------------------------


class Translator:
    """Translates functions into one module of LLVM code.

    tables: type of the elements of each table, and its columns; the machine has their addresses
    in this order. own: the functions that take the place of declared ones.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[Any, int]],
        own: Mapping[Function, Function] | None = None,
    ) -> None:
        self.own = own or {}
        self.module = ir.Module("values")
        self.tables = {
            name: (number, Elements(np.dtype(kind), columns))
            for number, (name, (kind, columns)) in enumerate(tables.items())
        }
        self._made: dict[Function, Any] = {}
        self._waiting: list[Function] = []
        self._arrays: dict[int, Any] = {}
        self.divide = self._division("divide", operator.itemgetter(0))
        self.remainder = self._division("remainder", operator.itemgetter(1))

    def translate(self, functions: Iterable[Function]) -> str:
        """The code of functions and of all that they call, as text."""
        for function in functions:
            self.add(function)
        while self._waiting:
            function = self._waiting.pop()
            emit = function.emit or translate_source
            emit(self, function, self._made[function])
        return str(self.module)

    def add(self, function: Function) -> Any:
        """The LLVM function of a function, which is translated later if it has no body yet.

        Raises:
            TypeError: it is declared, and nothing takes its place.
        """
        if function.declared:
            if function not in self.own:
                raise TypeError(f"nothing defines '{function.name}', which is declared only")
            function = self.own[function]
        if function not in self._made:
            takes = [POINTER if isinstance(kind, Whole) else kind for kind in function.takes]
            kind = ir.FunctionType(function.gives, takes)
            made = ir.Function(self.module, kind, self.module.get_unique_name(function.name))
            made.linkage = "external" if function.outer else "internal"
            self._made[function] = made
            self._waiting.append(function)
        return self._made[function]

    def constant_array(self, array: np.ndarray) -> Value:
        """An array that never changes, as part of the module."""
        if id(array) not in self._arrays:
            data = array.astype(np.int64)
            kind = ir.ArrayType(INT, data.size)
            name = self.module.get_unique_name("array")
            made: Any = ir.GlobalVariable(self.module, kind, name)
            made.global_constant, made.linkage = True, "internal"
            made.initializer = kind(data.tolist())
            self._arrays[id(array)] = made
        return Value(Elements(np.dtype(np.int64)), self._arrays[id(array)])

    def _division(self, name: str, chosen: Callable[[tuple[Any, Any]], Any]) -> Any:
        """A function of two integers that divides as Python does; by zero it gives zero."""
        made = ir.Function(self.module, ir.FunctionType(INT, [INT, INT]), name)
        made.linkage = "internal"
        made.attributes.add("alwaysinline")
        build = ir.IRBuilder(made.append_basic_block())
        a, b = made.args
        zero, one = INT(0), INT(1)
        none = build.icmp_signed("==", b, zero)
        divisor = build.select(none, one, b)
        quotient, rest = build.sdiv(a, divisor), build.srem(a, divisor)
        # LLVM rounds towards zero; Python rounds down.
        uneven = build.icmp_signed("!=", rest, zero)
        apart = build.icmp_signed("<", build.xor(rest, divisor), zero)
        down = build.and_(uneven, apart)
        quotient = build.sub(quotient, build.zext(down, INT))
        rest = build.select(down, build.add(rest, divisor), rest)
        build.ret(build.select(none, zero, chosen((quotient, rest))))
        return made


@cache
def _definitions(file: str) -> dict[str, ast.FunctionDef]:
    """The functions of a source file, by name, those within others too."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def translate_source(translator: Translator, function: Function, made: Any) -> None:
    """Fill LLVM's function with a kernel's own lines."""
    Body(translator, function, made).translate()


# --- one function -------------------------------------------------------------------------

_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("add", "fadd"),
    ast.Sub: ("sub", "fsub"),
    ast.Mult: ("mul", "fmul"),
    ast.BitAnd: ("and_", ""),
    ast.BitOr: ("or_", ""),
    ast.BitXor: ("xor", ""),
    ast.LShift: ("shl", ""),
    ast.RShift: ("ashr", ""),
}
_RELATIONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


class Body:
    """Translates the body of one kernel."""

    def __init__(self, translator: Translator, function: Function, made: Any) -> None:
        self.translator, self.function, self.made = translator, function, made
        self.node = _definitions(inspect.getfile(function.function))[function.name]
        self.names = function.function.__globals__
        # All variables are in memory of the first block; LLVM makes registers of them.
        self.first = made.append_basic_block("variables")
        # Parts of llvmlite have no types.
        self.build: Any = ir.IRBuilder(made.append_basic_block("start"))
        self.variables: dict[str, Value] = {}
        self.loops: list[tuple[Any, Any]] = []  # where ``continue`` and ``break`` lead

    def translate(self) -> None:
        """Fill the function."""
        start = self.build.block
        for argument, kind, given in zip(
            self.node.args.args, self.function.takes, self.made.args, strict=True
        ):
            self.assign_name(argument.arg, Value(kind, given))
        self.block(self.node.body)
        if not self.build.block.is_terminated:
            if self.function.gives == NOTHING:
                self.build.ret_void()
            else:
                self.build.unreachable()
        ir.IRBuilder(self.first).branch(start)

    def refuse(self, node: ast.AST, what: str) -> TypeError:
        """What is wrong with a line of the source."""
        file = inspect.getfile(self.function.function)
        return TypeError(f"{file}:{getattr(node, 'lineno', 0)}: {what} in '{self.function.name}'")

    # --- statements -----------------------------------------------------------------------

    def block(self, body: Iterable[ast.stmt]) -> None:
        """Statements, up to one that leaves the block."""
        for statement in body:
            self.statement(statement)
            if self.build.block.is_terminated:
                return

    def statement(self, node: ast.stmt) -> None:
        """One statement."""
        match node:
            case ast.Expr(ast.Constant()):  # a docstring
                pass
            case ast.Expr(value):
                self.expression(value)
            case ast.Assign(targets, value):
                self.assign_all(targets, value)
            case ast.AugAssign(target, operation, value):
                old = self.expression(target)
                self.assign(target, self.arithmetic(node, operation, old, self.expression(value)))
            case ast.Return(value):
                self.leave(value)
            case ast.If(test, body, otherwise):
                self.branch(test, body, otherwise)
            case ast.While(test, body, []):
                self.loop(test, body)
            case ast.For(ast.Name(name), ast.Call(ast.Name("range"), bounds), body, []):
                self.count(name, bounds, body)
            case ast.Break():
                self.build.branch(self.loops[-1][1])
            case ast.Continue():
                self.build.branch(self.loops[-1][0])
            case _:
                raise self.refuse(node, f"no translation of {type(node).__name__}")

    def leave(self, value: ast.expr | None) -> None:
        """``return``."""
        gives = self.function.gives
        if value is None:
            self.build.ret_void()
        elif isinstance(value, ast.Tuple):
            pair = ir.Constant(gives, ir.Undefined)
            for number, part in enumerate(value.elts):
                held = self.cast(part, self.expression(part), INT)
                pair = self.build.insert_value(pair, held, number)
            self.build.ret(pair)
        else:
            self.build.ret(self.cast(value, self.expression(value), gives))

    def branch(self, test: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt]) -> None:
        """``if``."""
        then, other, end = (self.made.append_basic_block(name) for name in ("then", "else", "end"))
        self.build.cbranch(self.truth(test), then, other if otherwise else end)
        for begin, statements in ((then, body), (other, otherwise)):
            self.build.position_at_end(begin)
            self.block(statements)
            if not self.build.block.is_terminated:
                self.build.branch(end)
        self.build.position_at_end(end)

    def loop(self, test: ast.expr, body: list[ast.stmt]) -> None:
        """``while``."""
        head, inside, end = (self.made.append_basic_block(name) for name in ("while", "do", "done"))
        self.build.branch(head)
        self.build.position_at_end(head)
        self.build.cbranch(self.truth(test), inside, end)
        self.build.position_at_end(inside)
        self.loops.append((head, end))
        self.block(body)
        self.loops.pop()
        if not self.build.block.is_terminated:
            self.build.branch(head)
        self.build.position_at_end(end)

    def count(self, name: str, bounds: list[ast.expr], body: list[ast.stmt]) -> None:
        """``for`` over a range; a third bound is a literal."""
        given = [self.cast(bound, self.expression(bound), INT) for bound in bounds]
        start, stop = (INT(0), given[0]) if len(given) == 1 else given[:2]
        step = given[2] if len(given) > 2 else INT(1)
        relation = "<" if step.constant > 0 else ">"
        # The counter is apart from the variable, which the body may change.
        counter = self.room(INT)
        self.build.store(start, counter)
        head, inside, following, end = (
            self.made.append_basic_block(part) for part in ("for", "do", "next", "done")
        )
        self.build.branch(head)
        self.build.position_at_end(head)
        now = self.build.load(counter, typ=INT)
        self.build.cbranch(self.build.icmp_signed(relation, now, stop), inside, end)
        self.build.position_at_end(inside)
        self.assign_name(name, Value(INT, now))
        self.loops.append((following, end))
        self.block(body)
        self.loops.pop()
        if not self.build.block.is_terminated:
            self.build.branch(following)
        self.build.position_at_end(following)
        # The counter never wraps: knowing so, LLVM runs many turns at once.
        further = self.build.add(self.build.load(counter, typ=INT), step, flags=["nsw"])
        self.build.store(further, counter)
        self.build.branch(head)
        self.build.position_at_end(end)

    # --- assignments ----------------------------------------------------------------------

    def assign_all(self, targets: list[ast.expr], value: ast.expr) -> None:
        """``a = b = value`` and ``a, b = value, value``: all values first."""
        for target in targets:
            if not isinstance(target, ast.Tuple):
                self.assign(target, self.expression(value))
                continue
            if isinstance(value, ast.Tuple):
                values = [self.settled(self.expression(part)) for part in value.elts]
            else:
                pair = self.settled(self.expression(value))
                values = [Value(INT, self.build.extract_value(pair.code, k)) for k in range(2)]
            for part, held in zip(target.elts, values, strict=True):
                self.assign(part, held)

    def assign(self, target: ast.expr, value: Given) -> None:
        """Write a value to a variable, an element or a field."""
        if isinstance(target, ast.Name):
            self.assign_name(target.id, self.settled(value))
            return
        place, dtype = self.place(target)
        self.store(target, value, place, dtype)

    def assign_name(self, name: str, value: Value) -> None:
        """Write a variable; the first value that it gets is of its type."""
        if name not in self.variables:
            self.variables[name] = Value(value.kind, self.room(_llvm(value.kind)))
        variable = self.variables[name]
        self.build.store(self.cast(self.node, value, variable.kind), variable.code)

    def room(self, kind: Any) -> Any:
        """Memory of a variable."""
        return ir.IRBuilder(self.first).alloca(kind)

    # --- memory ---------------------------------------------------------------------------

    def place(self, node: ast.expr) -> tuple[Any, np.dtype[Any]]:
        """Address of an element or a field, and its type."""
        if isinstance(node, ast.Subscript):
            return self.element(node)
        if not isinstance(node, ast.Attribute):
            raise self.refuse(node, "nothing to write to")
        record = self.settled(self.expression(node.value))
        if not isinstance(record.kind, Record) or node.attr not in (record.kind.dtype.names or ()):
            raise self.refuse(node, f"no field '{node.attr}'")
        dtype, offset = record.kind.dtype.fields[node.attr][:2]  # type: ignore[index]
        return self.build.gep(record.code, [INT(offset)], source_etype=_BYTE), dtype

    def element(self, node: ast.Subscript) -> tuple[Any, Any]:
        """Address and type of ``array[i]``, ``table[i, j]``, or a row ``table[i]``."""
        array = self.settled(self.expression(node.value))
        if not isinstance(array.kind, Elements):
            raise self.refuse(node, "no array")
        dtype, columns = array.kind.dtype, array.kind.columns
        if isinstance(node.slice, ast.Tuple):
            row, column = (self.number(part) for part in node.slice.elts)
            at = self.build.add(self.build.mul(row, INT(columns)), column)
        else:
            at = self.number(node.slice)
        kind = dtype
        if columns != FLAT and not isinstance(node.slice, ast.Tuple):
            at, kind = self.build.mul(at, INT(columns)), Elements(dtype)
        return self.build.gep(array.code, [at], source_etype=_cell(dtype)), kind

    def load(self, place: Any, dtype: np.dtype[Any]) -> Value:
        """What is in memory; integers are widened."""
        if dtype.names:
            return Value(Record(dtype), place)
        if dtype.subdtype is not None:  # a field that is an array, or lanes
            if dtype.base == np.uint64:
                return Value(LANES, self.build.load(place, typ=LANES, align=INT_BYTES))
            return Value(Elements(dtype.base), place)
        if dtype.kind == "f":
            return Value(REAL, self.build.load(place, typ=REAL))
        narrow = self.build.load(place, typ=ir.IntType(8 * dtype.itemsize))
        if dtype.itemsize == 8:
            return Value(INT, narrow)
        widen = self.build.zext if dtype.kind == "u" else self.build.sext
        return Value(INT, widen(narrow, INT))

    def store(self, node: ast.AST, value: Given, place: Any, dtype: np.dtype[Any]) -> None:
        """Write to memory; integers are cut."""
        if dtype.subdtype is not None:
            self.build.store(self.cast(node, value, LANES), place, align=INT_BYTES)
            return
        if dtype.kind == "f":
            self.build.store(self.cast(node, value, REAL), place)
            return
        wide = self.cast(node, value, INT)
        if dtype.itemsize < 8:
            wide = self.build.trunc(wide, ir.IntType(8 * dtype.itemsize))
        self.build.store(wide, place)

    def table(self, machine: Any, name: str) -> Value:
        """A table of the machine; its address does not change while a kernel runs."""
        number, kind = self.translator.tables[name]
        place = self.build.gep(machine, [INT(number)], source_etype=POINTER)
        address = self.build.load(place, typ=POINTER)
        address.set_metadata("invariant.load", self.translator.module.add_metadata([]))
        return Value(kind, address)

    # --- expressions ----------------------------------------------------------------------

    def expression(self, node: ast.expr) -> Given:
        """The value of an expression."""
        match node:
            case ast.Constant(value):
                return Constant(value)
            case ast.Name(name):
                return self.name(node, name)
            case ast.Attribute():
                return self.attribute(node)
            case ast.Subscript(array, ast.Slice(ast.expr() as start)):
                # The end of a slice is for readers: nothing checks an index.
                whole = self.settled(self.expression(array))
                cell, at = _cell(whole.kind.dtype), self.number(start)
                return Value(whole.kind, self.build.gep(whole.code, [at], source_etype=cell))
            case ast.Subscript():
                place, kind = self.element(node)
                return Value(kind, place) if isinstance(kind, Elements) else self.load(place, kind)
            case ast.BinOp(left, operation, right):
                a, b = self.expression(left), self.expression(right)
                return self.arithmetic(node, operation, a, b)
            case ast.UnaryOp(operation, operand):
                return self.unary(node, operation, operand)
            case ast.Compare(left, relations, rights):
                return self.compare(node, left, relations, rights)
            case ast.BoolOp(operation, parts):
                return self.combine(isinstance(operation, ast.And), parts)
            case ast.IfExp(test, then, otherwise):
                return self.choose(test, then, otherwise)
            case ast.Call(function, arguments):
                return self.call(node, function, arguments)
            case _:
                raise self.refuse(node, f"no translation of {type(node).__name__}")

    def name(self, node: ast.AST, name: str) -> Given:
        """A variable, or a constant of the function's module."""
        if name in self.variables:
            variable = self.variables[name]
            return Value(variable.kind, self.build.load(variable.code, typ=_llvm(variable.kind)))
        if name not in self.names:
            raise self.refuse(node, f"no name '{name}'")
        found = self.names[name]
        if isinstance(found, np.ndarray):
            return self.translator.constant_array(found)
        return Constant(found)

    def attribute(self, node: ast.Attribute) -> Given:
        """A table of the machine, a field of a record, or the address of an array."""
        if node.attr == "data" and isinstance(node.value, ast.Attribute):
            array = self.settled(self.expression(node.value.value))  # array.ctypes.data
            return Value(INT, self.build.ptrtoint(array.code, INT))
        found = self.expression(node.value)
        if isinstance(found, Constant):  # a member of an enumeration
            return Constant(getattr(found.value, node.attr))
        owner = self.settled(found)
        if isinstance(owner.kind, Whole):
            return self.table(owner.code, node.attr)
        return self.load(*self.place(node))

    def arithmetic(
        self, node: ast.AST, operation: ast.operator, left: Given, right: Given
    ) -> Given:
        """An operation of two numbers: of f32 if one of them is."""
        if isinstance(left, Constant) and isinstance(right, Constant):
            return Constant(_PYTHON[type(operation)](left.value, right.value))
        kinds = [side.kind for side in (left, right) if isinstance(side, Value)]
        if LANES in kinds:
            return self.lanewise(node, operation, left, right)
        real = REAL in kinds
        kind = REAL if real else INT
        a, b = self.cast(node, left, kind), self.cast(node, right, kind)
        if isinstance(operation, (ast.FloorDiv, ast.Mod)) and not real:
            divide = isinstance(operation, ast.FloorDiv)
            whole = self.translator.divide if divide else self.translator.remainder
            return Value(INT, self.build.call(whole, [a, b]))
        way = _ARITHMETIC.get(type(operation), ("", ""))[int(real)]
        if not way:
            raise self.refuse(node, f"no {type(operation).__name__} of such operands")
        return Value(kind, getattr(self.build, way)(a, b))

    def lanewise(self, node: ast.AST, operation: ast.operator, left: Given, right: Given) -> Value:
        """``&``, ``|`` or ``^`` of two values of lanes."""
        if not isinstance(operation, (ast.BitAnd, ast.BitOr, ast.BitXor)):
            raise self.refuse(node, f"no {type(operation).__name__} of lanes")
        a, b = self.cast(node, left, LANES), self.cast(node, right, LANES)
        return Value(LANES, getattr(self.build, _ARITHMETIC[type(operation)][0])(a, b))

    def unary(self, node: ast.AST, operation: ast.unaryop, operand: ast.expr) -> Given:
        """``-a``, ``~a`` and ``not a``."""
        if isinstance(operation, ast.Not):
            return Value(TRUTH, self.build.not_(self.truth(operand)))
        value = self.expression(operand)
        if isinstance(value, Constant):
            return Constant(-value.value if isinstance(operation, ast.USub) else ~value.value)
        if value.kind == LANES and isinstance(operation, ast.Invert):
            return Value(LANES, self.build.xor(value.code, LANES([-1] * WORDS)))
        if value.kind != INT:
            raise self.refuse(node, "no integer")
        negative = isinstance(operation, ast.USub)
        return Value(INT, (self.build.neg if negative else self.build.not_)(value.code))

    def compare(
        self, node: ast.AST, left: ast.expr, relations: list[ast.cmpop], rights: list[ast.expr]
    ) -> Value:
        """One relation or a chain of them, or ``in`` a tuple of constants."""
        a, result = self.settled(self.expression(left)), None
        for relation, right in zip(relations, rights, strict=True):
            if isinstance(relation, ast.In) and isinstance(right, ast.Tuple):
                options = [self.settled(self.expression(option)) for option in right.elts]
                held = TRUTH(0)
                for option in options:
                    held = self.build.or_(held, self.relate(node, "==", a, option))
                return Value(TRUTH, held)
            b = self.settled(self.expression(right))
            one = self.relate(node, _RELATIONS[type(relation)], a, b)
            result = one if result is None else self.build.and_(result, one)
            a = b
        return Value(TRUTH, result)

    def relate(self, node: ast.AST, relation: str, a: Value, b: Value) -> Any:
        """A relation of two numbers; with a NaN none holds but that they differ."""
        if REAL in (a.kind, b.kind):
            left, right = self.cast(node, a, REAL), self.cast(node, b, REAL)
            way = self.build.fcmp_unordered if relation == "!=" else self.build.fcmp_ordered
            return way(relation, left, right)
        left, right = self.cast(node, a, INT), self.cast(node, b, INT)
        return self.build.icmp_signed(relation, left, right)

    def combine(self, all_of: bool, parts: list[ast.expr]) -> Value:
        """``and`` and ``or`` of truth values; what is not needed is not evaluated."""
        result = self.room(TRUTH)
        end = self.made.append_basic_block("known")
        for part in parts[:-1]:
            held = self.truth(part)
            self.build.store(held, result)
            further = self.made.append_basic_block("also")
            if all_of:
                self.build.cbranch(held, further, end)
            else:
                self.build.cbranch(held, end, further)
            self.build.position_at_end(further)
        self.build.store(self.truth(parts[-1]), result)
        self.build.branch(end)
        self.build.position_at_end(end)
        return Value(TRUTH, self.build.load(result, typ=TRUTH))

    def choose(self, test: ast.expr, then: ast.expr, otherwise: ast.expr) -> Value:
        """``a if test else b``: only one of them is evaluated."""
        one, other, end = (self.made.append_basic_block(name) for name in ("one", "other", "end"))
        self.build.cbranch(self.truth(test), one, other)
        kind, result = None, None
        for begin, value in ((one, then), (other, otherwise)):
            self.build.position_at_end(begin)
            held = self.settled(self.expression(value))
            if result is None:
                kind, result = held.kind, self.room(_llvm(held.kind))
            self.build.store(self.cast(value, held, kind), result)
            self.build.branch(end)
        self.build.position_at_end(end)
        return Value(kind, self.build.load(result, typ=_llvm(kind)))

    def call(self, node: ast.AST, callee: ast.expr, arguments: list[ast.expr]) -> Given:
        """A kernel, an intrinsic, or one of Python's own functions of numbers."""
        if not isinstance(callee, ast.Name):
            raise self.refuse(node, "no translation of such a call")
        if callee.id in _OWN and callee.id not in self.names:
            return self.own(node, callee.id, [self.expression(part) for part in arguments])
        called = self.names.get(callee.id)
        if isinstance(called, Intrinsic):
            return called.emit(self.build, [self.settled(self.expression(a)) for a in arguments])
        called = getattr(called, "compiled", None)
        if not isinstance(called, Function):
            raise self.refuse(node, f"no kernel '{callee.id}'")
        if len(arguments) != len(called.takes):
            raise self.refuse(node, f"'{callee.id}' takes {len(called.takes)} arguments")
        given = [
            self.cast(part, self.expression(part), kind)
            for part, kind in zip(arguments, called.takes, strict=True)
        ]
        return Value(called.gives, self.build.call(self.translator.add(called), given))

    def own(self, node: ast.AST, name: str, arguments: list[Given]) -> Value:
        """``min``, ``max``, ``abs``, ``int`` and ``float`` (which gives an f32)."""
        if name == "float":
            return Value(REAL, self.cast(node, arguments[0], REAL))
        whole = [self.cast(node, argument, INT) for argument in arguments]
        result = whole[0]
        if name == "abs":
            negative = self.build.icmp_signed("<", result, INT(0))
            return Value(INT, self.build.select(negative, self.build.neg(result), result))
        for other in whole[1:]:
            relation = "<" if name == "min" else ">"
            first = self.build.icmp_signed(relation, result, other)
            result = self.build.select(first, result, other)
        return Value(INT, result)

    # --- types of values ------------------------------------------------------------------

    def settled(self, value: Given) -> Value:
        """A value as code: a constant becomes a number of its type."""
        if isinstance(value, Value):
            return value
        held = value.value
        if isinstance(held, (bool, np.bool_)):
            return Value(TRUTH, TRUTH(int(held)))
        if isinstance(held, (float, np.floating)):
            return Value(REAL, REAL(float(held)))
        return Value(INT, INT(int(held)))

    def number(self, node: ast.expr) -> Any:
        """An expression that is an integer."""
        return self.cast(node, self.expression(node), INT)

    def truth(self, node: ast.expr) -> Any:
        """Whether an expression is true: a number is if it is not zero, lanes if any is set."""
        value = self.settled(self.expression(node))
        if value.kind == TRUTH:
            return value.code
        if value.kind == LANES:
            some = self.build.icmp_signed("!=", value.code, LANES([0] * WORDS))
            return self.build.icmp_signed("!=", self.build.bitcast(some, _BYTE), _BYTE(0))
        return self.build.icmp_signed("!=", self.cast(node, value, INT), INT(0))

    def cast(self, node: ast.AST, value: Given, kind: Any) -> Any:
        """The code of a value as one of another type; nothing is narrowed by the way."""
        if isinstance(value, Constant) and kind == REAL:
            return REAL(float(np.float32(value.value)))
        value = self.settled(value)
        if value.kind == kind:
            return value.code
        if kind == INT and value.kind == TRUTH:
            return self.build.zext(value.code, INT)
        if kind == REAL and value.kind == INT:
            return self.build.sitofp(value.code, REAL)
        raise self.refuse(node, f"a value of type {value.kind} where one of {kind} is wanted")


_OWN = frozenset({"min", "max", "abs", "int", "float"})
_PYTHON: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}


def _llvm(kind: Any) -> Any:
    """LLVM's type for a value."""
    return kind if kind in _NUMBERS or kind == PAIR else POINTER


def _cell(dtype: np.dtype[Any]) -> Any:
    """LLVM's type of an element of an array: a record is so many bytes."""
    if dtype.names:
        return ir.ArrayType(_BYTE, dtype.itemsize)
    return REAL if dtype.kind == "f" else ir.IntType(8 * dtype.itemsize)
