"""Value functions as LLVM code: those of ``wsc.isa.values``, translated as they stand.

They are of a larger part of Python than kernels: besides f32 there are doubles, and the functions
of ``math``, which take and give doubles. Two f32 make an f32; with a number that is written in the
text, or an integer, an f32 makes a double. What a function returns is rounded to its type. The
functions see to it that what they make an integer of fits 64 bits.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from wsc.runtime.kernels.translate import (
    DOUBLE,
    INT,
    NOTHING,
    POINTER,
    REAL,
    TRUTH,
    Body,
    Constant,
    Function,
    Given,
    Translator,
    Value,
)

_WORD = ir.IntType(32)


class OfElements:
    """A value function that kernels call."""

    def __init__(self, function: Callable[..., Any], takes: Sequence[Any], gives: Any) -> None:
        self.compiled = Function(function, tuple(takes), gives, emit=_translate_value)

    def __call__(self, *_values: float) -> float:
        """Kernels alone call it."""
        raise TypeError(f"'{self.compiled.name}' is called by kernels alone")


def of_reals(function: Callable[..., Any], count: int) -> OfElements:
    """A value function of ``count`` f32 that gives one."""
    return OfElements(function, [REAL] * count, REAL)


# --- the mathematics of Python --------------------------------------------------------------


def _foreign(build: Any, name: str, gives: Any, takes: Sequence[Any]) -> Any:
    """A function of LLVM's, or of the C library."""
    module = build.module
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(gives, takes), name)
    return found


def _of_doubles(name: str, count: int = 1) -> Callable[[Any, Sequence[Any]], Value]:
    """A function that gives a double."""

    def emit(build: Any, given: Sequence[Any]) -> Value:
        called = _foreign(build, name, DOUBLE, [DOUBLE] * count)
        return Value(DOUBLE, build.call(called, given))

    return emit


def _to_whole(name: str) -> Callable[[Any, Sequence[Any]], Value]:
    """A function that gives a double without a fraction; Python makes an integer of it."""

    def emit(build: Any, given: Sequence[Any]) -> Value:
        called = _foreign(build, name, DOUBLE, [DOUBLE])
        return Value(INT, build.fptosi(build.call(called, given), INT))

    return emit


def _ldexp(build: Any, given: Sequence[Any]) -> Value:
    called = _foreign(build, "ldexp", DOUBLE, [DOUBLE, _WORD])
    exponent = build.trunc(build.fptosi(given[1], INT), _WORD)
    return Value(DOUBLE, build.call(called, [given[0], exponent]))


_IN_C = ("exp", "expm1", "log", "log1p", "sinh", "asinh", "tanh", "erf", "sin", "cos", "atan")
_MATHEMATICS: dict[str, Callable[[Any, Sequence[Any]], Value]] = {
    **{name: _of_doubles(name) for name in _IN_C},
    "pow": _of_doubles("pow", 2),
    "sqrt": _of_doubles("llvm.sqrt.f64"),
    "copysign": _of_doubles("llvm.copysign.f64", 2),
    "floor": _to_whole("llvm.floor.f64"),
    "ceil": _to_whole("llvm.ceil.f64"),
    "ldexp": _ldexp,
}


# --- one value function ---------------------------------------------------------------------


def _translate_value(translator: Translator, function: Function, made: Any) -> None:
    _ValueBody(translator, function, made).translate()


class _ValueBody(Body):
    """Translates the body of one value function."""

    def __init__(self, translator: Translator, function: Function, made: Any) -> None:
        super().__init__(translator, function, made)
        # A function that was made within another has some of its numbers from there.
        self.names = self.names | inspect.getclosurevars(function.function).nonlocals

    def leave(self, value: ast.expr | None) -> None:
        """``return``: what is given is rounded."""
        assert value is not None
        held, gives = self.settled(self.expression(value)), self.function.gives
        if held.kind == DOUBLE and gives == REAL:
            self.build.ret(self.build.fptrunc(held.code, REAL))
        else:
            self.build.ret(self.cast(value, held, gives))

    def settled(self, value: Given) -> Value:
        """A value as code: a float of the text is a double."""
        if isinstance(value, Constant) and isinstance(value.value, float):
            return Value(DOUBLE, DOUBLE(value.value))
        return super().settled(value)

    def cast(self, node: ast.AST, value: Given, kind: Any) -> Any:
        """The code of a value as one of another type; nothing is narrowed by the way."""
        held = self.settled(value)
        if kind == DOUBLE and held.kind == REAL:
            return self.build.fpext(held.code, DOUBLE)
        if kind == DOUBLE and held.kind == INT:
            return self.build.sitofp(held.code, DOUBLE)
        return super().cast(node, held, kind)

    def expression(self, node: ast.expr) -> Given:
        """The value of an expression; ``math.frexp`` is taken for its exponent alone."""
        match node:
            case ast.Subscript(ast.Call(ast.Attribute(attr="frexp"), [size]), ast.Constant(1)):
                place = self.room(_WORD)
                given = self.cast(size, self.expression(size), DOUBLE)
                called = _foreign(self.build, "frexp", DOUBLE, [DOUBLE, POINTER])
                self.build.call(called, [given, place])
                return Value(INT, self.build.sext(self.build.load(place, typ=_WORD), INT))
            case _:
                return super().expression(node)

    def arithmetic(
        self, node: ast.AST, operation: ast.operator, left: Given, right: Given
    ) -> Given:
        """An operation of two numbers, of their common type."""
        if isinstance(left, Constant) and isinstance(right, Constant):
            return super().arithmetic(node, operation, left, right)
        kind = _common(self.settled(left).kind, self.settled(right).kind)
        if kind == INT:
            return super().arithmetic(node, operation, left, right)
        a, b = self.cast(node, left, kind), self.cast(node, right, kind)
        match operation:
            case ast.Add():
                made = self.build.fadd(a, b)
            case ast.Sub():
                made = self.build.fsub(a, b)
            case ast.Mult():
                made = self.build.fmul(a, b)
            case ast.Div():
                made = self.build.fdiv(a, b)
            case ast.Mod():
                made = self.remainder(a, b, kind)
            case _:
                raise self.refuse(node, f"no {type(operation).__name__} of such operands")
        return Value(kind, made)

    def remainder(self, a: Any, b: Any, kind: Any) -> Any:
        """``a % b`` as Python has it: with the sign of b, a zero too."""
        build, zero = self.build, kind(0.0)
        sign = _foreign(
            build, f"llvm.copysign.{'f32' if kind == REAL else 'f64'}", kind, [kind, kind]
        )
        rest = build.frem(a, b)
        apart = build.xor(build.fcmp_ordered("<", rest, zero), build.fcmp_ordered("<", b, zero))
        moved = build.select(apart, build.fadd(rest, b), rest)
        whole = build.fcmp_ordered("==", rest, zero)
        return build.select(whole, build.call(sign, [zero, b]), moved)

    def unary(self, node: ast.AST, operation: ast.unaryop, operand: ast.expr) -> Given:
        """``-a``, ``~a`` and ``not a``."""
        if isinstance(operation, ast.USub):
            value = self.expression(operand)
            if isinstance(value, Value) and value.kind in (REAL, DOUBLE):
                return Value(value.kind, self.build.fneg(value.code))
        return super().unary(node, operation, operand)

    def relate(self, node: ast.AST, relation: str, a: Value, b: Value) -> Any:
        """A relation of two numbers; with a NaN none holds but that they differ."""
        kind = _common(a.kind, b.kind)
        if kind == INT:
            return super().relate(node, relation, a, b)
        left, right = self.cast(node, a, kind), self.cast(node, b, kind)
        way = self.build.fcmp_unordered if relation == "!=" else self.build.fcmp_ordered
        return way(relation, left, right)

    def choose(self, test: ast.expr, then: ast.expr, otherwise: ast.expr) -> Value:
        """``a if test else b``, of the type that both have in common."""
        one, other, end = (self.made.append_basic_block(name) for name in ("one", "other", "end"))
        self.build.cbranch(self.truth(test), one, other)
        ends: list[tuple[ast.expr, Value, Any]] = []
        for begin, value in ((one, then), (other, otherwise)):
            self.build.position_at_end(begin)
            held = self.settled(self.expression(value))
            ends.append((value, held, self.build.block))
        kinds = [held.kind for _, held, _ in ends]
        kind = TRUTH if kinds == [TRUTH, TRUTH] else _common(*kinds)
        cases: list[tuple[Any, Any]] = []
        for value, held, block in ends:
            self.build.position_at_end(block)
            cases.append((self.cast(value, held, kind), block))
            self.build.branch(end)
        self.build.position_at_end(end)
        chosen = self.build.phi(kind)
        for code, block in cases:
            chosen.add_incoming(code, block)
        return Value(kind, chosen)

    def call(self, node: ast.AST, callee: ast.expr, arguments: list[ast.expr]) -> Given:
        """A function of ``math``, or one of Python's own functions of numbers."""
        if isinstance(callee, ast.Attribute) and self.expression(callee.value) == Constant(math):
            emit = _MATHEMATICS.get(callee.attr)
            if emit is None:
                raise self.refuse(node, f"no translation of 'math.{callee.attr}'")
            given = [self.cast(part, self.expression(part), DOUBLE) for part in arguments]
            return emit(self.build, given)
        return super().call(node, callee, arguments)

    def own(self, node: ast.AST, name: str, arguments: list[Given]) -> Value:
        """``min``, ``max`` and ``abs``; ``int`` towards zero, and ``float``, a double."""
        if name == "float":
            return Value(DOUBLE, self.cast(node, arguments[0], DOUBLE))
        held = self.settled(arguments[0])
        if held.kind not in (REAL, DOUBLE):
            return super().own(node, name, arguments)
        if name == "int":
            return Value(INT, self.build.fptosi(held.code, INT))
        if name == "abs":
            width = "f32" if held.kind == REAL else "f64"
            size = _foreign(self.build, f"llvm.fabs.{width}", held.kind, [held.kind])
            return Value(held.kind, self.build.call(size, [held.code]))
        raise self.refuse(node, f"no '{name}' of floats")


def _common(one: Any, other: Any) -> Any:
    """The type of an operation of two numbers; truth values count as integers."""
    kinds = {INT if kind == TRUTH else kind for kind in (one, other)}
    if len(kinds) == 1:
        return kinds.pop()
    return DOUBLE


# --- loops over elements --------------------------------------------------------------------


class _Loop:
    """Emits ``for i in range(count)`` over the elements at some addresses.

    made: LLVM's function of these addresses and the count.
    """

    def __init__(self, made: Any) -> None:
        self.build: Any = ir.IRBuilder(made.append_basic_block("start"))
        *addresses, count = made.args
        self.places = [self.build.inttoptr(address, POINTER) for address in addresses]
        self.head, self.end = made.append_basic_block("for"), made.append_basic_block("done")
        start, inside = self.build.block, made.append_basic_block("do")
        self.build.branch(self.head)
        self.build.position_at_end(self.head)
        self.i = self.build.phi(INT)
        self.i.add_incoming(INT(0), start)
        self.build.cbranch(self.build.icmp_signed("<", self.i, count), inside, self.end)
        self.build.position_at_end(inside)

    def element(self, number: int, kind: Any) -> Any:
        """The element of an operand: an f32, or a word, which is widened."""
        held = REAL if kind == REAL else _WORD
        place = self.build.gep(self.places[number], [self.i], source_etype=held)
        loaded = self.build.load(place, typ=held)
        return loaded if kind == REAL else self.build.sext(loaded, INT)

    def put(self, value: Any, kind: Any) -> None:
        """Write the element of the result; a word is cut."""
        held = REAL if kind == REAL else _WORD
        place = self.build.gep(self.places[0], [self.i], source_etype=held)
        self.build.store(value if kind == REAL else self.build.trunc(value, _WORD), place)

    def go_on(self) -> None:
        """On to the next element; what is built afterwards comes when all are done."""
        # The counter never wraps: knowing so, LLVM runs many turns at once.
        following = self.build.add(self.i, INT(1), flags=["nsw"])
        self.i.add_incoming(following, self.build.block)
        self.build.branch(self.head)
        self.build.position_at_end(self.end)


def for_each(label: str, value: OfElements, one_nan: bool) -> Function:
    """A function (target, a, b, c, count): ``target[i] = value(a[i], b[i], c[i])`` for each i.

    A value function that takes less than three elements leaves the last operands alone.
    one_nan: what is not a number becomes the one canonical NaN.
    """
    of = value.compiled

    def emit(translator: Translator, _function: Function, made: Any) -> None:
        loop = _Loop(made)
        given = [loop.element(number, kind) for number, kind in enumerate(of.takes, 1)]
        found = loop.build.call(translator.add(of), given)
        if one_nan and of.gives == REAL:
            number = loop.build.fcmp_ordered("==", found, found)
            found = loop.build.select(number, found, REAL(math.nan))
        loop.put(found, of.gives)
        loop.go_on()
        loop.build.ret_void()

    return Function(of.function, (INT,) * 5, NOTHING, outer=True, emit=emit, label=label)


def find_first(label: str, holds: OfElements) -> Function:
    """A function as of ``for_each``: the first i for which ``holds(a[i], b[i])`` fails, or count.

    Nothing is written.
    """
    of = holds.compiled

    def emit(translator: Translator, _function: Function, made: Any) -> None:
        loop = _Loop(made)
        given = [loop.element(number, kind) for number, kind in enumerate(of.takes, 1)]
        held = loop.build.call(translator.add(of), given)
        with loop.build.if_then(loop.build.not_(held)):
            loop.build.ret(loop.i)
        loop.go_on()
        loop.build.ret(made.args[-1])

    return Function(of.function, (INT,) * 5, INT, outer=True, emit=emit, label=label)
