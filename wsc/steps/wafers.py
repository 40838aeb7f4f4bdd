"""The runs of one training step on several wafers: each is a task of an engine of others.

joblib's processes on this machine, or a Dask cluster, do the distributing; here are only the
task, and what is done when a worker dies. Results come in the order of the tasks, whoever did
them, so what is added up of them has the same bits on any number of wafers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from wsc.cluster import PATIENCE, connect
from wsc.errors import CompileError
from wsc.isa.machine import machine_of
from wsc.isa.parser import parse
from wsc.runtime.api import run
from wsc.runtime.errors import RuntimeFault
from wsc.runtime.image import Image, load

TRIES = 3  # of a step whose workers die

Arrays = Mapping[str, np.ndarray]


class WorkersDied(Exception):
    """Workers ended before their runs did."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run gave. fault: why it ended, if it did not end well."""

    outputs: dict[str, np.ndarray]
    cycles: int | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Wafers:
    """count: how many there are. cluster: address of a Dask scheduler; "": processes here."""

    count: int
    cluster: str = ""

    def run(self, program: Path, store: Arrays, parts: Sequence[Arrays], engine: str) -> list[Ran]:
        """The runs of a step, in the order of their inputs.

        program: the file of the step, which the workers read, too. store: the weights as they are
        now. A step whose workers die is done again: nothing was updated.

        Raises:
            RuntimeFault: a run did not end well, or the workers die each time.
            CompileError: there is no joblib, no Dask or no such cluster.
        """
        place = _on_cluster if self.cluster else _in_processes
        for _ in range(TRIES):
            try:
                done = place(self, str(program), store, parts, engine)
            except WorkersDied:
                continue
            for item in done:
                if item.fault:
                    raise RuntimeFault(item.fault)
            return done
        raise RuntimeFault(
            f"the workers of {self.count} wafers ended {TRIES} times before their runs did: is "
            "there memory for all of them?"
        )


def _in_processes(
    wafers: Wafers, program: str, store: Arrays, parts: Sequence[Arrays], engine: str
) -> list[Ran]:
    """The runs in joblib's processes. Raises WorkersDied."""
    try:
        from joblib import Parallel, delayed
    except ImportError:
        raise CompileError("several wafers need joblib: pip install 'wsc[wafers]'") from None
    tasks = [delayed(run_on_wafer)(program, dict(store), part, engine) for part in parts]
    try:
        return cast(list[Ran], Parallel(n_jobs=wafers.count)(tasks))
    except BrokenProcessPool:
        raise WorkersDied from None


def _on_cluster(
    wafers: Wafers, program: str, store: Arrays, parts: Sequence[Arrays], engine: str
) -> list[Ran]:
    """The runs as tasks of a Dask cluster. Raises WorkersDied.

    Dask gives another worker what one that died had at work, some times.
    """
    client = connect(wafers.cluster)
    from distributed import CancelledError, KilledWorker

    try:
        # Each worker gets the weights once, whatever the number of its runs. They are lost, and
        # all that wants them, if the only workers that had them die.
        (there,) = client.scatter([dict(store)], hash=False, broadcast=True)
        given = [(program, there, part, engine) for part in parts]
        # A result is not taken from an earlier step: the weights have other values by now.
        futures = [client.submit(run_on_wafer, *items, pure=False) for items in given]
        for future in futures:
            error = _error(client, future, wafers.cluster)
            if isinstance(error, KilledWorker):
                raise WorkersDied
            if error is not None:
                reason = f"{type(error).__name__}: {error}"
                raise RuntimeFault(f"a worker of {wafers.cluster} cannot run the step: {reason}")
        return [future.result() for future in futures]
    except (OSError, CancelledError):  # the weights, or results that were there, went with them
        raise WorkersDied from None
    finally:
        client.close()


def _error(client: Any, future: Any, address: str) -> Exception | None:
    """What a task raised, once it is done. Raises RuntimeFault where no worker is left for it."""
    while True:
        try:
            return future.exception(timeout=PATIENCE)
        except TimeoutError:
            if not client.nthreads():
                raise RuntimeFault(f"the cluster at {address} has no worker any more") from None


_images: dict[str, Image] = {}  # of this worker: the program of its last run


def run_on_wafer(program: str, store: Arrays, inputs: Arrays, engine: str) -> Ran:
    """One run, in a worker. It keeps the loaded program for the next one."""
    try:
        image = _images.get(program)
        if image is None:
            path = Path(program)
            assembly = parse(path.read_text(encoding="utf-8"), program)
            fabric = machine_of(assembly).sized(assembly.width, assembly.height)
            image = load(assembly, fabric, path.parent)
            _images.clear()
            _images[program] = image
        for name, array in store.items():
            image.weights[name].data = np.ascontiguousarray(array).reshape(-1)
        result = run(image, inputs, engine=engine)
    except RuntimeFault as error:  # not all of its kinds can be sent
        return Ran({}, None, str(error))
    return Ran(result.outputs, result.cycles)
