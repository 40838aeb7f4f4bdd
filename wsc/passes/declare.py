"""What tensors say of the bytes that the code uses: all turns of a loop, and which are shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wsc.isa import expr as ex
from wsc.isa.program import Call, If, Loop, Op, Program, Region, Scalar, Statement, Tensor
from wsc.isa.statements import assigned, blocks, rewrite
from wsc.isa.values import VALUES, Class

POOL = "pool"  # what all tensors share that have bytes at different times


def declared(program: Program) -> Program:
    """The program with tensors as long as what is done under their names, and their sharing.

    Requires that main's registers hold numbers that go on evenly from turn to turn, as rolling
    makes them. Ensures that an address stays within the tensor that it names.
    """
    tensors = {tensor.name: tensor for tensor in program.tensors}
    reach: dict[str, tuple[int, int]] = {}
    for region in program.regions:
        _Main(region, tensors, reach).block(region.main, {})
    top = max((tensor.address + tensor.bytes for tensor in program.tensors), default=0)
    longer = tuple(
        _longer(tensor, *reach.get(tensor.name, (0, 0)), top) for tensor in program.tensors
    )
    # A loop that goes on backwards ends at the lowest address, where the tensor then begins.
    begins = {
        old.name: ex.Name(old.name) + (old.address - new.address)
        for old, new in zip(program.tensors, longer, strict=True)
        if new.address < old.address
    }
    if begins:
        program = program.with_(
            regions=tuple(replace(r, main=_renamed(r.main, begins)) for r in program.regions),
            procedures=tuple(replace(p, body=_renamed(p.body, begins)) for p in program.procedures),
        )
    return program.with_(tensors=_sharing(longer))


class _Main:
    """Follows main's registers to find how far from a tensor its turns go."""

    def __init__(
        self, region: Region, tensors: Mapping[str, Tensor], reach: dict[str, tuple[int, int]]
    ) -> None:
        self.registers = frozenset(assigned(region.main))
        self.tensors, self.reach = tensors, reach
        self.static = {name: tensor.address for name, tensor in tensors.items()}

    def block(self, body: tuple[Statement, ...], known: dict[str, int]) -> None:
        """Statements, with the values of the registers as far as they are the same in all tiles."""
        for statement in body:
            if isinstance(statement, Loop):
                count = self._value(statement.count, known)
                for turn in (0, (count or 1) - 1):
                    known[statement.register] = turn
                    self.block(statement.body, known)
            elif isinstance(statement, If):
                for block in blocks(statement):
                    self.block(block, known)
            elif isinstance(statement, Call):
                for _, node in statement.arguments:
                    self._address(node, known)
            elif statement.register is not None:
                self._set(statement, known)

    def _set(self, op: Op, known: dict[str, int]) -> None:
        assert op.register is not None
        values = [self._value(o.value, known) for o in op.operands if isinstance(o, Scalar)]
        numbers = [value for value in values if value is not None]
        known.pop(op.register, None)
        if len(numbers) == len(values) and (op.name, Class.INT) in VALUES:
            known[op.register] = int(VALUES[op.name, Class.INT](*numbers))

    def _value(self, node: ex.Expr, known: Mapping[str, int]) -> int | None:
        try:
            return int(ex.evaluate(node, {**self.static, **known}))
        except (KeyError, ArithmeticError):
            return None

    def _address(self, node: ex.Expr, known: Mapping[str, int]) -> None:
        split = ex.split(node, self.registers)
        name = ex.base(split.static, self.tensors)
        if name and split.registers:
            tensor = self.tensors[name]
            static = self._value(split.static, {})
            offset = 0 if static is None else static - tensor.address
            offset += sum(known.get(register, 0) for register in split.registers)
            # What goes on within a tensor stays there; else it goes on to others beside it.
            if not 0 <= offset < tensor.bytes:
                low, high = self.reach.get(name, (0, 0))
                self.reach[name] = min(low, offset), max(high, offset)


def _longer(tensor: Tensor, low: int, high: int, top: int) -> Tensor:
    begin = max(tensor.address + low, 0)
    end = max(min(tensor.address + tensor.bytes + high, top), tensor.address + tensor.bytes)
    return replace(tensor, address=begin, bytes=end - begin)


def _renamed(body: tuple[Statement, ...], begins: Mapping[str, ex.Expr]) -> tuple[Statement, ...]:
    return rewrite(body, lambda node, *_: ex.substitute(node, begins))


def _sharing(memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The tensors, with a word at those that share bytes, at other times, with others."""
    over: set[str] = set()
    reaching: Tensor | None = None  # of those that begin no later, the one that ends last
    for tensor in sorted(memory, key=lambda tensor: tensor.address):
        if reaching is not None and reaching.address + reaching.bytes > tensor.address:
            over |= {tensor.name, reaching.name}
        if reaching is None or tensor.address + tensor.bytes > reaching.address + reaching.bytes:
            reaching = tensor
    return tuple(replace(t, shares=POOL) if t.name in over else t for t in memory)
