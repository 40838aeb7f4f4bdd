"""``wsc train``: steps of training from an ONNX model and a file of samples."""

from __future__ import annotations

import io
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from wsc.cli.common import (
    STANDARD,
    Refusal,
    fabric_files,
    general,
    noted,
    read_dims,
    say_facts,
    say_json,
    working,
)
from wsc.cli.completion import Given, Word, fabrics
from wsc.cli.costs import Asking, StepCosts, bill_dict, costing, step_costs
from wsc.cli.estimate import Estimate, estimated, report_estimate, report_option
from wsc.cli.holding import code_option
from wsc.cli.main import Interrupts
from wsc.cli.names import (
    Named,
    Sizes,
    chosen_model,
    sized_step,
    sizes_of_step,
    source_files,
    trained_model,
    trained_precision,
)
from wsc.cli.outputs import require_outputs
from wsc.cli.training import Training, training
from wsc.ir.forms import AUTO
from wsc.isa.files import read_text, refusal
from wsc.store.files import appearing, write_text

if TYPE_CHECKING:
    from wsc.steps.trainer import StepResult, Trainer

LONGEST = 1 << 28  # bytes of a text
DIGITS = 20  # of the number of a step
HEAD = "step,loss,learning_rate,cycles,seconds"


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays by name, samples first, and the order in which steps take them.

    seed: of the order in each pass over the data; None: as they are. What is left at the end of
    a pass, and is less than a batch, waits for the next one.
    """

    arrays: dict[str, np.ndarray]
    batch: int
    seed: int | None

    def of(self, step: int) -> dict[str, np.ndarray]:
        """The samples of a step, counted from 0: they depend on nothing else."""
        count = len(next(iter(self.arrays.values())))
        epoch, place = divmod(step, count // self.batch)
        chosen = np.arange(place * self.batch, (place + 1) * self.batch)
        if self.seed is not None:
            key = np.array([self.seed, epoch], np.uint64)
            chosen = np.random.Generator(np.random.Philox(key=key)).permutation(count)[chosen]
        return {name: array[chosen] for name, array in self.arrays.items()}


def read_samples(path: Path, batch: int) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file: at least one, all with as many samples."""
    reason = refusal(path)
    if reason:
        raise Refusal(f"{path}: {reason}")
    if not zipfile.is_zipfile(path):
        raise Refusal(f"{path}: is no .npz file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, EOFError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise Refusal(f"{path}: is no .npz file of arrays ({reason})") from None
    if not arrays or any(not array.ndim for array in arrays.values()):
        raise Refusal(f"{path}: holds no arrays with samples in their first dimension")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"'{name}' {count}" for name, count in lengths.items())
        raise Refusal(f"{path}: the arrays differ in their number of samples: {listed}")
    count = next(iter(lengths.values()))
    if count < batch:
        raise Refusal(f"{path}: {count} samples, fewer than the {batch} of a step (--batch)")
    return arrays


def read_schedule(path: Path) -> tuple[float, ...]:
    """The numbers of a text file, one a line."""
    try:
        text = read_text(path, LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise Refusal(f"--schedule {path}: cannot be read ({reason})") from None
    numbers: list[float] = []
    for place, line in enumerate(text.split(), 1):
        try:
            numbers.append(float(line))
        except ValueError:
            raise Refusal(f"--schedule {path}: number {place} is {line!r}, no number") from None
    if not numbers:
        raise Refusal(f"--schedule {path}: holds no number")
    return tuple(numbers)


def row(step: int, result: StepResult) -> str:
    """A line of the log."""
    cycles = "" if result.cycles is None else result.cycles
    return f"{step},{result.loss!r},{result.rate!r},{cycles},{result.seconds:.3f}"


def earlier_rows(path: Path | None, steps: int) -> list[str]:
    """The lines of a log for the first steps of a run that goes on now."""
    if path is None or not path.is_file():
        return []
    try:
        lines = read_text(path, LONGEST).splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    if not lines or lines[0] != HEAD:
        raise Refusal(f"--log {path}: is there, and no log of training")
    rows: list[str] = []
    for number, line in enumerate(lines[1:], 2):
        step = line.partition(",")[0]
        if not (step.isascii() and step.isdecimal() and len(step) < DIGITS):
            raise Refusal(f"--log {path}: line {number} has no step at its beginning")
        if int(step) <= steps:
            rows.append(line)
    return rows


@click.command("train")
@click.argument("model", type=Given(), metavar="MODEL.onnx|NAME")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DATA.npz",
    help="An array for each input of the model, and 'label'; samples first.",
)
@click.option(
    "--steps",
    required=True,
    type=click.IntRange(1),
    metavar="N",
    help="Steps in all, those before --resume included.",
)
@click.option(
    "--batch",
    "samples_of_step",
    required=True,
    type=click.IntRange(1),
    metavar="B",
    help="Samples of a step.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT.safetensors",
    help="The checkpoint: weights, what the optimizer keeps, step. [default: the model's name]",
)
@click.option(
    "--onnx",
    type=click.Path(path_type=Path),
    metavar="OUT.onnx",
    help="Write the trained model as ONNX, too.",
)
@training
@click.option(
    "--schedule",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Numbers, one a line, by which the rate of each step is multiplied.",
)
@click.option(
    "--shuffle",
    type=click.IntRange(0, 2**63 - 1),
    metavar="SEED",
    help="Take the samples in an order from a seed. [default: as they are]",
)
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="FILE.csv", help=f"Write {HEAD} of each step."
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT",
    help="Go on from a checkpoint, to the bit as if there had been no break.",
)
@click.option(
    "--save-every",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Steps between two checkpoints.",
)
@click.option(
    "-p",
    "--precision",
    type=click.Choice(["f32", "f16"]),
    default="f32",
    show_default=True,
    help="Element type on the fabric; the weight store holds f32 in any case.",
)
@click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=N",
    help="Size of a dimension that the data do not give. May be repeated.",
)
@click.option(
    "--wafers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Share out the runs of a step (--accumulate, a multiple of N) to N wafers.",
)
@click.option(
    "--cluster",
    default="",
    metavar="tcp://HOST:PORT",
    help="The wafers are workers of this Dask cluster. [default: processes here]",
)
@click.option(
    "--fabric",
    type=Word(fabrics),
    metavar="NAME|WxH|FILE.toml",
    help="As for wsc compile. Without it a small square is chosen for the model.",
)
@code_option
@click.option(
    "--engine",
    type=click.Choice(["values", "both", "reference"]),
    default="values",
    show_default=True,
    help="values has no clock; the others count cycles.",
)
@costing
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@report_option
@sized_step
@general
def command(
    model: Path,
    data: Path,
    steps: int,
    samples_of_step: int,
    output: Path | None,
    onnx: Path | None,
    training: Training,
    schedule: Path | None,
    shuffle: int | None,
    log: Path | None,
    resume: Path | None,
    save_every: int,
    precision: str,
    dims: tuple[str, ...],
    wafers: int,
    cluster: str,
    fabric: str | None,
    coded: str | None,
    engine: str,
    asking: Asking,
    as_json: bool,
    report: Path | None,
    sizes: Sizes,
) -> None:
    """Train an ONNX file, or a model by name (see wsc models), with the samples of DATA.npz.

    Gradients are computed on the simulated fabric; the weight store applies the optimizer.
    """
    batch = samples_of_step
    sizes = sizes_of_step(model, sizes, batch)
    chosen = chosen_model(model, sizes)
    name = chosen.shape.name if isinstance(chosen, Named) else model.stem
    output = output or Path(f"{name}.safetensors")
    if STANDARD in (output, onnx, log):
        raise Refusal("-: standard output takes no checkpoint, model or log: name a file")
    read = [*source_files(chosen), data, *fabric_files(fabric)]
    read += [path for path in (schedule, *asking.files) if path is not None]
    written = [output, *(path for path in (onnx, log, report) if path is not None)]
    require_outputs(written, None, read)
    runs = training.runs(batch)
    if isinstance(runs, int) and batch % runs:
        raise Refusal(f"--batch {batch} cannot be shared out to --accumulate {runs} runs")
    arrays = read_samples(data, batch)
    numbers = () if schedule is None else read_schedule(schedule)
    from wsc.steps.trainer import train

    with noted(), working("training") as line:
        trainer = train(
            **trained_model(model, chosen, sizes),
            fabric=fabric,
            dims=read_dims(dims),
            precision=trained_precision(chosen, precision),
            engine=engine,
            over=runs,
            schedule=numbers,
            wafers=wafers,
            cluster=cluster,
            code=coded or AUTO,
            **training.options(),
        )
        line("training: compiling")
        trainer.prepare(Samples(arrays, batch, None).of(0))
        # What is asked for is predicted now: what cannot be is not said after hours of training.
        predicted, costs = _predicted(trainer, asking, wafers, report is not None or as_json)
        trainer.require_labels(arrays)
        if resume is not None:
            trainer.resume(resume)
        seed = _seed(trainer, shuffle, resume)
        if trainer.state.step > steps:
            raise Refusal(f"{resume} is at step {trainer.state.step}, beyond --steps {steps}")
        samples = Samples(arrays, batch, seed)
        rows = earlier_rows(log if resume else None, trainer.state.step)
        first = trainer.state.step
        results: list[StepResult] = []
        saved = None if resume is None else (resume, first)
        try:
            while trainer.state.step < steps:
                Interrupts.heed()
                results.append(trainer.step(samples.of(trainer.state.step)))
                done = trainer.state.step
                rows.append(row(done, results[-1]))
                line(f"training: step {done} of {steps}, loss {results[-1].loss:.4f}")
                if done % save_every == 0 or done == steps:
                    # The log first: one that is ahead of its checkpoint is cut when a run goes on.
                    if log is not None:
                        write_text(log, "\n".join([HEAD, *rows]) + "\n", read)
                    trainer.save(output)
                    saved = output, done
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_broken_off(trainer.state.step, saved)) from None
        if not results:
            trainer.save(output)
        if onnx is not None:
            _write_onnx(trainer, onnx, read)
    if report is not None and predicted is not None:
        report_estimate(predicted, f"a step of {model}", report, read)
    facts = _summary(trainer, results, first, output, costs)
    say_facts(facts, 12 if costs else 9, error=True)
    if as_json:
        say_json(_as_object(trainer, results, first, output, costs))


def _predicted(
    trainer: Trainer, asked: Asking, wafers: int, wanted: bool
) -> tuple[Estimate | None, StepCosts | None]:
    """The prediction of a step, and what it costs, where anything asks for it."""
    assert trainer.program is not None
    if not (asked or wanted or wafers > 1):
        return None, None
    estimate = estimated(trainer.program, time.perf_counter())
    costs = step_costs(trainer.program, estimate.prediction, asked, wafers)
    return replace(estimate, step=costs), costs


def _seed(trainer: Trainer, shuffle: int | None, resume: Path | None) -> int | None:
    """The seed of the order of samples: a run that goes on keeps that of its checkpoint."""
    if resume is None:
        trainer.state.seed = shuffle
    elif shuffle is not None and shuffle != trainer.state.seed:
        before = "no order" if trainer.state.seed is None else f"seed {trainer.state.seed}"
        raise Refusal(f"--shuffle {shuffle}: {resume} was made with {before}")
    return trainer.state.seed


def _broken_off(step: int, saved: tuple[Path, int] | None) -> str:
    """What an interrupt leaves. saved: the checkpoint to go on from, and its step."""
    if saved is None:
        return f"interrupted after step {step}; there is no checkpoint yet (--save-every)"
    path, done = saved
    return f"interrupted after step {step}; --resume {path} goes on from step {done}"


def _write_onnx(trainer: Trainer, path: Path, read: list[Path]) -> None:
    import onnx

    text = io.BytesIO()
    onnx.save(trainer.onnx(), text)
    try:
        with appearing(path, inputs=read) as (partial,):
            partial.write_bytes(text.getvalue())
    except OSError as error:
        raise Refusal(f"{path}: cannot be written ({error.strerror or error})") from error


def _summary(
    trainer: Trainer,
    results: list[StepResult],
    first: int,
    output: Path,
    costs: StepCosts | None,
) -> list[tuple[str, str]]:
    """What was done, one line a fact."""
    last = trainer.state.step
    lines = [("weights", f"{output}: after step {last}")]
    if trainer.program is not None:
        lines += [("note", note) for note in trainer.program.notes]
    if results:
        seconds = sum(result.seconds for result in results)
        span = f"{results[0].loss:.4f} at step {first + 1}, {results[-1].loss:.4f} at step {last}"
        lines.insert(0, ("loss", span))
        lines.insert(1, ("time", f"{seconds:.1f} s, {seconds / len(results):.3f} s a step"))
        counted = [result.cycles for result in results if result.cycles is not None]
        if counted:
            lines.append(("cycles", f"{counted[-1]:,} in the last step"))
        again = sum(result.again > 0 for result in results)
        if again:
            lines.append(("again", f"{again} steps, with a smaller scale: gradients overflowed"))
    return lines if costs is None else [*lines, *costs.facts(_done(results))]


def _done(results: list[StepResult]) -> int:
    """Steps, each as often as it was done."""
    return sum(1 + result.again for result in results)


def _as_object(
    trainer: Trainer,
    results: list[StepResult],
    first: int,
    output: Path,
    costs: StepCosts | None,
) -> dict[str, Any]:
    """What was done, for JSON."""
    assert costs is not None
    return {
        "first_step": first + 1,
        "last_step": trainer.state.step,
        "losses": [result.loss for result in results],
        "cycles": [result.cycles for result in results],
        "seconds": sum(result.seconds for result in results),
        "done_again": _done(results) - len(results),
        "output": str(output),
        "step": costs.as_dict(),
        "costs": bill_dict(costs.bill(_done(results))),
        "notes": [] if trainer.program is None else list(trainer.program.notes),
    }
