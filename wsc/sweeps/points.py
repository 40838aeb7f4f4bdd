"""The points of a sweep: what is varied, and each combination of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsc.errors import CompileError, shortened
from wsc.isa.asked import flags
from wsc.isa.fabric import FabricError, find_fabric
from wsc.isa.machine import digest
from wsc.isa.operands import show_number
from wsc.isa.program import Number

if TYPE_CHECKING:
    from wsc.frontend.store import Store

MOST_POINTS = 100_000
ESTIMATE = "estimate"  # no engine: the cost model's word
PROGRAM = ".wsa"

# What is varied, besides numbers of the fabric and sizes of dimensions, in the order of columns.
MODEL, FABRIC, PRECISION, ENGINE = "model", "fabric", "precision", "engine"


@dataclass(frozen=True, slots=True)
class Model:
    """A model or program of a sweep. source: its path, or the bytes of an ONNX file.

    weights: where the weights are of a model that declares them without data.
    """

    name: str
    source: str | bytes
    weights: Store | None = None

    @property
    def is_program(self) -> bool:
        """Whether it is compiled already."""
        return isinstance(self.source, str) and self.source.endswith(PROGRAM)


@dataclass(frozen=True, slots=True)
class Point:
    """One combination. fabric, engine: None is what a command without the option takes.

    number: its place among all. folder: where the paths of models and fabrics begin; a worker may
    have another one. flags: whether its reasons are read by who gave flags.
    """

    number: int
    model: Model
    fabric: str | None
    precision: str | None
    engine: str | None
    settings: tuple[tuple[str, Number], ...]
    dims: tuple[tuple[str, int], ...]
    seed: int
    max_cycles: int | None
    max_memory: int | None
    folder: str
    flags: bool = False

    @property
    def machine(self) -> str | None:
        """The fabric, wherever the point runs."""
        if self.fabric is None or ".toml" not in self.fabric:
            return self.fabric
        return os.path.join(self.folder, self.fabric)  # noqa: PTH118 - a size may follow the path

    @property
    def path(self) -> str | bytes:
        """The model, wherever the point runs."""
        source = self.model.source
        return source if isinstance(source, bytes) else str(Path(self.folder, source))

    @property
    def axes(self) -> dict[str, Any]:
        """What tells this point from others, by column."""
        return {
            MODEL: self.model.name,
            FABRIC: self.fabric,
            PRECISION: self.precision,
            ENGINE: self.engine,
            **dict(self.dims),
            **{key: cell(value) for key, value in self.settings},
        }


def cell(value: Number) -> int | float | str:
    """A number as a cell of a table: a list of numbers is a text there."""
    return show_number(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Axes:
    """What a sweep varies: values of each axis, in the order in which they are taken.

    An axis without values is not varied: what a command without that option takes is taken.
    """

    models: Sequence[Model]
    fabrics: Sequence[str] = ()
    precisions: Sequence[str] = ()
    engines: Sequence[str] = ()
    settings: Mapping[str, Sequence[Number]] | None = None
    dims: Mapping[str, Sequence[int]] | None = None
    seed: int = 0
    max_cycles: int | None = None
    max_memory: int | None = None

    def points(self) -> list[Point]:
        """Every combination; the last axis is the one that changes fastest.

        Raises:
            CompileError: an axis has a value twice, or there are too many combinations.
        """
        settings, dims = dict(self.settings or {}), dict(self.dims or {})
        axes: dict[str, Sequence[Any]] = {
            "model": [model.name for model in self.models],
            "--fabric": self.fabrics,
            "--precision": self.precisions,
            "--engine": self.engines,
            **dims,
            **settings,
        }
        _require_apart(axes)
        compiled = [model for model in self.models if model.is_program]
        if len(compiled) == len(self.models):
            for flag, given in (("--precision", self.precisions), ("--dim", dims)):
                if given:
                    raise CompileError(f"{flag} is for models; a program is compiled with one")
        sizes = _sizes([model for model in self.models if not model.is_program], dims)
        found: list[Point] = []
        for model in self.models:
            found += self._of(model, settings, sizes.get(model, {}), len(found))
        return found

    def _of(
        self,
        model: Model,
        settings: Mapping[str, Sequence[Number]],
        dims: Mapping[str, Sequence[int]],
        first: int,
    ) -> Iterator[Point]:
        """The points of one model; a program has its precision and sizes already."""
        precisions = [None] if model.is_program else self.precisions or ["f32"]
        choices: list[Sequence[Any]] = [
            self.fabrics or [None],
            precisions,
            self.engines or [None],
            *([(key, value) for value in values] for key, values in dims.items()),
            *([(key, value) for value in values] for key, values in settings.items()),
        ]
        count = first + math.prod(map(len, choices))
        if count > MOST_POINTS:
            raise CompileError(f"the sweep has {count:,} points or more, beyond {MOST_POINTS:,}")
        sizes = slice(3, 3 + len(dims))
        for number, chosen in enumerate(itertools.product(*choices), first):
            fabric, precision, engine = chosen[:3]
            yield Point(
                number=number,
                model=model,
                fabric=fabric,
                precision=precision,
                engine=engine,
                settings=tuple(chosen[sizes.stop :]),
                dims=tuple(chosen[sizes]),
                seed=self.seed,
                max_cycles=self.max_cycles,
                max_memory=self.max_memory,
                folder=str(Path.cwd()),
                flags=flags(),
            )


def _sizes(
    models: Sequence[Model], dims: Mapping[str, Sequence[int]]
) -> dict[Model, Mapping[str, Sequence[int]]]:
    """The sizes of dimensions that each model is given: of several models, those that it has.

    A size that no model has goes to all of them, and each then says that it does not have it.
    """
    if len(models) < 2 or not dims:
        return dict.fromkeys(models, dims)
    has = {model: _sizes_of(model, dims) for model in models}
    known = {key for keys in has.values() if keys is not None for key in keys}
    return {
        model: {key: dims[key] for key in dims if keys is None or key in keys or key not in known}
        for model, keys in has.items()
    }


def _sizes_of(model: Model, dims: Mapping[str, Sequence[int]]) -> Sequence[str] | None:
    """The names of sizes that a model has; None if it cannot be read, which its row says."""
    from wsc.frontend.load import sizes_taken
    from wsc.frontend.source import read_model

    try:
        # A sequence of most tensors has the sizes of all of them.
        largest = {key: max(values, default=0) for key, values in dims.items()}
        return sizes_taken(read_model(model.source), largest)
    except CompileError:
        return None


def _require_apart(axes: Mapping[str, Sequence[Any]]) -> None:
    """No axis has a value twice, and none is empty."""
    for name, values in axes.items():
        texts = [str(value) for value in values]
        twice = next((text for text in texts if texts.count(text) > 1), None)
        if twice is not None:
            raise CompileError(f"{name}: {shortened(twice)} is given twice")
    if not axes["model"]:
        raise CompileError("a sweep needs a model or a program")


def keys(points: Iterable[Point]) -> list[str]:
    """A digest of each point and of the files that it reads: by it a journal knows its row."""
    files: dict[Model, str] = {}
    machines: dict[str, str] = {}
    found: list[str] = []
    for point in points:
        if point.model not in files:
            files[point.model] = _file_digest(point.model)
        fabric = point.fabric or ""
        if fabric not in machines:
            machines[fabric] = _fabric_digest(fabric)
        described = [
            files[point.model],
            machines[fabric],
            point.axes,
            point.seed,
            point.max_cycles,
            point.max_memory,
        ]
        found.append(hashlib.sha256(json.dumps(described).encode()).hexdigest())
    return found


def _file_digest(model: Model) -> str:
    """A digest of a model; files of external data are known by size and time."""
    if isinstance(model.source, bytes):
        made = hashlib.sha256(model.source)
        if model.weights is not None:
            made.update(model.weights.described().encode())
            made.update(_stamps(model.weights.files))
        return made.hexdigest()
    path = Path(model.source)
    try:
        made = hashlib.sha256(path.read_bytes())
    except OSError:
        return ""  # the points themselves say so
    if not model.is_program:  # a program's text knows its weights by their digests
        from wsc.frontend.load import model_files

        made.update(_stamps(model_files(path)))
    return made.hexdigest()


def _stamps(files: Iterable[Path]) -> bytes:
    """Files that are not read, by what is known of them."""
    found: list[str] = []
    for file in files:
        try:
            known = file.stat()
        except OSError:
            continue
        found.append(f"{file} {known.st_size} {known.st_mtime_ns}\n")
    return "".join(found).encode()


def _fabric_digest(fabric: str) -> str:
    if not fabric:
        return ""
    try:
        return digest(find_fabric(fabric))
    except FabricError:
        return ""  # the points themselves say so
