"""The public API: compile a model, look at the text, save it, run it.

program = wsc.compile("model.onnx", fabric="16x16", dims={"batch": 1})
print(program.text)
run = program.run({"x": array})
run.outputs["y"], run.cycles
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from operator import index
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from wsc.errors import CompileError, OtherMachine, shortened
from wsc.ir.forms import HOLDS, Noted, UnknownForm, Weighed, Wish, read_wish, without_form
from wsc.ir.graph import Constant, Member, Type
from wsc.isa.asked import asked
from wsc.isa.collection import without_collection
from wsc.isa.fabric import DEFAULT, Fabric, FabricError, description_files, find_fabric, stated_size
from wsc.isa.files import read_text
from wsc.isa.machine import described, is_preset, machine_of, strange
from wsc.isa.program import EdgeTensor, Kind, Number
from wsc.isa.program import Program as Assembly
from wsc.isa.shown import Shown
from wsc.isa.types import DType

if TYPE_CHECKING:
    from typing import Unpack

    import onnx_ir as ir
    from onnx import ModelProto

    from wsc.frontend.store import Store
    from wsc.passes.dump import Dump
    from wsc.passes.steps import Residence
    from wsc.pipeline import Compiled, Observer
    from wsc.runs import Run, RunOptions, ValuesOptions, ValuesRun
    from wsc.runtime.reference.session import Session
    from wsc.training.losses import Labels
    from wsc.views.estimate import Estimate
    from wsc.views.inspect import NodeView

# Rectangles tried, smallest first, when the caller names no fabric.
SIZES = ((4, 4), (8, 8), (12, 12), (16, 16), (24, 24), (32, 32), (48, 48), (64, 64))
SHOWN = 60  # characters of a name in the short form of a program
FEW = 4  # inputs and outputs there
LONGEST = 1 << 26  # bytes of an assembly text
WORK_PER_TILE = 100_000  # multiply-accumulates a tile should at most have

_SAVING = Lock()  # of programs that run before they are saved


@dataclass(frozen=True, slots=True, repr=False)
class ArrayType:
    """The type and the shape of an array that a run is given, or gives."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}"


@dataclass(slots=True, repr=False)
class Program(Shown):
    """A compiled, or loaded, program.

    assembly: the program as data. folder: where its weights are, None as long as
    they are only in the model. constants: the tensors that the weights name. files: those that
    it was made from; ``save`` replaces none of them. notes: sentences on what the
    user should know of it. checkpoint: the folder of weights that are not in ``folder``. noted:
    how nodes got their forms, of a program that was just compiled. labels: what those of a training
    step may be, of one that was just compiled.
    """

    assembly: Assembly
    fabric: Fabric
    constants: tuple[Constant, ...] = ()
    folder: Path | None = None
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    checkpoint: Path | None = None
    noted: tuple[Noted, ...] = ()
    labels: Labels | None = None
    _described: Fabric = field(init=False, repr=False)
    _temporary: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._described = self.fabric  # what the header says, as long as nobody changes it

    def _facts(self) -> list[tuple[str, str]]:
        """What a program is, in a few words each."""
        assembly = self.assembly
        kinds = {
            f"{kind.value}s": [tensor for tensor in assembly.edge_tensors if tensor.kind is kind]
            for kind in (Kind.INPUT, Kind.OUTPUT)
        }
        return [
            ("model", shortened(assembly.model or "(none)", SHOWN)),
            ("fabric", f"{assembly.width}x{assembly.height} tiles of {self.fabric.name}"),
            ("precision", assembly.precision.value),
            *((head, _listed(tensors)) for head, tensors in kinds.items()),
        ]

    @property
    def inputs(self) -> dict[str, ArrayType]:
        """What a run is given, by name."""
        return self._arrays(Kind.INPUT)

    @property
    def outputs(self) -> dict[str, ArrayType]:
        """What a run gives, by name."""
        return self._arrays(Kind.OUTPUT)

    def _arrays(self, kind: Kind) -> dict[str, ArrayType]:
        shown = self.assembly.shown(kind)
        return {tensor.name: ArrayType(tensor.host, tensor.shape) for tensor in shown}

    @property
    def text(self) -> str:
        """The assembly text."""
        from wsc.isa.printer import print_program

        return print_program(self.assembly)

    def save(self, path: str | PathLike[str], inputs: Iterable[Path] = ()) -> Path:
        """Write the text to ``path`` and the weights beside it, to ``path`` and ``.safetensors``.

        Both files appear complete or not at all, and the text knows the weights by their
        digest. Weights that are in a file of the same folder already, raw or because the
        program was loaded from there, are referred to and not copied.

        inputs: further files that must not be replaced.

        Raises:
            CompileError: a file cannot be written, or is one that the program was made from.
            LoadError: the weights of a program that was loaded are missing, or were changed.
        """
        from wsc.store.weights import save_program

        path = _path("the file of a program", path)
        assembly, constants = self.assembly, self.constants
        other = self.fabric != self._described or strange(assembly, self.fabric)
        if other or not is_preset(self.fabric):  # the path of a description is from the program's
            assembly = described(assembly, self.fabric, path.parent)
        if not constants and self.folder is not None and not _same(self.folder, path.parent):
            assembly, constants = _with_constants(assembly, self.folder, self.checkpoint)
        kept = (*self.files, *inputs)
        self.assembly = save_program(assembly, constants, path, kept)
        self.constants, self.folder, self._described = constants, path.parent, self.fabric
        return path

    def on(
        self,
        fabric: str | PathLike[str] | tuple[int, int] | Fabric | None = None,
        settings: Mapping[str, Number] | None = None,
    ) -> Program:
        """The same program on another machine, as it is: nothing is compiled again.

        fabric: as for ``compile``; None is the machine that the program is for. The program
        keeps its size. settings: numbers of the fabric to change, as in
        ``{"router.buffer_depth": 8}``. What it changes is said in the notes.

        Raises:
            AssemblyError: the program breaks a limit of that machine.
            CompileError: the fabric is given with a size that is not the program's.
            FabricError: there is no such fabric or number.
        """
        from wsc.isa.verifier import verify

        assembly = self.assembly
        size = (assembly.width, assembly.height)
        wanted = _stated(fabric)
        if wanted not in (None, size):
            raise CompileError(
                f"the program is for {size[0]}x{size[1]} tiles, not {wanted[0]}x{wanted[1]}: "
                "compile the model for that size, or name a fabric without a size"
            )
        machine = self.fabric if fabric is None else _fabric(fabric)
        machine = _changed(machine, _settings(settings or {}))
        machine = machine.sized(*size)
        if machine.numbers() == self.fabric.numbers():
            return self
        verify(assembly, machine)
        moved = described(assembly, machine, self.folder)
        note = f"was compiled for {_machine_text(assembly)}, and runs on {_machine_text(moved)}"
        return replace(
            self,
            assembly=moved,
            fabric=machine,
            notes=(*self.notes, note),
            files=(*self.files, *description_files(machine)),
        )

    @overload
    def run(  # pyright: ignore[reportOverlappingOverload]
        self,
        inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
        *,
        engine: Literal["values"],
        **options: Unpack[ValuesOptions],
    ) -> ValuesRun: ...

    @overload
    def run(
        self,
        inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
        *,
        engine: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Run: ...

    def run(
        self,
        inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
        *,
        engine: str | None = None,
        **options: Any,
    ) -> Run | ValuesRun:
        """Execute on the simulated fabric; options as in ``wsc.runtime.run``.

        inputs: arrays by name; the array alone where there is one input.

        Raises:
            InputError: an input is missing, unknown, or of the wrong shape or type.
        """
        from wsc.runs import Ran, known_run
        from wsc.runtime.api import run

        inputs = self.named(inputs)
        self._save_for_runs()
        if options.get("causes") and not self._located():
            self.locate()
        result = run(
            self.assembly,
            inputs,
            weights_dir=self.folder,
            fabric=self.fabric,
            engine=engine,
            checkpoint=self.checkpoint,
            **options,
        )
        return known_run(result, Ran(self.assembly, self.fabric, inputs))

    def session(
        self,
        inputs: Mapping[str, np.ndarray] | np.ndarray | None = None,
        *,
        delays: int | None = None,
        max_memory: int | None = None,
        compiling: Callable[[str], None] | None = None,
    ) -> Session:
        """A run that is taken in steps and looked at in between; by the reference engine.

        inputs, delays, max_memory, compiling: as for ``run``.

        Raises:
            InputError: an input is missing, unknown, or of the wrong shape or type.
            MemoryLimit: the run would take more than ``max_memory``.
        """
        from wsc.runtime.api import open_session

        inputs = self.named(inputs)
        self._save_for_runs()
        if not self._located():
            self.locate()
        return open_session(
            self.assembly,
            inputs,
            weights_dir=self.folder,
            fabric=self.fabric,
            delays=delays,
            max_memory=max_memory,
            checkpoint=self.checkpoint,
            compiling=compiling,
        )

    def estimate(self) -> Estimate:
        """What the cost model predicts of a run: cycles, bounds, energy, a row for each kernel.

        Raises:
            CompileError: it has no formula for what the program does, as a hand-written one may.
        """
        from wsc.views.estimate import estimate

        if not self._located():
            self.locate()
        return estimate(self.assembly, self.fabric)

    def node(self, name: str) -> NodeView:
        """What became of an ONNX node: its lines, procedures, tensors, streams and colors.

        Raises:
            CompileError: nothing comes from a node of that name; near names are given.
        """
        from wsc.views.inspect import node_view

        if not self._located():
            self.locate()
        return node_view(self.assembly, name)

    @property
    def weighed(self) -> tuple[Weighed, ...]:
        """How nodes got their forms, of a program that was just compiled."""
        return tuple(note() for note in self.noted)

    def explain(self, node: str) -> tuple[Weighed, ...]:
        """How the products, reductions and maps of an ONNX node got their forms.

        To print one shows all of it.

        node: its name, in which ``*`` stands for anything.

        Raises:
            CompileError: no form belongs to it, or the program was not compiled just now.
        """
        weighed = self.weighed
        if not weighed:
            raise CompileError(
                "forms are weighed when a model is compiled: this program was loaded, goes on "
                "behind their choice, or has nothing with a form"
            )
        asked = Wish(node)
        found = tuple(item for item in weighed if asked.is_for(item.names))
        if not found:
            raise without_form(node, [name for item in weighed for name in item.names])
        return found

    def locate(self, file: str = "program.wsa") -> None:
        """Give the parts of a compiled program their lines in its text, as those of a read one.

        file: the name of the text in messages.
        """
        from wsc.isa.parser import parse as parse_text

        self._save_for_runs()  # the text then names the files of weights
        self.assembly = parse_text(self.text, file)

    def _located(self) -> bool:
        """Whether the parts of the program know their lines."""
        assembly = self.assembly
        parts = (*assembly.regions, *assembly.procedures)
        return any(part.where.line > 0 for part in parts)

    def _save_for_runs(self) -> None:
        """Save a program that was not saved yet, to a folder that goes when the program does."""
        with _SAVING:  # several threads may run one program
            if self.folder is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="wsc-")
                self.save(Path(self._temporary.name) / "program.wsa")

    def draw(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Inputs by name, drawn from a seed, as ``wsc run`` draws those that are not given."""
        from wsc.comparison.draw import draw

        return draw(self.assembly, seed)

    def named(self, inputs: Any) -> Mapping[str, Any]:
        """Inputs by name: the array alone stands for the one input that there is.

        Raises:
            InputError: there are several, or it is no array.
        """
        if inputs is None or isinstance(inputs, Mapping):
            return inputs or {}
        from wsc.runtime.errors import InputError

        names = [tensor.name for tensor in self.assembly.shown(Kind.INPUT)]
        if len(names) != 1 or isinstance(inputs, (str, bytes)):
            known = ", ".join(f"{name!r}: array" for name in names)
            kind = type(inputs).__name__
            raise InputError(f"inputs are given by name, as in run({{{known}}}), not as {kind}")
        return {names[0]: inputs}


def _path(what: str, path: Any) -> Path:
    """A path, or the sentence for what is none."""
    if isinstance(path, (str, PathLike)) and isinstance(fspath(path), str):
        return Path(path)
    raise CompileError(f"{what} is given by its path, not as {type(path).__name__}")


def _dump(path: Any) -> Dump:
    from wsc.passes.dump import read_dump

    return read_dump(_path("a dump", path))


def _machine_text(assembly: Assembly) -> str:
    """A machine in words: ``wse2, io.bytes_per_cycle = 8``."""
    from wsc.isa.operands import show_number

    changed = (f"{key} = {show_number(value)}" for key, value in assembly.settings)
    return ", ".join([assembly.fabric, *changed])


def _listed(tensors: Sequence[EdgeTensor]) -> str:
    """``x float32[4, 16]``, for the first few."""
    texts = [
        f"{shortened(tensor.name, SHOWN)} {tensor.host}{list(tensor.shape)}"
        for tensor in tensors[:FEW]
    ]
    more = [f"{len(tensors) - FEW} more"] if len(tensors) > FEW else []
    return ", ".join([*texts, *more]) or "none"


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _with_constants(
    assembly: Assembly, folder: Path, checkpoint: Path | None
) -> tuple[Assembly, tuple[Constant, ...]]:
    """A program that was loaded, with its weights as constants.

    Each keeps its key, but for a mark where one of another file has the same.
    """
    from wsc.runtime.weights import open_weights

    opened = open_weights(assembly, folder, checkpoint=checkpoint).tensors
    found = {name: item for name, item in opened.items() if item.tensor.drawn is None}
    keys: dict[str, str] = {}
    taken = set[str]()
    for name, item in found.items():
        key = item.tensor.key or name
        while key in taken:
            key += "'"
        taken.add(key)
        keys[name] = key
    tensors = tuple(
        replace(tensor, key=keys.get(tensor.name, tensor.key)) for tensor in assembly.edge_tensors
    )
    constants = tuple(
        Constant(
            keys[name], Type(item.tensor.dtype, item.tensor.shape), partial(np.asarray, item.data)
        )
        for name, item in found.items()
    )
    return assembly.with_(edge_tensors=tensors), constants


def told(error: Exception) -> str:
    """An error as one message for the user."""
    from wsc.isa.diagnostics import AssemblyError
    from wsc.runtime.errors import RuntimeFault

    if isinstance(error, (AssemblyError, FabricError, RuntimeFault, CompileError)):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    if isinstance(error, MemoryError):
        return f"out of memory ({error})" if str(error) else "out of memory"
    return f"a defect of wsc, please report it: {type(error).__name__}: {error}"


@without_collection()
def compile(  # noqa: A001 - the name of the command
    model: str | PathLike[str] | bytes | ModelProto | ir.Model,
    fabric: str | PathLike[str] | tuple[int, int] | Fabric | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str = "f32",
    bind: Mapping[str, np.ndarray] | None = None,
    observe: Observer | None = None,
    same_order: bool = False,
    inputs: Collection[str] = (),
    wide: Collection[str] = (),
    settings: Mapping[str, Number] | None = None,
    weights: Store | None = None,
    f64: str = "f32",
    hold: str = "stream",
    code: str = "auto",
    steps: int | None = None,
    carry: Mapping[str, str] | None = None,
    resume: str | PathLike[str] | None = None,
    forms: Mapping[str, str] | None = None,
    whole: bool = False,
) -> Program:
    """Compile an ONNX file, or a model in memory: the bytes of a file, or an object of ONNX's.

    fabric: preset, ``WxH`` or (W, H) tiles of the default preset, ``NAME:WxH`` of another, a TOML
    file, or a ``Fabric``; None chooses a small rectangle for the model. settings: numbers of the
    fabric to change, as in ``{"router.buffer_depth": 8}``. dims: values of symbolic dimensions.
    bind: inputs baked in as constants. observe: sees the result of each pass.
    same_order: add up each sum of a product or convolution in an order that does not depend on
    where its result lies, so that equal weights give results that are equal to the bit. inputs:
    names that are inputs and initializers of the model: each run gives their values. Without, they
    are constants with the values of the model, or of ``bind``. wide: inputs of 64-bit integers of
    which some need more than 32 bits; in others a run refuses such an integer. weights: where the
    weights are of a model that declares them without data, as ``wsc.models.language`` builds it:
    ``Seed(0)`` or ``Checkpoint(folder)``. f64: how float64 is computed: ``"f32"``, in single
    precision and with a warning that names the nodes; ``"exact"``, as IEEE 754 has it, by those
    operators that can. hold: where the weights of products are: ``"stream"``, they come from the
    edge when they are wanted; ``"resident"``, they are brought into SRAM first and stay there;
    ``"auto"``, whichever is predicted to take fewer cycles, which the notes tell. code: where the
    code of a tile is: ``"resident"``, all of it is there all the time; ``"sections"``, it comes
    from the edge part by part, and takes few bytes; ``"auto"``, in parts where it does not fit
    otherwise, which the notes tell. steps: the model
    is one step, and a run makes so many: inputs and outputs have a first dimension of steps. carry:
    input -> output: a step is given what the one before gave; both have no dimension of steps, are
    given before the first step and shown after the last one. Caches by the names ``past...`` and
    ``present...``, and ``x`` and ``next_x``, are carried without being named.
    resume: a dump of one of the passes, a file of ``wsc compile --dump-ir``:
    compiling goes on from what it holds. Model and options are those that the dump was made with.
    forms: what is asked of the forms of nodes, by their names, as in
    ``{"conv1": "x=c y=y0 chunk=3"}``; ``Program.explain`` tells which there are. whole: all layers
    of a deep network go through every pass, so that ``observe`` sees them; else a few of those that
    differ in their weights alone stand for all. The program is the same.

    Raises:
        CompileError: the model cannot be read or lowered, or does not fit; the dump is none of
            this model.
        FabricError: there is no such fabric.
    """
    from wsc.frontend import import_onnx
    from wsc.passes.sections import require_code
    from wsc.passes.steps import residence_of

    kind = _precision(precision)
    exact = _is_exact(f64)
    source, name = _source(model)
    changes, wishes = _settings(settings or {}), _wishes(forms or {})
    chosen = None if fabric is None else _changed(_fabric(fabric), changes)
    if chosen is None:
        _changed(find_fabric(DEFAULT), changes)  # refused now, not after the import of the model
    dump = None if resume is None else _dump(resume)
    graph = import_onnx(
        source,
        _sizes(dims or {}),
        _arrays(bind or {}),
        kind,
        inputs,
        wide,
        weights=weights,
        exact=exact,
    )
    if hold not in HOLDS:
        raise CompileError(f"hold '{hold}' is not known: {', '.join(HOLDS)}")
    handed, code = dict(carry or {}), require_code(code)
    known = None if steps is None else _whole("steps", steps)

    def lowered(resident: bool) -> Compiled:
        residence = residence_of(graph, resident, known, handed)
        plain = not resident and known is None
        return _lowered(
            graph,
            chosen,
            kind,
            name,
            observe,
            same_order,
            changes,
            dump,
            wishes,
            None if plain else residence,
            whole,
            code,
        )

    if hold != "auto":
        return _program(lowered(hold == "resident"))
    from wsc.cost.hold import choose_hold

    compiled, note = choose_hold(lowered)
    program = _program(compiled)
    program.notes = (note, *program.notes)
    return program


@without_collection()
def compile_step(
    model: str | PathLike[str] | bytes | ModelProto | ir.Model,
    loss: str = "cross_entropy",
    optimizer: str = "adam",
    groups: Sequence[str] = (),
    *,
    fabric: str | PathLike[str] | tuple[int, int] | Fabric | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str = "f32",
    trainable: Sequence[str] = (),
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    clip: float = 0.0,
    over: int = 1,
    recompute: str = "auto",
    observe: Observer | None = None,
    settings: Mapping[str, Number] | None = None,
    weights: Store | None = None,
    resume: str | PathLike[str] | None = None,
    forms: Mapping[str, str] | None = None,
    code: str = "auto",
    whole: bool = False,
) -> Program:
    """Compile one training step of a model: its loss and gradients, and what the store does.

    fabric, dims, precision, observe, settings, weights, resume, forms, code, whole: as for
    ``compile``; the others as for ``wsc.train``. shapes: of inputs, where they are known from a
    batch.

    Raises:
        CompileError: the model cannot be read, lowered or trained, or does not fit.
        FabricError: there is no such fabric.
    """
    from wsc.passes.sections import require_code
    from wsc.training.losses import parse_loss
    from wsc.training.own import OWN, own_step, require_alone
    from wsc.training.recompute import lowered_step
    from wsc.training.step import Step, build_step, parse_optimizer

    wanted, kind, code = parse_loss(loss), _precision(precision), require_code(code)
    source, name = _source(model)
    changes, wishes = _settings(settings or {}), _wishes(forms or {})
    chosen = None if fabric is None else _changed(_fabric(fabric), changes)
    sizes = _sizes(dims or {})
    if optimizer == OWN:
        require_alone(
            wanted,
            groups=groups,
            trainable=trainable,
            precision=precision,
            clip=clip,
            over=over,
        )
        step = own_step(source, wanted, sizes, batch, shapes, weights)
    else:
        rule = parse_optimizer(optimizer, groups)
        step = build_step(source, wanted, rule, sizes, kind, trainable, batch, shapes, weights)
    step = step if chosen is None else step.on(chosen)
    dump = None if resume is None else _dump(resume)

    def lowered(step: Step) -> Compiled:
        return _lowered(
            step.network,
            chosen,
            kind,
            name,
            observe,
            False,
            changes,
            dump,
            wishes,
            whole=whole,
            code=code,
        )

    compiled, kept = lowered_step(step, recompute, lowered, chosen)
    program = _program(step.finish(compiled))
    program.assembly = program.assembly.with_(clip=clip, over=over)
    program.labels = step.labels
    notes = [kept] if kept else []
    if step.still:
        names = ", ".join(map(shortened, step.still))
        notes.append(f"the loss does not change with {names}: not trained")
    program.notes = (*notes, *program.notes)
    return program


def _is_exact(name: str) -> bool:
    if name not in ("f32", "exact"):
        raise CompileError(f"f64 '{name}' is not known: f32 or exact")
    return name == "exact"


def _precision(name: str) -> DType:
    if name not in (DType.F32.value, DType.F16.value):
        raise CompileError(f"precision '{name}' is not known: f32 or f16")
    return DType(name)


def _lowered(
    graph: Any,
    fabric: Fabric | None,
    precision: DType,
    name: str,
    observe: Observer | None,
    same_order: bool,
    settings: Mapping[str, Number],
    dump: Dump | None,
    wishes: tuple[Wish, ...],
    residence: Residence | None = None,
    whole: bool = False,
    code: str = "auto",
) -> Compiled:
    """The program of a graph; without a fabric, on a square that is chosen for it."""
    from wsc.pipeline import run_passes

    if fabric is None and dump is not None and dump.size is not None:
        fabric = _changed(find_fabric(DEFAULT), settings).sized(*dump.size)
    lower = partial(
        run_passes,
        graph,
        precision=precision,
        model=name,
        observe=observe,
        same_order=same_order,
        residence=residence,
        dump=dump,
        wishes=wishes,
        whole=whole,
    )
    if fabric is None:
        return _smallest(graph, lower, settings, code)
    return lower(fabric, code=code)


def _source(model: Any) -> tuple[Path | ModelProto, str]:
    """What the frontend reads, and the model's name."""
    from wsc.frontend.source import read_model

    source = read_model(model)
    return source, str(source) if isinstance(source, Path) else source.graph.name


def _fabric(fabric: Any) -> Fabric:
    if isinstance(fabric, Fabric):
        return fabric
    if isinstance(fabric, (str, PathLike)):
        return find_fabric(fspath(fabric))
    if isinstance(fabric, (tuple, list)) and len(fabric) == 2:
        width, height = (_whole("fabric", size) for size in fabric)
        return find_fabric(DEFAULT).sized(width, height)
    raise CompileError(
        f"a fabric is a name, such as 'wse2' or '8x8', (width, height), the path of a description "
        f"or a Fabric, not {type(fabric).__name__}"
    )


def _stated(fabric: Any) -> tuple[int, int] | None:
    """The size that is given with a fabric, as text or as (W, H)."""
    if isinstance(fabric, (str, PathLike)):
        return stated_size(fspath(fabric))
    if isinstance(fabric, (tuple, list)):
        made = _fabric(fabric)
        return made.width, made.height
    return None


def _sizes(dims: Any) -> dict[str, int]:
    """``dims`` with plain integers."""
    if not isinstance(dims, Mapping):
        raise CompileError(f"dims is of the form {{'batch': 1}}, not {type(dims).__name__}")
    return {str(name): _whole(f"dims[{name!r}]", size) for name, size in dims.items()}


def _settings(settings: Any) -> dict[str, Number]:
    """``settings`` with plain numbers."""
    if not isinstance(settings, Mapping):
        raise CompileError(
            f"settings is of the form {{'router.buffer_depth': 8}}, not {type(settings).__name__}"
        )
    return {str(key): _number(f"settings[{key!r}]", value) for key, value in settings.items()}


def _changed(fabric: Fabric, settings: Mapping[str, Number]) -> Fabric:
    return fabric.changed(settings) if settings else fabric


def _number(what: str, value: Any) -> Number:
    if isinstance(value, (tuple, list, np.ndarray)):
        return tuple(_whole(what, part) for part in value)
    return float(value) if isinstance(value, (float, np.floating)) else _whole(what, value)


def _whole(what: str, value: Any) -> int:
    try:
        return index(value)
    except TypeError:
        raise CompileError(f"{what}: {value!r} is no whole number") from None


def _wishes(forms: Any) -> tuple[Wish, ...]:
    """What is asked of forms; of two for one node the last one counts."""
    if not isinstance(forms, Mapping) or not all(isinstance(text, str) for text in forms.values()):
        kind = type(forms).__name__
        raise CompileError(f"forms is of the form {{'node': 'x=c chunk=3'}}, not {kind}")
    return tuple(read_wish(str(node), text) for node, text in forms.items())[::-1]


def _arrays(bind: Any) -> dict[str, np.ndarray]:
    """``bind`` with arrays."""
    if not isinstance(bind, Mapping):
        raise CompileError(f"bind is of the form {{'x': array}}, not {type(bind).__name__}")
    return {str(name): np.asarray(value) for name, value in bind.items()}


def _smallest(
    graph: Any, lower: Callable[..., Compiled], settings: Mapping[str, Number], code: str
) -> Compiled:
    """The smallest square on which the model fits and no tile has too much to do.

    lower: compiles it for a fabric, with its code held as asked (``code``).
    One on which all of its code fits is taken rather than a smaller one, on which that has to come
    in sections.
    """
    from wsc.cost import multiply_accumulates
    from wsc.ir.forms import AUTO, RESIDENT
    from wsc.passes.depth import Deep

    work = graph.work if isinstance(graph, Deep) else multiply_accumulates(graph)
    failure: CompileError | None = None
    ways = (RESIDENT, AUTO) if code == AUTO else (code,)
    for way, (width, height) in product(ways, SIZES):
        last = (width, height) == SIZES[-1]
        if work > WORK_PER_TILE * width * height * 8 and not last:
            continue
        fabric = _changed(find_fabric(f"{width}x{height}"), settings)
        try:
            return lower(fabric, code=way)
        except UnknownForm:
            raise
        except CompileError as error:
            failure = error
    assert failure is not None
    raise failure


def _program(compiled: Compiled) -> Program:
    from wsc.passes.sections import code_note

    files = (*compiled.files, *description_files(compiled.fabric))
    sources = (constant.source for constant in compiled.constants)
    checkpoint = next((item.folder for item in sources if isinstance(item, Member)), None)
    program = Program(
        compiled.program,
        compiled.fabric,
        compiled.constants,
        files=files,
        checkpoint=checkpoint,
        noted=compiled.noted,
    )
    note = code_note(compiled.program, compiled.fabric)
    program.notes = (note,) if note else ()
    return program


def _machine(assembly: Assembly, path: Path, text: str) -> Fabric:
    """The machine of a program, in its size; a number that is wrong is shown in its line."""
    from wsc.isa.diagnostics import AssemblyError, Diagnostic, Source

    try:
        return machine_of(assembly, path.parent).sized(assembly.width, assembly.height)
    except FabricError as error:
        for key, _ in assembly.settings:
            if f"'{key}'" in str(error):
                where, line = Source(text).declaration(str(path), "set", key)
                raise AssemblyError([Diagnostic(str(error), where, line, len(key))]) from None
        raise FabricError(f"{path}: {error}") from None


def load(path: str | PathLike[str]) -> Program:
    """Read and verify an assembly file; ``Program.on`` puts it on another machine.

    Raises:
        AssemblyError: the text is not a well-formed program (all findings, with carets).
        FabricError: its fabric is not known.

    Warns:
        OtherMachine: the fabric of that name has other numbers than when it was compiled.
    """
    path = _path("a program", path)
    if path.suffix == ".onnx" and path.is_file():
        compiling = asked("wsc compile", "wsc.compile")
        raise CompileError(f"{path}: is a model, and no program yet: {compiling} makes one of it")
    try:
        text = read_text(path, LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CompileError(f"{path}: cannot be read ({reason})") from error
    return _parsed(text, path)


def parse(text: str, file: str | PathLike[str] = "<text>") -> Program:
    """Read and verify a text of assembly. file: its name in messages; its weights lie beside it.

    Raises, warns: as ``load``.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CompileError(f"a program is parsed from its text, not from {type(text).__name__}")
    return _parsed(text, Path(file))


def _parsed(text: str, path: Path) -> Program:
    from wsc.isa.parser import parse as parse_text
    from wsc.isa.verifier import doubts, verify

    assembly = parse_text(text, str(path))
    fabric = _machine(assembly, path, text)
    verify(assembly, fabric)
    notes = [f"line {item.location.line}: {item.message}" for item in doubts(assembly, fabric)]
    folder = path.parent
    names = dict.fromkeys(t.file for t in assembly.edge_tensors if t.file)
    files = (*(folder / name for name in names), *description_files(fabric))
    note = strange(assembly, fabric)
    if note:
        warnings.warn(f"{path}: {note}", OtherMachine, stacklevel=3)
        notes.insert(0, note)
    return Program(assembly, fabric, folder=folder, files=files, notes=tuple(notes))
