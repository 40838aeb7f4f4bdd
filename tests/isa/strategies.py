"""Random programs, as the printer may meet them: well-formed text, not well-formed machines."""

import math
from dataclasses import replace

from hypothesis import strategies as st

from wsc.isa import expr as ex
from wsc.isa.fabric import DEFAULT, find_fabric
from wsc.isa.program import (
    Asynchronous,
    Call,
    Cut,
    Dim,
    Direction,
    EdgeTensor,
    Extent,
    If,
    Kind,
    Lookup,
    Loop,
    Mem,
    Op,
    Position,
    Procedure,
    Program,
    Queue,
    Real,
    Region,
    Route,
    Scalar,
    Tensor,
    Transfer,
    TransferLoop,
    WeightFile,
)
from wsc.isa.table import TABLE, Category
from wsc.isa.turns import expand
from wsc.isa.types import Control, DType, Side

CONSTANTS = ("B", "count")
COLORS = ("east", "for", "c2")  # a keyword is a name where the grammar expects one
TENSORS = ("buf", "min", "size")
REGIONS = ("all", "at")
PARAMETERS = ("base", "end")
REGISTERS = ("base", "end", "r", "loop")  # those of every scope here
DIMS = ("i", "j", "in")
STATIC = (*ex.RESERVED, *CONSTANTS, *TENSORS)

text = st.text(st.characters(codec="utf-8", exclude_characters="\ud800"), max_size=12)
some_text = text.filter(bool)
nodes = st.lists(text, max_size=3).map(tuple)
file_names = text.map(lambda name: name.replace("\0", "0"))
numbers = st.integers(0, 1000)
dtypes = st.sampled_from(DType)
sides = st.sampled_from(Side)
controls = st.sampled_from([Control.ADVANCE, Control.RESET])


def expressions(names):
    """Any tree, folded or not."""
    leaves = st.one_of(st.integers(-50, 50).map(ex.Int), st.sampled_from(names).map(ex.Name))
    operators = st.sampled_from([*ex.BINARY, *ex.FUNCTIONS])
    return st.recursive(
        leaves, lambda inner: st.builds(ex.Binary, operators, inner, inner), max_leaves=6
    )


static = expressions(STATIC)
plain = expressions((*STATIC, *REGISTERS))
real = st.one_of(st.floats(allow_nan=False), st.just(math.nan)).map(Real)


def dims(of):
    return st.lists(st.sampled_from(DIMS), unique=True, max_size=3).flatmap(
        lambda names: st.tuples(*(st.builds(Dim, st.just(name), of) for name in names))
    )


@st.composite
def operand(draw, space=()):
    names = tuple(dim.name for dim in space)
    address = expressions((*STATIC, *REGISTERS, *names))
    held = (
        st.one_of(st.none(), st.lists(st.sampled_from(names or ("",)), unique=True).map(tuple))
        if names
        else st.sampled_from([None, ()])
    )
    return draw(
        st.one_of(
            address.map(Mem),
            st.builds(Queue, st.sampled_from(COLORS), held),
            plain.map(Scalar),
            real,
        )
    )


@st.composite
def operation(draw):
    row = draw(st.sampled_from(TABLE))
    mark = draw(
        st.one_of(
            st.none(), st.builds(Asynchronous, st.integers(0, 9), st.one_of(st.none(), numbers))
        )
    )
    scalar, memory = plain.map(Scalar), plain.map(Mem)
    register = st.sampled_from(REGISTERS)
    count = len(row.operands)
    match row.category:
        case Category.SCALAR:
            values = tuple(draw(scalar) for _ in range(count - 1))
            return Op(row.name, None, values, register=draw(register), asynchronous=mark)
        case Category.LOAD:
            return Op(row.name, None, (draw(memory),), register=draw(register), asynchronous=mark)
        case Category.STORE:
            return Op(row.name, None, (draw(memory), draw(scalar)), asynchronous=mark)
        case Category.CONTROL:
            color, control = draw(st.sampled_from(COLORS)), draw(controls)
            return Op(row.name, color=color, control=control, asynchronous=mark)
        case Category.SEMAPHORE:
            return Op(row.name, None, (draw(scalar),), semaphore=draw(numbers), asynchronous=mark)
    dtype, space = draw(st.sampled_from(row.types)), draw(dims(plain))
    if row.category is Category.VECTOR:
        values = tuple(draw(operand(space)) for _ in range(count))
        return Op(row.name, dtype, values, space, asynchronous=mark)
    inside = expressions((*STATIC, *(dim.name for dim in space))).map(Mem)
    return Op(
        row.name,
        dtype,
        (draw(inside), draw(inside)),
        space,
        asynchronous=mark,
        target=(draw(plain), draw(plain)),
        semaphore=draw(numbers),
    )


def arguments():
    return st.tuples(*(st.tuples(st.just(name), plain) for name in PARAMETERS))


def blocks(depth=2):
    leaves = st.one_of(operation(), st.builds(Call, st.just("p0"), arguments(), nodes))
    if not depth:
        return st.lists(leaves, max_size=3).map(tuple)
    inner = blocks(depth - 1)
    relation = st.sampled_from([op for op, (level, _) in ex.BINARY.items() if level == 1])
    statements = st.one_of(
        leaves,
        st.builds(Loop, st.sampled_from(REGISTERS), plain, inner),
        st.builds(If, plain, relation, plain, inner, inner),
    )
    return st.lists(statements, max_size=3).map(tuple)


# Every register is assigned in every scope, so that any expression may use it.
SET = tuple(Op("i.set", None, (Scalar(ex.Int(0)),), register=name) for name in REGISTERS)
bodies = blocks().map(lambda body: SET + body)
documentation = st.lists(
    st.text(st.characters(codec="ascii", min_codepoint=32), max_size=20).map(str.rstrip),
    max_size=3,
).map(tuple)
extents = st.one_of(
    st.builds(Extent, numbers, length=numbers, offset=st.integers(-9, 9)),
    st.builds(Extent, numbers, st.sampled_from("xy"), numbers, numbers, st.integers(-9, 9)),
)
shapes = st.lists(numbers, max_size=3).map(tuple)
edge_tensor = st.one_of(
    st.builds(
        EdgeTensor,
        some_text,
        st.sampled_from([Kind.INPUT, Kind.OUTPUT, Kind.CODE]),
        dtypes,
        shapes,
        text,
        cut=st.one_of(st.none(), st.builds(Cut, numbers, some_text)),
        high=st.one_of(st.just(""), some_text),
    ),
    st.builds(
        EdgeTensor,
        some_text,
        st.just(Kind.WEIGHT),
        dtypes,
        shapes,
        text,
        file_names,
        text,
        st.one_of(st.none(), numbers),
    ),
    st.builds(EdgeTensor, some_text, st.just(Kind.KEPT), dtypes, shapes),
)
files = st.lists(st.builds(WeightFile, file_names, text), max_size=2).map(tuple)
setting = st.tuples(
    st.sampled_from([*find_fabric(DEFAULT).numbers()]),
    st.one_of(numbers, st.floats(0, allow_infinity=False), shapes),
)
settings = st.lists(setting, unique_by=lambda pair: pair[0], max_size=3).map(tuple)
positions = st.lists(
    st.builds(Position, sides, st.lists(sides, min_size=1, max_size=3).map(tuple)),
    min_size=1,
    max_size=3,
).map(tuple)
routes = st.builds(
    Route,
    st.sampled_from(COLORS),
    st.sampled_from(REGIONS),
    st.one_of(st.none(), static),
    positions,
)


@st.composite
def transfer(draw, tensors):
    repeat = draw(st.one_of(st.none(), st.tuples(st.just("n"), numbers)))
    lookup = draw(
        st.one_of(
            st.none(),
            st.builds(Lookup, st.just("row"), numbers, st.sampled_from(COLORS), sides, numbers),
        )
    )
    outer = (*STATIC, "n") if repeat else STATIC
    space = draw(dims(expressions(outer)))
    inner = (*outer, *(("row",) if lookup else ()), *(dim.name for dim in space))
    return Transfer(
        draw(st.sampled_from(Direction)),
        draw(st.sampled_from(COLORS)),
        draw(st.sampled_from(REGIONS)),
        draw(sides),
        draw(st.one_of(st.none(), static)),
        draw(st.sampled_from(tensors)),
        draw(expressions(inner)),
        space,
        repeat,
        lookup,
        draw(st.sampled_from(Control)),
        draw(st.sampled_from(Control)),
        draw(nodes),
    )


@st.composite
def families(draw):
    """Weights side by side, one for each turn of a loop, and what the loop calls them."""
    count, first, step = draw(st.integers(2, 4)), draw(numbers), draw(st.integers(1, 9))
    name = draw(st.sampled_from(("f.{turn}", f"f{{{step}*turn+{first + 1}}}", "{odd[turn]}")))
    tables = {"odd": tuple(f"odd one {k}" for k in range(count))}
    one = draw(edge_tensor.filter(lambda tensor: tensor.kind is Kind.WEIGHT))
    places = [draw(numbers) * 4 for _ in range(2)] if draw(st.booleans()) else None
    weights = [
        replace(
            one,
            name=expand(name, "turn", turn, tables),
            key=draw(st.sampled_from(("", f"key{turn}"))) if draw(st.booleans()) else f"k{turn}",
            byte_offset=None if places is None else places[0] + turn * places[1],
        )
        for turn in range(count)
    ]
    return name, weights, tables


@st.composite
def rounds(draw, family, tensors):
    """A loop of the schedule over a family of weights."""
    name, weights, _ = family
    entry = transfer([name, *tensors])
    return TransferLoop("turn", len(weights), tuple(draw(st.lists(entry, max_size=1))))


@st.composite
def programs(draw):
    edge = draw(st.lists(edge_tensor, unique_by=lambda tensor: tensor.name, max_size=3))
    transfers = st.lists(transfer([t.name for t in edge]), max_size=3) if edge else st.just([])
    family = draw(families())
    loops = draw(st.lists(rounds(family, [t.name for t in edge]), max_size=1))
    return Program(
        fabric=draw(file_names),
        width=draw(numbers),
        height=draw(numbers),
        precision=draw(dtypes),
        model=draw(text),
        constants=tuple((name, draw(st.integers(-9, 999))) for name in CONSTANTS),
        edge_tensors=(*edge, *family[1]),
        colors=tuple((name, draw(numbers)) for name in COLORS),
        tensors=tuple(
            Tensor(
                name,
                draw(dtypes),
                tuple(draw(st.lists(extents, max_size=3))),
                draw(numbers),
                draw(numbers),
                draw(nodes),
            )
            for name in TENSORS
        ),
        regions=tuple(
            Region(name, *(draw(numbers) for _ in range(4)), main=draw(bodies)) for name in REGIONS
        ),
        routes=tuple(draw(st.lists(routes, max_size=4))),
        procedures=(Procedure("p0", PARAMETERS, draw(bodies), draw(documentation)),),
        transfers=(*draw(transfers), *loops),
        names=tuple(family[2].items()),
        settings=draw(settings),
        numbers=draw(text),
        files=draw(files),
    )
