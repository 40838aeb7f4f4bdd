"""``wsc compile``: an ONNX model to assembly, with the IR after each pass on demand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsc.cli.common import (
    STANDARD,
    Refusal,
    console,
    fabric_files,
    following,
    general,
    model_options,
    noted,
    read_arrays,
    read_dims,
    say,
    say_facts,
    set_option,
    verbose,
    working,
)
from wsc.cli.completion import Given, Word, passes
from wsc.cli.estimate import estimated, report_estimate, report_option
from wsc.cli.forms import read_forms, show_forms
from wsc.cli.holding import Holding, holding
from wsc.cli.names import (
    FABRIC,
    Named,
    Sizes,
    chosen_model,
    model_of,
    of_run,
    own_sizes,
    sized,
    source_files,
    trained_precision,
)
from wsc.cli.outputs import given_files, require_outputs
from wsc.cli.training import Training, require_training, training
from wsc.store.files import write_text

if TYPE_CHECKING:
    from wsc.api import Program
    from wsc.pipeline import Stage

EVERY = "all"


class Recorder:
    """Keeps each pass's result and seconds. A new ``import`` starts a new try on a larger mesh.

    say: takes what goes on. check: takes the files of the model, and may refuse to go on. files:
    those files, when they are known.
    """

    def __init__(
        self, say: Callable[[str, Stage], None], check: Callable[[Sequence[Path]], None]
    ) -> None:
        self.files: Sequence[Path] = ()
        self._check = check
        self.stages: dict[str, Stage] = {}
        self.seconds: dict[str, float] = {}
        self.tries = 0
        self._say = say
        self._last = time.perf_counter()

    def __call__(self, name: str, stage: Stage) -> None:
        """Take the result of a pass."""
        from wsc.ir.graph import Graph

        if name == "import" and isinstance(stage, Graph):
            self.files = stage.files
            self._check(stage.files)
            self.tries += 1
            self.stages.clear()
        self.note(name if name != "import" or self.tries == 1 else "smaller meshes")
        self.stages[name] = stage
        self._say(name, stage)

    def note(self, name: str) -> None:
        """Book the time since the last call under ``name``."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def pass_names(held: bool = False) -> list[str]:
    """The passes, in order, ``import`` first. held: with those for what stays on the fabric."""
    from wsc.isa.fabric import DEFAULT, find_fabric
    from wsc.isa.types import DType
    from wsc.passes.steps import Residence
    from wsc.pipeline import passes

    residence = Residence() if held else None
    steps = passes(find_fabric(DEFAULT), DType.F32, "", residence=residence)
    return ["import", *(step.name for step in steps)]


def dump_paths(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The file of each pass: ``00-import.txt``, ``01-simplify.txt``, ... names: of all of them."""
    return {name: folder / f"{number:02d}-{name}.txt" for number, name in enumerate(names)}


def dump(stages: dict[str, Stage], paths: dict[str, Path], inputs: Iterable[Path] = ()) -> None:
    """Write the text of each pass's result. paths: the file of each. inputs: files that are read,
    and never replaced."""
    from wsc.passes.dump import dump_text

    read = tuple(inputs)
    for name, stage in stages.items():
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        write_text(paths[name], dump_text(name, stage), read)


def show(stages: dict[str, Stage], wanted: str) -> None:
    """Print the IR after one pass, or after all of them, to standard output."""
    from wsc.passes.dump import dump_text

    for name, stage in stages.items():
        if wanted in (name, EVERY):
            say(dump_text(name, stage), end="")


@click.command("compile")
@click.argument("model", type=Given(), metavar="MODEL.onnx|NAME")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT.wsa",
    help="Where the assembly goes; the weights go beside it. - is standard output, for a program "
    "without weights. [default: the model's name]",
)
@model_options
@set_option
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME",
    help="An input that has a default value in the model, and is to be given at each run. "
    "May be repeated. [default: it is a constant]",
)
@click.option(
    "--wide",
    multiple=True,
    metavar="NAME",
    help="Keep both words of a 64-bit integer input; without it a run refuses an integer "
    "beyond 32 bits. May be repeated.",
)
@click.option(
    "--f64",
    type=click.Choice(["f32", "exact"]),
    default="f32",
    show_default=True,
    help="How float64 is computed: in single precision, or exactly as IEEE 754 has it, which takes "
    "hundreds of instructions for each operation and is there for some operators.",
)
@click.option(
    "--train",
    is_flag=True,
    help="Compile a training step: loss, gradients, and what the weight store does with them.",
)
@training
@click.option(
    "--print-ir-after", type=Word(passes), metavar="PASS|all", help="Print the IR after a pass."
)
@click.option(
    "--dump-ir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the IR after each pass into numbered files.",
)
@click.option(
    "--from",
    "resume",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="DUMP",
    help="Go on from the IR in a file of --dump-ir, which may have been changed. The model and "
    "the other options are those that it was made with.",
)
@click.option(
    "--form",
    "forms",
    multiple=True,
    metavar="NODE=FORM",
    help="Ask for a form of a product or convolution, as in conv1=x=c,y=y0,chunk=3. * in NODE is "
    "anything. May be repeated; --explain NODE tells which forms there are.",
)
@click.option(
    "--explain",
    multiple=True,
    metavar="NODE",
    help="Tell which forms of a node were weighed, and why one was taken. May be repeated.",
)
@report_option
@holding
@sized
@general
def command(
    model: Path,
    output: Path | None,
    fabric: str | None,
    dims: tuple[str, ...],
    bind: tuple[str, ...],
    precision: str,
    settings: tuple[str, ...],
    inputs: tuple[str, ...],
    wide: tuple[str, ...],
    f64: str,
    train: bool,
    training: Training,
    print_ir_after: str | None,
    dump_ir: Path | None,
    resume: Path | None,
    forms: tuple[str, ...],
    explain: tuple[str, ...],
    report: Path | None,
    holding: Holding,
    sizes: Sizes,
) -> None:
    """Compile an ONNX file, or a model by name (see wsc models), to mesh assembly.

    The result is OUT.wsa, a text, and the weights beside it in OUT.wsa.safetensors (or
    references to the model's own external data). The text knows them by their digest.
    What was chosen and what it takes is printed on standard error.
    """
    from wsc.isa.machine import read_settings

    start = time.perf_counter()
    require_training(train)
    chosen = chosen_model(model, own_sizes(model, sizes) if train else sizes, holding.steps)
    if isinstance(chosen, Named):
        output, fabric = output or Path(f"{chosen.shape.name}.wsa"), fabric or FABRIC
    output = output or Path(f"{model.stem}.wsa")
    read = [*source_files(chosen), *given_files(bind), *fabric_files(fabric)]
    read += [] if resume is None else [resume]
    known = pass_names(holding.holds)
    dumped = {} if dump_ir is None else dump_paths(dump_ir, known)
    written = [*([] if output == STANDARD else [output]), *dumped.values()]
    written += [] if report is None else [report]
    require_outputs(written, dump_ir, read)
    bound, arrays = read_dims(dims), read_arrays("--bind", bind)
    changes, wanted = dict(read_settings(settings)), read_forms(forms)
    held = holding.options()
    if print_ir_after not in (None, EVERY, *known):
        listed = ", ".join([*known, EVERY])
        raise Refusal(f"--print-ir-after {print_ir_after}: no such pass; there are: {listed}")
    from wsc.api import compile as compile_model
    from wsc.api import compile_step

    if train and holding.given():
        raise Refusal(f"--train takes no {holding.given()}")
    if train and (bind or inputs or wide):
        raise Refusal("--train takes no --bind, --input or --wide")
    if train and f64 != "f32":
        raise Refusal("--train takes no --f64: gradients are in single precision")
    with noted(), working("compiling") as line:
        whole = dump_ir is not None or print_ir_after is not None  # people look at layers there
        recorder = Recorder(following(line), lambda files: require_outputs(written, dump_ir, files))
        try:
            if train:

                def step(runs: int, batch: int | None) -> Program:
                    return compile_step(
                        **model_of(of_run(model, chosen, sizes, batch)),
                        fabric=fabric,
                        dims=bound,
                        precision=trained_precision(chosen, precision),
                        batch=batch,
                        over=runs,
                        observe=recorder,
                        settings=changes,
                        resume=resume,
                        forms=wanted,
                        whole=whole,
                        code=holding.code,
                        **training.options(),
                    )

                program, _ = training.shared_out(sizes.batch, 1, step)
            else:
                program = compile_model(
                    **model_of(chosen),
                    fabric=fabric,
                    dims=bound,
                    precision=precision,
                    bind=arrays,
                    observe=recorder,
                    inputs=inputs,
                    wide=wide,
                    settings=changes,
                    resume=resume,
                    forms=wanted,
                    f64=f64,
                    whole=whole,
                    **held,
                )
        finally:  # what the passes gave until one of them refused is what one wants to see
            if dump_ir is not None:
                dump(recorder.stages, dumped, [*read, *recorder.files])
            if print_ir_after is not None:
                show(recorder.stages, print_ir_after)
        recorder.note("verify")
        if train:
            _require_room(program)
        weighed = [item for node in explain for item in program.explain(node)]
        line(f"writing {output}")
        _write(program, output, read)
    if report is not None:
        report_estimate(estimated(program, start), str(output), report, (*read, *program.files))
    for number, item in enumerate(weighed):
        if number:
            say("")
        show_forms(console(), item)
    say_facts(summary(program, output, fabric is None, recorder), 9, error=True)


def _require_room(program: Program) -> None:
    """Raise Refusal for a step whose store is larger than memory: its file is made there."""
    from wsc.isa.program import Kind
    from wsc.runtime.memory import available_bytes

    weights = (item for item in program.assembly.edge_tensors if item.kind is Kind.WEIGHT)
    size = sum(item.bytes for item in weights if item.drawn is None)
    free = available_bytes()
    if free is not None and size > free:
        raise Refusal(
            f"the weights of the step and what its optimizer keeps take {size:,} bytes, and "
            f"{free:,} are free: wsc estimate --train predicts a step and stores nothing"
        )


def _write(program: Program, output: Path, read: Iterable[Path]) -> None:
    """Save a program, or print it.

    Raises:
        Refusal: a program with weights would have to be printed: they have no place then.
    """
    from wsc.isa.program import Kind

    if output != STANDARD:
        program.save(output, read)
    elif any(tensor.kind is Kind.WEIGHT for tensor in program.assembly.edge_tensors):
        raise Refusal("-o -: the program has weights, which are beside its file: name a file")
    else:
        say(program.text, end="")


def summary(
    program: Program, output: Path, chosen: bool, recorder: Recorder
) -> list[tuple[str, str]]:
    """What was made, one line a fact."""
    from wsc.cli.finished import fabric_name
    from wsc.isa.program import Kind
    from wsc.isa.turns import each_transfer
    from wsc.views.inspect import sram_use

    assembly = program.assembly
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in recorder.seconds.items())
    use = sram_use(assembly, program.fabric)
    weights = [tensor for tensor in assembly.edge_tensors if tensor.kind is Kind.WEIGHT]
    elements = sum(math.prod(tensor.shape) for tensor in weights)
    size = sum(tensor.bytes for tensor in weights)
    places = sorted({f"drawn from seed {item.drawn.seed}" for item in weights if item.drawn})
    stored = ", ".join(sorted({item.file for item in weights if item.file}))
    if stored or not places:
        places.insert(0, f"in {stored or 'none'}")
    lines = [
        ("fabric", fabric_name(program) + (", chosen for the model" if chosen else "")),
        ("passes", times),
        ("assembly", f"{output}: {program.text.count(chr(10)):,} lines"),
        (
            "sram",
            f"{use.total:,} of {use.limit:,} bytes a tile: {use.data:,} data, {use.code:,} code",
        ),
        ("weights", f"{size:,} bytes, {elements:,} elements {' and '.join(places)}"),
    ]
    lines += [("note", note) for note in program.notes]
    if verbose():
        parts = {
            "procedures": len(assembly.procedures),
            "tensors": len(assembly.tensors),
            "colors": len(assembly.colors),
            "routes": len(assembly.routes),
            "transfers": len(list(each_transfer(assembly.transfers))),
        }
        lines.append(("parts", ", ".join(f"{count} {name}" for name, count in parts.items())))
    return lines
