"""How a value lies on the mesh: which index range each tile holds, and at which strides.

A value's dimensions each have an ``Extent`` (see ``wsc.isa.program``): split in blocks along
x or along y, or whole in every tile. A ``View`` is a value's extents over a buffer with
byte strides, so that a transpose or a dimension of size one costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from wsc.isa.expr import Expr, ExprLike, Int, Name, X, Y, expr, maximum, minimum
from wsc.isa.program import Extent
from wsc.isa.types import DType


@dataclass(frozen=True, slots=True)
class Mesh:
    """The rectangle of tiles that a program is compiled for.

    spread: (axis, size, tiles) of dimensions whose blocks along an axis lie at equal distances over
    so many tiles.
    """

    width: int
    height: int
    spread: frozenset[tuple[str, int, int]] = frozenset()

    def count(self, axis: str) -> int:
        """Tiles along ``axis`` ("x" or "y")."""
        return self.width if axis == "x" else self.height

    def over(self, size: int, axis: str) -> int:
        """Tiles over which the blocks of a dimension lie at equal distances; 0: side by side."""
        return next((n for on, of, n in self.spread if (on, of) == (axis, size)), 0)


def coordinate(axis: str) -> Name:
    """The coordinate expression of an axis."""
    return X if axis == "x" else Y


def whole(size: int) -> Extent:
    """A dimension that every tile holds completely."""
    return Extent(size)


def block(size: int, axis: str, mesh: Mesh) -> Extent:
    """Blocks of ``ceil(size / tiles)`` along ``axis``; the last tiles may hold fewer, or none."""
    return Extent(size, axis, -(-size // mesh.count(axis)), over=mesh.over(size, axis))


def room(extent: Extent, at: ExprLike | None = None) -> Expr:
    """How many indices a tile has room for: none where its blocks lie apart and it has no block."""
    if extent.over:
        return beyond(extent, at) - start(extent, at)
    return Int(extent.length)


def is_plain(extent: Extent) -> bool:
    """No halo and no padding: every index has one holder along the axis (or all have it all)."""
    if extent.axis is None:
        return extent.offset == 0 and extent.length == extent.size
    return extent.offset == 0 and extent.length == extent.step


def holds_all(extent: Extent, mesh: Mesh) -> bool:
    """Every index has a holder. Blocks for windows may end before the last index, if no window
    reads that far."""
    return extent.axis is None or extent.step * mesh.count(extent.axis) >= extent.size


def start(extent: Extent, at: ExprLike | None = None) -> Expr:
    """First index that a tile holds (may lie outside [0, size) with a halo)."""
    if extent.axis is None:
        return Int(extent.offset)
    position = coordinate(extent.axis) if at is None else expr(at)
    if extent.over:
        blocks = extent.blocks
        return (position * blocks + (extent.over - 1)) // extent.over * extent.step
    return position * extent.step + extent.offset


def beyond(extent: Extent, at: ExprLike | None = None) -> Expr:
    """The index behind the last that a tile has room for; in a tile without a block, its first."""
    if extent.over and extent.axis:
        position = coordinate(extent.axis) if at is None else expr(at)
        return start(extent, position + 1)
    return start(extent, at) + extent.length


def valid(extent: Extent, mesh: Mesh, at: ExprLike | None = None) -> Expr:
    """Number of indices within [0, size) that a tile holds; a plain extent only.

    An expression over the coordinate even where the blocks divide the size: so the text
    of a program keeps its form from mesh to mesh.
    """
    if extent.axis is None:
        return Int(extent.size)
    if mesh.count(extent.axis) == 1:
        return Int(min(extent.size, extent.step))
    first = start(extent, at)
    if extent.over:
        return maximum(0, minimum(beyond(extent, at), extent.size) - first)
    return maximum(0, minimum(extent.step, extent.size - first))


@dataclass(frozen=True, slots=True)
class Buffer:
    """A range of SRAM, at one address in all tiles.

    bytes: size in each tile. nodes: the ONNX nodes that it is for.
    """

    name: str
    dtype: DType
    bytes: int
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A value in a buffer: one extent and one byte stride for each logical dimension."""

    buffer: str
    dtype: DType
    extents: tuple[Extent, ...]
    strides: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The logical shape."""
        return tuple(extent.size for extent in self.extents)

    @property
    def local_size(self) -> int:
        """Elements that each tile has room for."""
        return local_size(self.extents)

    def on(self, axis: str) -> int | None:
        """The dimension that is split along ``axis``, or None when it is replicated."""
        for number, extent in enumerate(self.extents):
            if extent.axis == axis:
                return number
        return None

    def permuted(self, perm: tuple[int, ...]) -> View:
        """The transposed view of the same buffer."""
        return replace(
            self,
            extents=tuple(self.extents[i] for i in perm),
            strides=tuple(self.strides[i] for i in perm),
        )


def local_size(extents: tuple[Extent, ...]) -> int:
    """Elements that a tile needs room for."""
    total = 1
    for extent in extents:
        total *= extent.length
    return total


def dense_strides(
    extents: tuple[Extent, ...], dtype: DType, order: tuple[int, ...]
) -> tuple[int, ...]:
    """Byte strides when the dimensions are stored in ``order``, outermost first."""
    strides = [0] * len(extents)
    step = dtype.bytes
    for dim in reversed(order):
        strides[dim] = step
        step *= extents[dim].length
    return tuple(strides)


def storage_order(extents: tuple[Extent, ...]) -> tuple[int, ...]:
    """The usual order: the x-split dimension outermost, the y-split next, then the whole ones.

    Ragged dimensions so lie outside, and everything within them is contiguous.
    """
    rank = {"x": 0, "y": 1, None: 2}
    return tuple(sorted(range(len(extents)), key=lambda i: rank[extents[i].axis]))


def default_extents(shape: tuple[int, ...], mesh: Mesh) -> tuple[Extent, ...]:
    """The layout of a value that nothing else asks for one: features on x, tokens on y.

    The last dimension larger than one goes along x. Of the others the largest goes along y.
    For four or more dimensions (images: N, C, H, W), channels go along x and the
    largest spatial dimension along y.
    """
    big = [i for i, size in enumerate(shape) if size > 1]
    extents = [whole(size) for size in shape]
    if not big:
        return tuple(extents)
    on_x = 1 if len(shape) >= 4 and shape[1] > 1 else big[-1]
    others = [i for i in big if i != on_x]
    extents[on_x] = block(shape[on_x], "x", mesh)
    if others:
        on_y = max(others, key=lambda i: (shape[i], -i))
        extents[on_y] = block(shape[on_y], "y", mesh)
    return tuple(extents)


def dense_view(extents: tuple[Extent, ...], dtype: DType, buffer: str = "") -> View:
    """A value in this layout, dense in a buffer: in one without a name before it is placed."""
    return View(buffer, dtype, extents, dense_strides(extents, dtype, storage_order(extents)))


def default_view(shape: tuple[int, ...], dtype: DType, mesh: Mesh) -> View:
    """Such a value in a buffer without a name: where it is taken to be before it is placed."""
    return dense_view(default_extents(shape, mesh), dtype)
