"""The runs of one training step on several wafers: each is a task of joblib.

joblib's processes on this machine, or a Dask cluster, do the distributing; here are only the
task, and what is done when a worker dies. Results come in the order of the tasks, whoever did
them, so what is added up of them has the same bits on any number of wafers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from wsc.errors import CompileError
from wsc.isa.machine import machine_of
from wsc.isa.parser import parse
from wsc.runtime.api import run
from wsc.runtime.errors import RuntimeFault
from wsc.runtime.image import Image, load

TRIES = 3  # of a step whose workers die

Arrays = Mapping[str, np.ndarray]


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

        program: the file of the step, which the workers read, too. store: what is in the weight
        store now. A step whose workers die is done again: nothing was updated.

        Raises:
            RuntimeFault: a run did not end well, or the workers die each time.
            CompileError: there is no joblib, no Dask or no such cluster.
        """
        try:
            from joblib import Parallel, delayed
        except ImportError:
            raise CompileError("several wafers need joblib: pip install 'wsc[wafers]'") from None
        tasks = [delayed(run_on_wafer)(str(program), dict(store), part, engine) for part in parts]
        for number in range(TRIES):
            try:
                with self._place():
                    done = cast(list[Ran], Parallel(n_jobs=self.count)(tasks))
            except BrokenProcessPool:
                if number == TRIES - 1:
                    raise RuntimeFault(
                        f"the processes of {self.count} wafers ended {TRIES} times before their "
                        "runs did: is there memory for all of them?"
                    ) from None
                continue
            for item in done:
                if item.fault:
                    raise RuntimeFault(item.fault)
            return done
        raise AssertionError

    @contextmanager
    def _place(self) -> Generator[None]:
        """Where joblib's tasks run."""
        if not self.cluster:
            yield
            return
        from joblib import parallel_config

        try:
            from distributed import Client
        except ImportError:
            raise CompileError("a cluster needs Dask: pip install 'wsc[cluster]'") from None
        try:
            client = Client(self.cluster, timeout=10)
        except (OSError, ValueError) as error:
            raise CompileError(f"cluster {self.cluster}: {error}") from None
        with client, parallel_config(backend="dask", client=client):
            yield


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
