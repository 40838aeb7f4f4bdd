"""Layout choices of small graphs, as the text of the placed program."""

from __future__ import annotations

import pytest

from tests.conftest import Golden
from wsc.errors import CompileError
from wsc.ir.graph import Type
from wsc.ir.layout import View
from wsc.ir.task_text import parse_placed, print_placed
from wsc.ir.tasks import ContractTask, Load, MapTask, MoveTask, Placed, Store, views
from wsc.ir.text import parse_graph
from wsc.isa.fabric import find_fabric
from wsc.isa.operands import show_extent
from wsc.isa.program import Kind
from wsc.isa.types import DType
from wsc.passes.place import Place

GRAPHS = {
    # Weights stream; the bias lies where the product does.
    "dense": """\
graph "dense"
input %x : f32[1,6,16] from "float32"
const %w : f32[16,24]
const %b : f32[24]
%p = contract(%x, %w) [n, m, k] [k, o] -> [n, m, o] where n=1 m=6 k=16 o=24 : f32[1,6,24]
%y = map(%p, %b) { add.f32 $0 $1; max.f32 #0 0.0 } : f32[1,6,24]
output "y" = %y as "float32"
""",
    # The sum runs over the split dimension: partial results meet over the mesh.
    "softmax": """\
graph "softmax"
input %x : f32[5,12] from "float32"
%e = map(%x) { exp.f32 $0 } : f32[5,12]
%s = reduce.sum(%e) [a, b] -> [a, _] where a=5 b=12 : f32[5,1]
%y = map(%e, %s) { div.f32 $0 $1 } : f32[5,12]
output "y" = %y as "float32"
""",
    # A halo around each block of the image, zeros beyond its edge.
    "convolution": """\
graph "convolution"
input %x : f32[1,2,8,9] from "float32"
const %w : f32[4,2,3,3]
%y = contract(%x, %w) [n, c, i+k-1, j+l-1] [o, c, k, l] -> [n, o, i, j] \
where n=1 c=2 i=8 j=9 k=3 l=3 o=4 : f32[1,4,8,9]
output "y" = %y as "float32"
""",
    # Neither a transpose nor a dimension of one moves anything; the reshape does.
    "movement": """\
graph "movement"
input %x : f32[6,8] from "float32"
%a = map(%x) { neg.f32 $0 } : f32[6,8]
%b = move(%a) transpose[1,0] reshape[1,8,6] : f32[1,8,6]
%c = map(%b) { exp.f32 $0 } : f32[1,8,6]
%d = move(%c) reshape[16,3] : f32[16,3]
%y = map(%d) { neg.f32 $0 } : f32[16,3]
output "y" = %y as "float32"
""",
}


def place(text: str, fabric: str = "4x3") -> Placed:
    return Place(find_fabric(fabric)).apply(parse_graph(text))


def show(item: View) -> str:
    return f"{item.buffer}[{', '.join(map(show_extent, item.extents))}]"


def layouts(placed: Placed) -> str:
    """A line for each task: what it reads, what it writes, in the layouts of the assembly."""
    lines: list[str] = []
    for task in placed.tasks:
        written = getattr(task, "out", None)
        read = [show(item) for item in views(task) if item is not written]
        read += [task.source] if isinstance(task, Load) else []
        line = f"{type(task).__name__}: {', '.join(read)}"
        if isinstance(task, ContractTask):
            line += f" x {task.weight or 'resident'} ({task.x_label or '-'}, {task.y_label or '-'})"
            line += " reduced along x" if task.reduce else ""
        line += f" -> {task.target}" if isinstance(task, Store) else ""
        lines.append(line + (f" -> {show(written)}" if isinstance(written, View) else ""))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", GRAPHS)
def test_layouts(name: str, golden: Golden) -> None:
    placed = place(GRAPHS[name])
    assert parse_placed(print_placed(placed)) == placed
    golden(f"passes/place/{name}.txt", layouts(placed))


def test_a_transpose_moves_nothing() -> None:
    tasks = place(GRAPHS["movement"]).tasks
    assert sum(isinstance(task, MoveTask) for task in tasks) == 1


@pytest.mark.parametrize("fabric", ["1x1", "1x5", "6x1", "4x3", "32x32"])
@pytest.mark.parametrize("name", GRAPHS)
def test_maps_and_results_lie_alike(name: str, fabric: str) -> None:
    """A map's inputs have its own layout in every dimension in which they vary."""
    for task in place(GRAPHS[name], fabric).tasks:
        if not isinstance(task, MapTask):
            continue
        for item in task.inputs:
            shift = len(task.out.extents) - len(item.extents)
            for number, extent in enumerate(item.extents):
                assert extent.size == 1 or extent == task.out.extents[number + shift]


def test_one_column_has_nothing_to_reduce_over() -> None:
    text = GRAPHS["dense"].replace("[1,6,", "[1,1,").replace("m=6", "m=1")
    (task,) = [t for t in place(text, "1x5").tasks if isinstance(t, ContractTask)]
    assert not task.reduce


def test_what_fits_no_tile_is_refused_with_bytes_and_node() -> None:
    text = GRAPHS["softmax"].replace("5,12", "500,1200").replace("a=5 b=12", "a=500 b=1200")
    text = text.replace("5,1]", "500,1]")
    with pytest.raises(CompileError, match=r"needs \d+ bytes in each tile .* has 49152"):
        place(text)


def test_an_output_may_have_the_name_of_an_input_and_of_no_other_output() -> None:
    text = GRAPHS["softmax"].replace('output "y"', 'output "x"')
    edge = place(text).edge_tensors
    assert [(t.name, t.kind) for t in edge] == [("x", Kind.INPUT), ("x", Kind.OUTPUT)]
    (line,) = [line for line in text.split("\n") if line.startswith("output")]
    with pytest.raises(CompileError, match="two outputs have the name 'x'"):
        place(text.replace(line, f"{line}\n{line}"))


def test_the_type_of_a_constant_is_kept() -> None:
    (weight,) = [t for t in place(GRAPHS["convolution"]).edge_tensors if t.key]
    assert Type(weight.dtype, weight.shape) == Type(DType.F32, (4, 2, 3, 3))
