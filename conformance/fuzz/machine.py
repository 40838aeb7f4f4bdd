"""What becomes of a random program on a random fabric, each in a process of its own.

It has a result, is refused in sentences, or is stopped with place and reason. A process that
dies, hangs, takes too much memory or raises anything else has gone wrong, and so have two
engines with different results.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from conformance.fuzz.judge import Finding, Verdict, limit_memory, where_of
from conformance.fuzz.programs import Hostile, hostile
from conformance.pool import Job, Loss, over_processes
from wsc import runtime
from wsc.isa.diagnostics import AssemblyError
from wsc.isa.fabric import Fabric, FabricError, read_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Kind, Program
from wsc.isa.verifier import verify
from wsc.runtime.engine import CHECKING, ENGINES
from wsc.runtime.errors import RuntimeFault

CYCLES = 3000  # where a run is stopped
MEMORY = 1 << 30  # bytes that a run may take
ELEMENTS = 1 << 20  # of an input that is made up
LONGEST = 4000  # characters of a message

ENDED = (AssemblyError, FabricError, RuntimeFault)


class Programs:
    """Random programs by number: the same for the same seed. limit: seconds for each."""

    def __init__(self, seed: int, limit: float) -> None:
        self.seed, self.limit = seed, limit

    def run(self, numbers: Sequence[int], jobs: int) -> Iterator[Finding]:
        """Findings as they come."""
        for engine in ENGINES:  # compiled before there are several processes that would do it
            runtime.run(parse('wsc 1\nfabric "tiny" 1x1\n'), {}, engine=engine)
        yield from over_processes(Job(self._try, self._lost, self.limit), numbers, jobs)

    def keep(self, number: int, path: Path) -> None:
        """Write a program and its fabric to files of that name."""
        case = hostile(self.seed, number)
        path.with_suffix(".wsa").write_text(case.text, encoding="utf-8")
        path.with_suffix(".toml").write_text(case.fabric, encoding="utf-8")

    def _try(self, number: int) -> Finding:
        limit_memory()
        return try_program(number, hostile(self.seed, number))

    def _lost(self, number: int, loss: Loss, reason: str, seconds: float) -> Finding:
        verdict = Verdict.HUNG if loss is Loss.HANG else Verdict.CRASHED
        return Finding(number, "program", (), verdict, reason, seconds)


def try_program(number: int, case: Hostile) -> Finding:
    """Run one program; a second time on another engine, if it has a result."""
    finding = Finding(number, "program", (case.engine,), Verdict.UNCHECKED)
    started = time.perf_counter()
    try:
        outputs = _outputs(case, case.engine)
        (other,) = (engine for engine in ENGINES if engine != case.engine)
        again = _outputs(case, other)
        same = all(outputs[name].tobytes() == again[name].tobytes() for name in outputs)
        finding.verdict = Verdict.AGREED if same else Verdict.DISAGREED
        if not same:  # unless the values may depend on timing, which ends in an error
            _outputs(replace(case, races=True, engine=CHECKING), CHECKING)
    except ENDED as error:
        text = str(error)
        finding.verdict = Verdict.REFUSED if 0 < len(text) < LONGEST else Verdict.UNCLEAR
        finding.reason = f"{type(error).__name__}: {text[:1000]}"
    except MemoryError as error:
        finding.verdict, finding.reason = Verdict.MEMORY, where_of(error)
    except Exception as error:  # noqa: BLE001 - a crash is what is looked for
        finding.verdict, finding.reason = Verdict.CRASHED, where_of(error)
    finding.seconds = round(time.perf_counter() - started, 2)
    return finding


def _outputs(case: Hostile, engine: str) -> dict[str, np.ndarray]:
    fabric = _fabric(case.fabric)
    program = parse(case.text)
    if case.verified:
        verify(program, fabric, case.text)
    return runtime.run(
        program,
        _inputs(program),
        fabric=fabric,
        engine=engine,
        max_cycles=CYCLES,
        max_memory=MEMORY,
        check_races=case.races and engine == case.engine,
    ).outputs


def _fabric(text: str) -> Fabric:
    with tempfile.TemporaryDirectory(prefix="wsc-fuzz-") as folder:
        path = Path(folder) / "fabric.toml"
        path.write_text(text, encoding="utf-8")
        return read_fabric(path)


def _inputs(program: Program) -> dict[str, np.ndarray]:
    """Some values for the inputs that are not too large; the others are said to be missing."""
    return {
        tensor.name: np.resize(np.arange(1, 9), tensor.shape).astype(tensor.host)
        for tensor in program.edge_tensors
        if tensor.kind is Kind.INPUT and math.prod(tensor.shape) <= ELEMENTS
    }
