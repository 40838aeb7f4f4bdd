"""Cases over warm processes; one that hangs or dies costs its own result alone."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import numpy as np
from onnx import helper

from conformance.run import FAILED, Record, run_case
from conformance.suite import Case
from wsc.backend import run_node

# Processes are forked, so that they share the cases and the compiled engine.
_CONTEXT = mp.get_context("fork")
_TICK = 0.5  # seconds between looks at the clock


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    case: int = -1
    since: float = 0.0

    def give(self, case: int) -> None:
        self.case, self.since = case, time.monotonic()
        self.pipe.send(case)

    def end(self) -> None:
        with suppress(OSError):
            self.pipe.send(None)
        self.pipe.close()
        self.process.join(1.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_all(
    cases: Sequence[Case],
    fabric: str,
    jobs: int,
    limit: float,
    with_random: bool = False,
    larger: Sequence[str] = (),
) -> Iterator[Record]:
    """Records as they come; see ``run_case``. limit: seconds before a case's process ends."""
    _warm()

    def start() -> _Worker:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_serve, args=(theirs, cases, fabric, with_random, larger), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    waiting = iter(range(len(cases)))
    workers = [start() for _ in range(min(jobs, len(cases)))]
    try:
        busy = [worker for worker in workers if _next(worker, waiting)]
        while busy:
            ready = wait([worker.pipe for worker in busy], _TICK)
            for worker in list(busy):
                record = _look(worker, worker.pipe in ready, cases, limit)
                if record is None:
                    continue
                yield record
                if worker.case < 0:  # it ended with its case
                    worker.end()
                    busy.remove(worker)
                    workers.remove(worker)
                    worker = start()
                    workers.append(worker)
                    busy.append(worker)
                if not _next(worker, waiting):
                    busy.remove(worker)
    finally:
        for worker in workers:
            worker.end()


def _next(worker: _Worker, waiting: Iterator[int]) -> bool:
    case = next(waiting, None)
    if case is not None:
        worker.give(case)
    return case is not None


def _look(worker: _Worker, ready: bool, cases: Sequence[Case], limit: float) -> Record | None:
    """The record of a worker's case if there is one; ``worker.case`` is -1 if it must go."""
    case = cases[worker.case]
    lost = Record(case.name, case.suite, case.operator, FAILED)
    if ready:
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(1.0)
            lost.reason = f"crash: the process ended with code {worker.process.exitcode}"
    elif time.monotonic() - worker.since > limit:
        worker.process.kill()
        lost.reason = f"hang: more than {limit:g} s"
    else:
        return None
    lost.seconds = round(time.monotonic() - worker.since, 1)
    worker.case = -1
    return lost


def _serve(
    pipe: Connection, cases: Sequence[Case], fabric: str, with_random: bool, larger: Sequence[str]
) -> None:
    with suppress(EOFError, KeyboardInterrupt):
        while (number := pipe.recv()) is not None:
            pipe.send(run_case(cases[number], fabric, with_random, larger))


def _warm() -> None:
    """Compile the engine before there are several processes that would each do it."""
    array = np.zeros(2, np.float32)
    run_node(helper.make_node("Add", ["a", "b"], ["c"]), [array, array])
