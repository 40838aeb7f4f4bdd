"""What every kernel may ask of the program that it is emitted into."""

from __future__ import annotations

from dataclasses import dataclass

from wsc.ir.layout import Mesh
from wsc.isa.fabric import Fabric
from wsc.isa.program import EdgeTensor

SYNC = "sync"  # the word that the barrier works on


@dataclass(frozen=True, slots=True)
class Context:
    """The mesh, the fabric's limits, the edge tensors by name."""

    mesh: Mesh
    fabric: Fabric
    edge: dict[str, EdgeTensor]

    def edge_tensor(self, name: str) -> EdgeTensor:
        """The edge tensor of that name; KeyError if there is none."""
        return self.edge[name]


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of a dense row-major tensor."""
    strides = [1] * len(shape)
    for dim in range(len(shape) - 2, -1, -1):
        strides[dim] = strides[dim + 1] * shape[dim + 1]
    return tuple(strides)
