"""``wsc run --against``, the first node that differs from ONNX Runtime, and ``--dump-sram``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from wsc.cli.common import LARGEST, Refusal, console, working
from wsc.cli.execute import execute
from wsc.isa.statements import statements

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.comparison.against import Intermediates, Probe, Probes
    from wsc.comparison.compare import Comparison
    from wsc.runtime.api import RunResult
    from wsc.runtime.runs import Capture, Dump

MOST_KEPT = 1 << 28  # bytes of values that one run keeps


@dataclass(frozen=True, slots=True)
class Followed:
    """The nodes that were held against ONNX Runtime, up to the first that differs.

    compared: in the order of the run. nodes: that the program has any statement for; those that
    are not among the compared have no tensor of their own, as they were fused with the next one.
    first: the node that differs, with its place in the text, or None.
    """

    compared: tuple[tuple[Probe, Comparison], ...]
    nodes: int
    first: tuple[Probe, Comparison] | None

    def as_dict(self) -> dict[str, Any]:
        """What was found, ready for JSON."""
        first = None
        if self.first is not None:
            probe, item = self.first
            first = {"node": probe.node, "line": line_of(probe), **item.as_dict()}
        return {
            "compared": [probe.node for probe, _ in self.compared],
            "nodes": self.nodes,
            "first": first,
        }


class Follower:
    """Holds nodes against ONNX Runtime: some with the run itself, the rest with further ones.

    Raises:
        Refusal: which statement comes when is for data to decide.
    """

    def __init__(self, program: Program, model: Path) -> None:
        from wsc.comparison.against import Intermediates, probes_of

        with working("reading the model"):
            self.program = program
            self.probes: Probes = probes_of(program.assembly, _stays(program), model)
            self.model: Intermediates = Intermediates(model)
        self._groups = list(self._grouped())

    def captures(self, group: int = 0) -> tuple[Capture, ...]:
        """What a run has to keep for a group of nodes."""
        from wsc.runtime.runs import Capture

        return tuple(
            Capture(probe.stay.number, probe.tensor.address, probe.tensor.bytes)
            for probe in (self._groups[group] if self._groups else ())
        )

    def follow(
        self, result: RunResult, arrays: Mapping[str, np.ndarray], options: dict[str, Any]
    ) -> Followed:
        """Go through all groups; result: of the run for the first of them. options: for others."""
        compared: list[tuple[Probe, Comparison]] = []
        for number, group in enumerate(self._groups):
            if number:
                wanted = options | {"captures": self.captures(number)}
                result, stopped = execute(self.program, dict(arrays), wanted)
                if stopped:
                    raise Refusal(stopped)
            for probe, item in self._compared(group, result, arrays):
                compared.append((probe, item))
                if not item.within:
                    return Followed(tuple(compared), self.probes.nodes, (probe, item))
        return Followed(tuple(compared), self.probes.nodes, None)

    def _compared(
        self, group: Sequence[Probe], result: RunResult, arrays: Mapping[str, np.ndarray]
    ) -> list[tuple[Probe, Comparison]]:
        from wsc.comparison.against import held_value

        assembly = self.program.assembly
        with working("asking ONNX Runtime"):
            wanted = self.model.run(arrays, [probe.value for probe in group])
        found: list[tuple[Probe, Comparison]] = []
        for probe, words in zip(group, result.captured, strict=True):
            value = wanted[probe.value]
            item = held_value(probe, words, value, assembly)
            if item is not None:
                found.append((probe, item))
        return found

    def _grouped(self) -> Sequence[list[Probe]]:
        """The nodes in groups whose values may be kept at once, in the order of the run."""
        tiles = self.program.assembly.width * self.program.assembly.height
        groups: list[list[Probe]] = []
        room = 0
        taken: set[int] = set()
        for probe in self.probes.found:
            size = tiles * probe.tensor.bytes
            if size > room or probe.stay.number in taken:
                groups.append([])
                room, taken = MOST_KEPT, set()
            groups[-1].append(probe)
            taken.add(probe.stay.number)
            room -= size
        return groups


def _stays(program: Program) -> list[Any]:
    """The stays of tiles at the statements of main, in order."""
    from wsc.comparison.against import Stay
    from wsc.runtime.stays import turns_of

    assembly, found, first = program.assembly, list[Any](), 0
    for region in assembly.regions:
        own = list(statements(region.main))
        stays = turns_of(assembly, region, first)
        if stays is None:
            raise Refusal(
                f"--against: in main of region '{region.name}' a guard or a register decides which "
                "statements a tile runs, so nodes cannot be followed; --compare holds the outputs "
                "against ONNX Runtime"
            )
        found += [
            Stay(len(found) + place, region, own[number - first], turns[::-1], dict(assembly.names))
            for place, (number, turns) in enumerate(stays)
        ]
        first += len(own)
    return found


def line_of(probe: Probe) -> int:
    """The line of the statement that gives a node's value."""
    return probe.stay.statement.where.line


def show_followed(followed: Followed) -> None:
    """The verdict, for people."""
    screen = console()
    screen.print()
    looked = f"{len(followed.compared)} of {followed.nodes} nodes have a tensor of their own"
    if not followed.compared:
        screen.print(
            f"no node was compared: none of {followed.nodes} has a tensor of its own; --compare "
            "holds the outputs against ONNX Runtime"
        )
        return
    if followed.first is None:
        screen.print(f"no node differs from ONNX Runtime: {looked}, and all of them agree")
        return
    probe, item = followed.first
    before = [other.node for other, _ in followed.compared[:-1]]
    place = ",".join(map(str, item.index))
    screen.print(
        f"the first node that differs from ONNX Runtime is {probe.node}, line {line_of(probe)}: "
        f"{item.relative:.3e} of its largest magnitude, at [{place}] {item.ours!r} in place of "
        f"{item.reference!r}"
    )
    after = f"; the last that agrees is {before[-1]}" if before else ""
    screen.print(f"until there {len(before)} nodes agree{after}; what was fused is not looked at")


# --- dumps ------------------------------------------------------------------------


def dumps_of(program: Program, texts: Sequence[str]) -> tuple[Dump, ...]:
    """What ``--dump-sram X,Y@CYCLE`` asks for.

    Raises:
        Refusal: a text is something else, or names no tile.
    """
    from wsc.runtime.runs import Dump

    found: list[Dump] = []
    for text in texts:
        match = re.fullmatch(r"(\d+),(\d+)@(\d+)", text.replace(" ", ""))
        if not match:
            raise Refusal(f"--dump-sram {text}: wants X,Y@CYCLE, as in 4,4@1000")
        x, y, cycle = map(int, match.groups())
        width, height = program.assembly.width, program.assembly.height
        if x >= width or y >= height:
            raise Refusal(f"--dump-sram {text}: x is 0 to {width - 1}, y 0 to {height - 1}")
        found.append(Dump(x, y, min(cycle, LARGEST)))
    return tuple(found)


def dump_file(dump: Dump, folder: Path) -> Path:
    """Where a dump goes."""
    return folder / f"sram-{dump.x}-{dump.y}-{dump.cycle}.npz"


def told_of(dump: Dump, path: Path, cycles: int) -> str:
    """The file of a tile's SRAM, and where a run of so many cycles did not come to its cycle."""
    if dump.cycle < cycles:
        return str(path)
    return f"{path}: at the end of the run, which has no cycle {dump.cycle:,}"


def write_dump(program: Program, dump: Dump, memory: np.ndarray, path: Path) -> None:
    """All bytes, and each tensor of the region, as the tile holds it, under its name."""
    import numpy as np

    from wsc.comparison.against import local_shape
    from wsc.store.files import appearing

    arrays: dict[str, np.ndarray] = {"bytes": memory}
    for tensor in program.assembly.tensors:
        shape = local_shape(tensor)
        if shape is not None and tensor.name != "bytes":
            words = memory[tensor.address : tensor.address + tensor.bytes]
            count = int(np.prod(shape, dtype=np.int64))
            arrays[tensor.name] = words.view(tensor.dtype.numpy)[:count].reshape(shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as (partial,), ZipFile(partial, "w") as archive:
        for name, array in arrays.items():  # tensors may have any name, also "file"
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
