"""Jobs over warm processes; one that hangs or dies costs its own result alone."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

import numpy as np
from onnx import helper

from conformance.run import FAILED, Record, run_case
from conformance.suite import Case
from wsc.backend import run_node

# Processes are forked, so that they share the cases and the compiled engine.
_CONTEXT = mp.get_context("fork")
_TICK = 0.5  # seconds between looks at the clock

T = TypeVar("T")


class Loss(Enum):
    """How a job ended that has no result."""

    CRASH = "crash"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """What processes do with each number.

    work: the result of a number, in a process of its own. lost: the result of one that hung
    or died, with a sentence and the seconds that it took. limit: seconds for each.
    """

    work: Callable[[int], T]
    lost: Callable[[int, Loss, str, float], T]
    limit: float


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    number: int = -1
    since: float = 0.0

    def give(self, number: int) -> None:
        self.number, self.since = number, time.monotonic()
        self.pipe.send(number)

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

    def work(number: int) -> Record:
        return run_case(cases[number], fabric, with_random, larger)

    def lost(number: int, _: Loss, reason: str, seconds: float) -> Record:
        case = cases[number]
        record = Record(case.name, case.suite, case.operator, FAILED, fabric, reason)
        record.seconds = round(seconds, 1)
        return record

    return over_processes(Job(work, lost, limit), range(len(cases)), jobs)


def over_processes(job: Job[T], numbers: Sequence[int], jobs: int) -> Iterator[T]:
    """Results as they come. jobs: processes."""
    _warm()

    def start() -> _Worker:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(theirs, job.work), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    waiting = iter(numbers)
    workers = [start() for _ in range(min(jobs, len(numbers)))]
    try:
        busy = [worker for worker in workers if _next(worker, waiting)]
        while busy:
            ready = wait([worker.pipe for worker in busy], _TICK)
            for worker in list(busy):
                if worker.pipe not in ready and _seconds(worker) <= job.limit:
                    continue
                yield _result(worker, worker.pipe in ready, job)
                if worker.number < 0:  # it ended with its job
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
    number = next(waiting, None)
    if number is not None:
        worker.give(number)
    return number is not None


def _seconds(worker: _Worker) -> float:
    return time.monotonic() - worker.since


def _result(worker: _Worker, ready: bool, job: Job[T]) -> T:
    """The result of a worker that is ready or late; ``worker.number`` is -1 if it must go."""
    if ready:
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(1.0)
            code = worker.process.exitcode
            loss, reason = Loss.CRASH, f"crash: the process ended with code {code}"
    else:
        worker.process.kill()
        loss, reason = Loss.HANG, f"hang: more than {job.limit:g} s"
    number, worker.number = worker.number, -1
    return job.lost(number, loss, reason, _seconds(worker))


def _serve(pipe: Connection, work: Callable[[int], object]) -> None:
    with suppress(EOFError, KeyboardInterrupt):
        while (number := pipe.recv()) is not None:
            pipe.send(work(number))


def _warm() -> None:
    """Compile the engine before there are several processes that would each do it."""
    array = np.zeros(2, np.float32)
    run_node(helper.make_node("Add", ["a", "b"], ["c"]), [array, array])
