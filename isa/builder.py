"""What the parser builds from each grammar rule: statements, declarations, the program."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from wsc.isa import expr as ex
from wsc.isa.diagnostics import AssemblyError, Source
from wsc.isa.fabric import DEFAULT, FabricError, find_fabric
from wsc.isa.limits import MOST_TRANSFERS
from wsc.isa.operands import Children, OperandBuilder, present
from wsc.isa.program import (
    ISA_VERSION,
    Asynchronous,
    Call,
    Cut,
    Direction,
    Drawn,
    EdgeTensor,
    If,
    Kind,
    Location,
    Lookup,
    Loop,
    Number,
    Op,
    Operand,
    Procedure,
    Program,
    Region,
    Route,
    Scalar,
    Statement,
    Tensor,
    Transfer,
    TransferLoop,
    Update,
    WeightFile,
)
from wsc.isa.table import BY_NAME
from wsc.isa.turns import Family
from wsc.isa.types import Control, DType, Side
from wsc.isa.updates import BY_NAME as RULES


@dataclass(slots=True)
class _Parts:
    """The items of a text, gathered by kind in the order of the text."""

    header: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    colors: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    settings: dict[str, Number] = field(default_factory=dict[str, Number])
    files: list[WeightFile] = field(default_factory=list[WeightFile])
    edge: list[Family] = field(default_factory=list[Family])
    names: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    tensors: list[Tensor] = field(default_factory=list[Tensor])
    regions: list[Region] = field(default_factory=list[Region])
    routes: list[Route] = field(default_factory=list[Route])
    procedures: list[Procedure] = field(default_factory=list[Procedure])
    mains: dict[str, tuple[Statement, ...]] = field(
        default_factory=dict[str, tuple[Statement, ...]]
    )
    main_places: dict[str, Location] = field(default_factory=dict[str, Location])
    updates: list[Update] = field(default_factory=list[Update])


class Builder(OperandBuilder):
    """One method a grammar rule. ``places`` keeps where names without an object stand."""

    def begin(self, file: str, source: Source) -> None:
        """Forget the last text and expect a new one."""
        super().begin(file, source)
        self.parts = _Parts()
        self.places: dict[tuple[str, str], Location] = {}

    # Header.

    def start(self, children: Children) -> Program:
        """The whole text; every item has added itself to the parts by now."""
        parts, version = self.parts, children[0]
        if self.integer(version) != ISA_VERSION:
            message = f"this is version {version} of the assembly; wsc reads version {ISA_VERSION}"
            raise self.fail(message, version)
        if "fabric" not in parts.header:
            message = 'the fabric is not named; a line such as fabric "wse2" 32x32 is missing'
            raise self.fail(message, version)
        for name, token in parts.main_places.items():
            if name not in {region.name for region in parts.regions}:
                raise AssemblyError(
                    [self.source.diagnostic(f"there is no region '{name}'", token, name)]
                )
        fabric, width, height = parts.header["fabric"]
        tables = parts.names
        return Program(
            fabric=fabric,
            numbers=parts.header.get("numbers", ("",))[0],
            settings=tuple(parts.settings.items()),
            files=tuple(parts.files),
            width=width,
            height=height,
            precision=DType(parts.header.get("precision", ("f32",))[0]),
            model=parts.header.get("model", ("",))[0],
            work=parts.header.get("work", (None,))[0],
            constants=tuple(self.constants.items()),
            edge_tensors=tuple(
                tensor for family in parts.edge for tensor in family.members(tables)
            ),
            colors=tuple(parts.colors),
            tensors=tuple(parts.tensors),
            regions=tuple(replace(r, main=parts.mains.get(r.name, ())) for r in parts.regions),
            routes=tuple(parts.routes),
            procedures=tuple(parts.procedures),
            transfers=tuple(item for item in children if isinstance(item, Transfer | TransferLoop)),
            names=tuple(tables.items()),
            clip=parts.header.get("gradients", (0.0, 1))[0],
            over=parts.header.get("gradients", (0.0, 1))[1],
            updates=tuple(parts.updates),
        )

    def _once(self, token: Any, *values: Any) -> None:
        if str(token) in self.parts.header:
            raise self.fail(f"the {token} is given twice", token)
        self.parts.header[str(token)] = values

    def fabric(self, children: Children) -> None:
        """``fabric "wse2" 4x2 numbers "0123456789abcdef"``."""
        self._once(children[0], self.file_name(children[1]), *children[2])

        if children[3] is not None:
            self.parts.header["numbers"] = (self.string(children[3]),)

    def work(self, children: Children) -> None:
        """``work 1048576``."""
        self._once(children[0], self.large(children[1]))

    def setting(self, children: Children) -> None:
        """``set io.bytes_per_cycle = 8``."""
        token, value = children
        key = str(token)
        try:
            find_fabric(DEFAULT).require_key(key)
        except FabricError as error:
            raise self.fail(str(error), token) from None
        if key in self.parts.settings:
            raise self.fail(f"'{key}' is set twice", token)
        self.parts.settings[key] = value if isinstance(value, int | tuple) else float(value)

    def digest(self, children: Children) -> None:
        """``file "mlp.wsa.safetensors" sha256 "0123..."``."""
        name, digest = children
        file = WeightFile(self.file_name(name), self.string(digest), self.where(name))
        self.parts.files.append(file)

    def precision(self, children: Children) -> None:
        """``precision f32``."""
        self._once(children[0], str(children[1]))

    def model(self, children: Children) -> None:
        """``model "name"``."""
        self._once(children[0], self.string(children[1]))

    # Training.

    def gradients(self, children: Children) -> None:
        """``gradients clip 1.0 over 4``."""
        token, clip, over = children
        if clip is None and over is None:
            raise self.fail("'gradients' is followed by 'clip', 'over' or both", token)
        self._once(token, 0.0 if clip is None else clip, 1 if over is None else over)

    def amount(self, children: Children) -> float:
        """A number of an update: made of integers and constants, or with a point."""
        (value,) = children
        return float(value)

    def assignment(self, children: Children) -> tuple[Any, float]:
        """``rate = 0.001``: the name's token and the number."""
        return children[0], children[1]

    def update(self, children: Children) -> None:
        """``update "w" by adam(rate = 0.001) from "w.grad" with "w.mean", "w.square"``."""
        token, weight, rule, *rest = children
        numbers = [item for item in rest if isinstance(item, tuple)]
        names = [item for item in rest if isinstance(item, str)]
        row = RULES.get(str(rule))
        if row is None:
            raise self.fail(f"no optimizer '{rule}'; there are {', '.join(RULES)}", rule)
        table = {item.name: item.default for item in row.parameters}
        seen: set[str] = set()
        for name, value in numbers:
            if str(name) not in table:
                known = ", ".join(table) or "none"
                raise self.fail(f"'{rule}' has no number '{name}' (it has: {known})", name)
            if str(name) in seen:
                raise self.fail(f"'{name}' is given twice", name)
            seen.add(str(name))
            table[str(name)] = value
        gradient, *states = names
        self.parts.updates.append(
            Update(
                weight, row.name, tuple(table.items()), gradient, tuple(states), self.where(token)
            )
        )

    # Declarations.

    def const(self, children: Children) -> None:
        """``const B = 16``; earlier constants may be used, and the value is kept."""
        token, value = children
        name = str(token)
        if name in self.constants:
            raise self.fail(f"the constant '{name}' is defined twice", token)
        self.constants[name] = value
        self.places["constant", name] = self.where(token)

    def color(self, children: Children) -> None:
        """``color east = 0``."""
        name, number = str(children[0]), children[1]
        self.parts.colors.append((name, number))
        self.places["color", name] = self.where(children[0])

    def value(self, children: Children) -> None:
        """``output a : i32[16] "int64" high b cut 0 by n``."""
        kind, name, dtype, shape, host, high, axis, length = children
        tensor = EdgeTensor(
            name,
            Kind(str(kind)),
            DType(str(dtype)),
            shape,
            "" if host is None else self.string(host),
            cut=None if axis is None else Cut(axis, length),
            high="" if high is None else high,
            where=self.where(kind),
        )
        self.parts.edge.append(Family(tensor, "", 1))

    def weight(self, children: Children) -> None:
        """``weight w : f32[3] "file" key "name" at 0 as "float32"``, for ``layer:4`` several."""
        name, dtype, shape, file, key, offset, host, register, count = children
        tensor = EdgeTensor(
            name,
            Kind.WEIGHT,
            DType(str(dtype)),
            shape,
            "" if host is None else self.string(host),
            self.file_name(file),
            "" if key is None else self.string(key),
            where=self.where(file),
        )
        if offset is None:
            self._family(tensor, register, count)
            return
        turn = "" if register is None else str(register)
        turns = 1 if count is None else count
        first, step = self._offsets(offset, turn, turns, file)
        self._family(replace(tensor, byte_offset=first), register, count, step)

    def _offsets(self, node: ex.Expr, turn: str, turns: int, token: Any) -> tuple[int, int]:
        """The first offset of a weight in its file, and how much further on the next one is."""
        try:
            first, second, last = (
                int(ex.evaluate(node, self.constants | ({turn: k} if turn else {})))
                for k in (0, 1, max(turns - 1, 0))
            )
        except (KeyError, ArithmeticError) as error:
            message = "a place in a file is made of numbers and what counts the weights of the line"
            raise self.fail(message, token) from error
        step = second - first
        if min(first, step) < 0 or last - first != step * max(turns - 1, 0):
            message = "places in a file begin at 0 or later, and go on evenly"
            raise self.fail(message, token)
        return first, step

    def table(self, children: Children) -> None:
        """``names n1 = "a", "b"``."""
        name, *entries = children
        if str(name) in self.parts.names:
            raise self.fail(f"the table '{name}' is defined twice", name)
        self.parts.names[str(name)] = tuple(map(self.string, entries))

    def drawn(self, children: Children) -> None:
        """``weight w : f16[4, 8] drawn 0 key "w" mean 0.0 deviation 0.5``."""
        name, dtype, shape, seed, key, first, drawn, order, mean, deviation, register, count = (
            children
        )
        how = Drawn(
            self.integer(seed),
            float(mean),
            float(deviation),
            first or 0,
            drawn or (),
            order or (),
        )
        tensor = EdgeTensor(
            name,
            Kind.WEIGHT,
            DType(str(dtype)),
            shape,
            key=self.string(key),
            drawn=how,
            where=self.where(seed),
        )
        self._family(tensor, register, count)

    def kept(self, children: Children) -> None:
        """``kept "h.{layer}" : f16[64, 32] for layer:4``."""
        kind, name, dtype, shape, register, count = children
        tensor = EdgeTensor(name, Kind.KEPT, DType(str(dtype)), shape, where=self.where(kind))
        self._family(tensor, register, count)

    def _family(self, tensor: EdgeTensor, register: Any, count: int | None, step: int = 0) -> None:
        """Declare an edge tensor, or as many as a line says; step: as of a family."""
        turns = 1 if count is None else count
        if turns > MOST_TRANSFERS:
            raise self.fail(f"a line declares up to {MOST_TRANSFERS} edge tensors", count)
        turn = "" if register is None else str(register)
        self.parts.edge.append(Family(tensor, turn, turns, step))

    def tensor(self, children: Children) -> None:
        """``tensor h : f32[128 y:8] at 64 size 32 shares a @"node"``."""
        name, dtype, dims, address, size, shares, nodes = children
        tensor = Tensor(
            str(name),
            DType(str(dtype)),
            dims,
            address,
            size,
            nodes or (),
            "" if shares is None else str(shares),
            self.where(name),
        )
        self.parts.tensors.append(tensor)

    def region(self, children: Children) -> None:
        """``region all at 0,0 size 4x2``."""
        name, left, top, (width, height) = children
        region = Region(str(name), left, top, width, height, where=self.where(name))
        self.parts.regions.append(region)

    def route(self, children: Children) -> None:
        """``route east in all when x == 0 : RAMP -> E``."""
        color, region, guard, *positions = children
        where = self.where(color)
        self.parts.routes.append(Route(str(color), str(region), guard, tuple(positions), where))

    # Code.

    def procedure(self, children: Children) -> None:
        """``proc name(a, b)`` ... ``end``; the comment under the head is the documentation."""
        name, *parameters, newline, body = present(children)
        self.parts.procedures.append(
            Procedure(
                str(name),
                tuple(map(str, parameters)),
                body,
                _documentation(str(newline)),
                self.where(name),
            )
        )

    def main(self, children: Children) -> None:
        """``main all`` ... ``end``."""
        name, body = children
        if str(name) in self.parts.mains:
            raise self.fail(f"region '{name}' has two mains", name)
        self.parts.mains[str(name)] = body
        self.parts.main_places[str(name)] = self.where(name)

    def block(self, children: Children) -> tuple[Statement, ...]:
        """Statements."""
        return tuple(children)

    def line(self, children: Children) -> Op:
        """An instruction of the main thread."""
        return children[0]

    def asynchronous(self, children: Children) -> Op:
        """``async 1 -> s2: instruction``."""
        token, unit, semaphore, op = children
        signal = None if semaphore is None else self.semaphore(semaphore)
        mark = Asynchronous(unit, signal)
        return replace(op, asynchronous=mark, where=self.where(token))

    def loop(self, children: Children) -> Loop:
        """``loop i: n`` ... ``end``."""
        token, register, count, body = children
        made = Loop(str(register), count, body, self.where(token))
        return self.nested(made, body, token)

    def conditional(self, children: Children) -> If:
        """``if a < b`` ... ``else`` ... ``end``; without a comparison, whether it is not 0."""
        token, condition, then, otherwise = children
        left, relation, right = condition, "!=", ex.Int(0)
        if isinstance(condition, ex.Binary) and ex.BINARY.get(condition.op, (0, 0))[0] == 1:
            left, relation, right = condition.left, condition.op, condition.right
        made = If(left, relation, right, then, otherwise or (), self.where(token))
        return self.nested(made, (*then, *made.otherwise), token)

    def call(self, children: Children) -> Call:
        """``call name(a = 1) as c1 @"node"``."""
        token, procedure, *arguments, name, nodes = children
        given = tuple(present(arguments))
        called = "" if name is None else str(name)
        return Call(str(procedure), given, nodes or (), called, self.where(token))

    def argument(self, children: Children) -> tuple[str, ex.Expr]:
        """``a = 1``."""
        return str(children[0]), children[1]

    def scalar_op(self, children: Children) -> Op:
        """``i.add r, a, b``."""
        token, register, *values = children
        return self._op(token, tuple(map(Scalar, values)), register=str(register))

    def load_op(self, children: Children) -> Op:
        """``i.load r, [a]``."""
        token, register, address = children
        return self._op(token, (address,), register=str(register))

    def store_op(self, children: Children) -> Op:
        """``i.store [a], r``."""
        token, address, value = children
        return self._op(token, (address, Scalar(value)))

    def vector_op(self, children: Children) -> Op:
        """``add.f32 [a], <b>, [c] for i:n``."""
        token, *operands, dims = children
        return self._op(token, tuple(operands), dims=dims or ())

    def send_op(self, children: Children) -> Op:
        """``send.f32 (x, y) s1: [a], [b] for i:n``."""
        token, column, row, semaphore, target, source, dims = children
        return self._op(
            token,
            (target, source),
            dims=dims or (),
            target=(column, row),
            semaphore=self.semaphore(semaphore),
        )

    def control_op(self, children: Children) -> Op:
        """``control advance <c>``."""
        token, control, color = children
        return self._op(token, (), color=str(color), control=Control(str(control)))

    def semaphore_op(self, children: Children) -> Op:
        """``wait s1, n``."""
        token, semaphore, count = children
        return self._op(token, (Scalar(count),), semaphore=self.semaphore(semaphore))

    def _op(self, token: Any, operands: tuple[Operand, ...], **more: Any) -> Op:
        name, dtype = str(token), None
        if name not in BY_NAME:
            name, _, suffix = name.rpartition(".")
            dtype = DType(suffix)
        return Op(name, dtype, operands, where=self.where(token), **more)

    # The edge's schedule.

    def rounds(self, children: Children) -> TransferLoop:
        """``loop layer: 4`` with entries of the schedule, ``end``."""
        token, register, count, *body = children
        return TransferLoop(str(register), count, tuple(body), self.where(token))

    def transfer(self, children: Children) -> Transfer:
        """``feed c in all side N from a[i] for i:n``."""
        (
            token,
            color,
            region,
            side,
            guard,
            tensor,
            offset,
            repeat,
            lookup,
            dims,
            then,
            final,
            consumer,
            nodes,
        ) = children
        return Transfer(
            Direction(str(token)),
            str(color),
            str(region),
            Side(str(side)),
            guard,
            tensor,
            offset,
            dims or (),
            repeat,
            lookup,
            Control.NONE if then is None else Control(str(then)),
            Control.NONE if final is None else Control(str(final)),
            nodes or (),
            consumer or "",
            self.where(token),
        )

    def consumer(self, children: Children) -> str:
        """``call c1`` in an entry of the schedule."""
        return str(children[1])

    def repeat(self, children: Children) -> tuple[str, int]:
        """``repeat r:2``."""
        return str(children[0]), children[1]

    def lookup(self, children: Children) -> Lookup:
        """``lookup row:128 by idx side W port 0``."""
        row, count, color, side, port = children
        return Lookup(str(row), count, str(color), Side(str(side)), port)


def _documentation(newline: str) -> tuple[str, ...]:
    """The comment lines directly under a procedure's head."""
    lines: list[str] = []
    for text in newline.split("\n")[1:]:
        stripped = text.strip()
        if not stripped.startswith(";"):
            break
        lines.append(stripped[1:].removeprefix(" "))
    return tuple(lines)
