"""``wsc run``: execute an assembly file, report where the cycles went, compare."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.against import write_dump
from wsc.cli.asked import (
    dim_option,
    input_option,
    machine_option,
    precision_option,
    program_argument,
    seed_option,
)
from wsc.cli.common import (
    LARGEST,
    Memory,
    Refusal,
    bind_option,
    general,
    say_json,
    set_option,
    told,
    working,
)
from wsc.cli.completion import Word, engines
from wsc.cli.execute import execute
from wsc.cli.finished import Finished, as_object, prediction_of, rows_of, show
from wsc.cli.holding import holding
from wsc.cli.job import VALUES, Job, Wanted, prepared
from wsc.cli.maps import map_option, show_maps
from wsc.cli.names import sized
from wsc.cli.outputs import ReportFile, write_arrays
from wsc.cli.tables import arranged
from wsc.cli.tracing import tracing, write_trace
from wsc.cli.values import Executed, execute_values, print_values
from wsc.isa.limits import MOST_DELAYS

if TYPE_CHECKING:
    import numpy as np

    from wsc.api import Program
    from wsc.comparison.compare import Comparison
    from wsc.cost.predict import Prediction
    from wsc.runtime.api import RunResult
    from wsc.views.report import KernelRow


@click.command("run")
@program_argument
@input_option
@seed_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write each output as NAME.npy; characters that do not belong in a file name become _.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx|NAME",
    help="Hold the outputs against ONNX Runtime; exit 1 beyond the tolerance.",
)
@bind_option(
    "Bake an input of a model in as a constant; of a program, with --compare: the values of an "
    "input that was baked in. May be repeated."
)
@click.option(
    "--delays",
    type=click.IntRange(0, MOST_DELAYS),
    metavar="SEED",
    help="Delay wavelets at random: other cycles, the same values.",
)
@click.option(
    "--engine",
    type=Word(engines),
    metavar="NAME",
    help="values (no clock), time (cycles alone, without inputs and weights) or reference (both at "
    "once, cycle by cycle). [default: values, then time]",
)
@click.option(
    "--max-cycles",
    type=click.IntRange(1, LARGEST),
    metavar="N",
    help="Stop there, with what was counted until then; exit 2.",
)
@click.option(
    "--max-memory",
    type=Memory(),
    metavar="BYTES",
    help="Refuse to take more; K, M and G are understood. [default: what is free]",
)
@click.option(
    "--check-races",
    is_flag=True,
    help="Find memory that is shared without synchronisation; the reference engine, slower.",
)
@tracing
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx|NAME",
    help="Name the first node whose values differ from ONNX Runtime's; the reference engine.",
)
@click.option(
    "--dump-sram",
    "dump_sram",
    multiple=True,
    metavar="X,Y@CYCLE",
    help="Write the SRAM of a tile, as it is when the cycle begins, to sram-X-Y-CYCLE.npz, in the "
    "folder of -o; the reference engine. May be repeated.",
)
@click.option(
    "--changed-weights",
    is_flag=True,
    help="Take weights that are not those that the program was compiled with.",
)
@machine_option
@set_option
@precision_option
@dim_option
@click.option(
    "--report",
    type=ReportFile(),
    help="Write the run as a page, as rows or as node data, as wsc report does.",
)
@map_option
@click.option("--all", "every", is_flag=True, help="Every row of the table of kernels.")
@arranged
@holding
@sized
@general
def command(**options: Any) -> int:
    """Run a program on the simulated fabric. A model, in a file or by name (see wsc models), is
    compiled for that; - is standard input. A program whose weights are those of a checkpoint is
    given its folder again (--checkpoint).

    Inputs come from --input, or are drawn from --seed: floats from the standard normal
    distribution, integers from 0 to 15 (and below the rows of any table in the weight store
    and the size of any dimension that indices are checked for), booleans as either; inputs with
    "mask" in their name are all ones.

    With --compare, the largest absolute error of each output may be at most 1e-4 (f32)
    or 2e-2 (f16) of the output's largest magnitude, and integers must be equal; else the exit
    code is 1. Outputs that differ are held against ONNX's reference evaluator in double
    precision, too: they agree if they are right by that and ONNX Runtime is farther from it.

    With --against, values are compared node by node, in the order of the run, where a node has
    a tensor of its own: exit 1 at the first that differs.

    In a trace, 1 us is 1 cycle.
    """
    job, after = prepared(Wanted(**options)), Afterwards()
    return _values(job, after) if job.wanted.engine == VALUES else _timed(job, after)


# --- doing it ---------------------------------------------------------------------


def _values(job: Job, after: Afterwards) -> int:
    """Run without a clock; the exit code."""
    wanted = job.wanted
    values = execute_values(job.program, job.arrays, wanted.max_memory, wanted.changed_weights)
    files, compared, undecided = _outputs(job, values.outputs, after)
    seed, drawn = job.shown_seed, job.drawn
    executed = Executed(job.program, values, seed, drawn, files, compared, undecided)
    print_values(executed, wanted.as_json)
    return _ended(after, "", compared)


def _timed(job: Job, after: Afterwards) -> int:
    """Run with a clock; the exit code."""
    wanted, program = job.wanted, job.program
    result, stopped = execute(program, job.arrays, dict(job.options))
    files, compared, undecided, followed = dict[str, Path](), None, "", None
    if not stopped:
        files, compared, undecided = _outputs(job, result.outputs, after)
        with after.step("the SRAM was not written"):
            for (dump, path), memory in zip(job.dumps, result.dumped, strict=True):
                write_dump(program, dump, memory, path)
        with after.step("nodes were not compared"):
            if job.follower is not None:
                given = job.arrays | job.baked
                followed = job.follower.follow(result, given, dict(job.again))
    traced = _traced(job, result, after)
    predicted = _predicted(program, after)
    if wanted.report is not None:
        with after.step("the report was not written"):
            _report(job, result, predicted, stopped, wanted.report)
    rows: Sequence[KernelRow] = ()
    with after.step("there is no table of kernels"):
        rows = rows_of(program, result, predicted)
    finished = Finished(
        program,
        result,
        job.shown_seed,
        job.drawn,
        files,
        rows,
        predicted,
        compared,
        undecided,
        traced,
        stopped,
        followed,
        [] if stopped else job.dumps,
    )
    if wanted.as_json:
        say_json(as_object(finished))
    else:
        show(finished, wanted.every, wanted.sort, wanted.columns)
        show_maps(wanted.maps, program, result.counters)
    code = _ended(after, stopped, compared)
    return 1 if followed is not None and followed.first is not None else code


def _outputs(
    job: Job, outputs: Mapping[str, np.ndarray], after: Afterwards
) -> tuple[Mapping[str, Path], Sequence[Comparison] | None, str]:
    """Write and compare outputs, as far as that was asked for.

    Returns their files, what came out of the comparison, and why there is no second opinion on
    those that differ.
    """
    files, compared, undecided = dict[str, Path](), None, ""
    if job.wanted.output is not None:
        with after.step("the outputs were not written"):
            write_arrays(job.paths, outputs, job.read)
            files = dict(job.paths)
    with after.step("the outputs were not compared"):
        if job.reference is not None:
            from wsc.comparison.compare import compare_all

            compared, undecided = compare_all(
                job.reference,
                outputs,
                job.arrays | job.baked,
                job.program.assembly.precision,
                job.wanted.holding.pairs(),
                lambda: working("asking ONNX's reference evaluator, in double precision"),
            )
    return files, compared, undecided


def _traced(job: Job, result: RunResult, after: Afterwards) -> Path | None:
    """Write the trace, if there is to be one; its file."""
    trace = job.wanted.tracing.trace
    if trace is not None:
        with after.step("the trace was not written"):
            write_trace(trace, result, job.read)
            return trace
    return None


def _report(
    job: Job, result: RunResult, predicted: Prediction | str, stopped: str, path: Path
) -> None:
    """Write the report of a run."""
    from wsc.cli.report import data_of, write_report

    held, name = replace(result, trace=None), str(job.wanted.program)
    data = data_of(job.program, held, predicted, stopped, job.drawn, job.shown_seed, name)
    write_report(path, [data], job.read)


class Afterwards:
    """What is done with the results of a run. Where it fails, the results are shown all the same.

    failed: sentences on what did not succeed. interrupt: the first one that came meanwhile.
    """

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.interrupt: KeyboardInterrupt | None = None

    @contextmanager
    def step(self, what: str) -> Generator[None]:
        """Do one thing more; ``what`` says what is missing without it."""
        try:
            yield
        except KeyboardInterrupt as error:
            self.interrupt = self.interrupt or error
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has its results
            self.failed.append(f"{what}: {told(error)}")


def _ended(after: Afterwards, stopped: str, compared: Sequence[Comparison] | None) -> int:
    """The exit code, when all that is known has been shown.

    Raises:
        KeyboardInterrupt: it came after the run.
        Refusal: the run was stopped, or something failed after it.
    """
    if after.interrupt is not None:
        raise after.interrupt
    if stopped or after.failed:
        raise Refusal("; ".join(filter(None, (stopped, *after.failed))))
    return int(compared is not None and not all(item.agrees for item in compared))


def _predicted(program: Program, after: Afterwards) -> Prediction | str:
    """What the cost model says of the program, or why it says nothing."""
    try:
        return prediction_of(program)
    except KeyboardInterrupt as error:
        after.interrupt = after.interrupt or error
        return str(error) or "interrupted"
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has its results
        return told(error)
