"""Fabric descriptions: the only place where a number of the machine is written.

A description is a TOML file (``isa/fabrics/NAME.toml`` or a path). Every number in
it is a table ``{ value, grade, note }``; the grade says what kind of evidence it has.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from isa.diagnostics import nearest
from isa.program import Number
from isa.table import Timing
from isa.types import DType

PRESETS = Path(__file__).parent / "fabrics"
DEFAULT = "wse2"


class FabricError(ValueError):
    """A fabric description that cannot be read, or that breaks its schema."""


class Grade(Enum):
    """Evidence for a number."""

    PRIMARY = "P"
    SECONDHAND = "S"
    DERIVED = "D"
    ASSUMED = "A"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Grade and note of one number; ``key`` is its dotted path in the description."""

    key: str
    value: Any
    grade: Grade
    note: str


@dataclass(frozen=True, slots=True)
class ClassTiming:
    """Cycles of a timing class: ``startup``, then ``ceil(n / group[T]) * cycles`` for a row of n.

    group is indexed by element type; empty for scalar and control classes.
    """

    startup: int
    cycles: int = 0
    group: dict[DType, int] = field(default_factory=dict)

    def row(self, steps: int, dtype: DType) -> int:
        """Cycles of a row of ``steps`` steps of element type ``dtype``; at least one."""
        return max(1, -(-steps // self.group[dtype])) * self.cycles


@dataclass(frozen=True, slots=True)
class Fabric:
    """A fabric: size in tiles, limits, bandwidths, cycles and energies (picojoules)."""

    name: str
    title: str
    width: int
    height: int
    clock_hertz: int
    sram_bytes: int
    colors: int
    router_buffer_depth: int
    ramp_latency: int
    input_queues: tuple[int, ...]
    output_queues: tuple[int, ...]
    dynamic: bool
    dynamic_buffer_depth: int
    stream_units: int
    registers: int
    window: int
    call_depth: int
    loop_depth: int
    semaphores: int
    dimensions: int
    scalar_bytes: int
    vector_bytes: int
    descriptor_bytes: int
    dimension_bytes: int
    argument_bytes: int
    io_bytes_per_cycle: int
    issue_cycles: int
    timing: dict[Timing, ClassTiming]
    energy: dict[str, float]
    evidence: tuple[Evidence, ...] = field(repr=False, compare=False, default=())
    source: str = ""

    def sized(self, width: int, height: int) -> Fabric:
        """The same tiles in a ``width`` x ``height`` rectangle.

        Raises:
            FabricError: the rectangle does not fit on the fabric or is empty.
        """
        if not (1 <= width <= self.width and 1 <= height <= self.height):
            raise FabricError(
                f"a rectangle of {width}x{height} tiles does not fit on fabric "
                f"'{self.name}', which has {self.width}x{self.height}"
            )
        return replace(self, width=width, height=height)

    def numbers(self) -> dict[str, Number]:
        """Every number of the fabric under its dotted key, in the order of a description."""
        found: dict[str, Number] = {key: getattr(self, name) for key, name in _targets().items()}
        found["dynamic.present"] = int(self.dynamic)
        for row, timing in self.timing.items():
            found[f"timing.{row.value}.startup"] = timing.startup
            if row in _VECTOR_CLASSES:
                found[f"timing.{row.value}.cycles"] = timing.cycles
                groups = timing.group.items()
                found |= {f"timing.{row.value}.{kind.value}": group for kind, group in groups}
        return found | {f"energy.{key}": value for key, value in self.energy.items()}

    def require_key(self, key: str) -> None:
        """Refuse a key that names no number; they are the same for all fabrics.

        Raises:
            FabricError: with the nearest key.
        """
        known = self.numbers()
        if key not in known:
            raise FabricError(f"fabrics have no number '{key[:64]}'{nearest(key, known)}")

    def changed(self, numbers: Mapping[str, Number]) -> Fabric:
        """The fabric with other numbers, each under its dotted key.

        Raises:
            FabricError: there is no such number, or it is out of its range.
        """
        known = self.numbers()
        for key, value in numbers.items():
            self.require_key(key)
            if isinstance(value, float) and not math.isfinite(value):
                raise FabricError(f"{self.name}: '{key}' must be finite; got {value!r}")
        grades = {item.key: item for item in self.evidence}
        leaves: dict[str, Evidence] = {}
        for key, value in {**known, **numbers}.items():
            told = list(value) if isinstance(value, tuple) else value
            found = grades.get(key)
            if found is None or found.value != told:
                found = Evidence(key, told, Grade.ASSUMED, "changed")
            leaves[key] = found
        built = _built(self.name, self.title, leaves, Path(self.name))
        return replace(built, source=self.source)


# dotted key in the file -> (field of Fabric, least value allowed)
_FIELDS: dict[str, tuple[str, int]] = {
    "size.width": ("width", 1),
    "size.height": ("height", 1),
    "clock.hertz": ("clock_hertz", 1),
    "sram.bytes": ("sram_bytes", 1),
    "router.colors": ("colors", 1),
    "router.buffer_depth": ("router_buffer_depth", 2),
    "ramp.latency": ("ramp_latency", 1),
    "ramp.input_queues": ("input_queues", 1),
    "ramp.output_queues": ("output_queues", 1),
    "dynamic.present": ("dynamic", 0),
    "dynamic.buffer_depth": ("dynamic_buffer_depth", 2),
    "core.stream_units": ("stream_units", 0),
    "core.registers": ("registers", 1),
    "core.window": ("window", 1),
    "core.call_depth": ("call_depth", 1),
    "core.loop_depth": ("loop_depth", 1),
    "core.semaphores": ("semaphores", 1),
    "core.dimensions": ("dimensions", 1),
    "code.scalar_bytes": ("scalar_bytes", 0),
    "code.vector_bytes": ("vector_bytes", 0),
    "code.descriptor_bytes": ("descriptor_bytes", 0),
    "code.dimension_bytes": ("dimension_bytes", 0),
    "code.argument_bytes": ("argument_bytes", 0),
    "io.bytes_per_cycle": ("io_bytes_per_cycle", 1),
    "timing.issue": ("issue_cycles", 0),
}
_ENERGY = (
    "multiply_accumulate_f32",
    "multiply_accumulate_f16",
    "operation",
    "sram_byte",
    "hop",
    "io_byte",
    "static_tile_cycle",
)
_VECTOR_CLASSES = (
    Timing.MOVE,
    Timing.ARITHMETIC,
    Timing.MULTIPLY_ACCUMULATE,
    Timing.DIVIDE,
    Timing.SPECIAL,
    Timing.SEND,
)


def _leaves(table: dict[str, Any], prefix: str, path: Path) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    for key, item in table.items():
        dotted = f"{prefix}{key}"
        if not isinstance(item, dict):
            raise FabricError(f"{path}: '{dotted}' must be a table {{ value, grade, note }}")
        if "value" not in item:
            found |= _leaves(item, f"{dotted}.", path)
            continue
        extra = set(item) - {"value", "grade", "note"}
        if extra:
            raise FabricError(f"{path}: '{dotted}' has the unknown field '{min(extra)}'")
        grades = [grade.value for grade in Grade]
        if item.get("grade") not in grades:
            raise FabricError(f"{path}: '{dotted}' needs a grade, one of {', '.join(grades)}")
        note = str(item.get("note", ""))
        found[dotted] = Evidence(dotted, item["value"], Grade(item["grade"]), note)
    return found


def _integer(leaf: Evidence, least: int, path: Path) -> int | tuple[int, ...]:
    value: Any = leaf.value
    many = leaf.key.endswith("_queues")
    listed = isinstance(value, list)
    values: tuple[Any, ...] = tuple(value) if listed else (value,)
    good = all(isinstance(v, int) and not isinstance(v, bool) and v >= least for v in values)
    if not good or many != listed or not values:
        kind = "a list of integers" if many else "an integer"
        raise FabricError(f"{path}: '{leaf.key}' must be {kind}, at least {least}; got {value!r}")
    return values if many else values[0]


def _take(leaves: dict[str, Evidence], key: str, path: Path) -> Evidence:
    if key not in leaves:
        raise FabricError(f"{path}: the number '{key}' is missing")
    return leaves.pop(key)


def _class_timing(leaves: dict[str, Evidence], row: Timing, path: Path) -> ClassTiming:
    def number(part: str, least: int) -> int:
        value = _integer(_take(leaves, f"timing.{row.value}.{part}", path), least, path)
        assert isinstance(value, int)
        return value

    startup = number("startup", 0 if row in _VECTOR_CLASSES else 1)
    if row not in _VECTOR_CLASSES:
        return ClassTiming(startup)
    return ClassTiming(startup, number("cycles", 1), {t: number(t.value, 1) for t in DType})


def read_fabric(path: Path) -> Fabric:
    """Read and check one description.

    Raises:
        FabricError: the file is missing, is not TOML, lacks a number, or has one that
            is unknown, out of range or without a grade.
    """
    try:
        return _described(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FabricError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FabricError(f"{path}: not a TOML file: {error}") from error


@lru_cache(maxsize=16)
def _described(path: Path, text: str) -> Fabric:
    """The fabric of a description: many small models are compiled for the same one."""
    raw = tomllib.loads(text)
    name, title = str(raw.pop("name", path.stem)), str(raw.pop("title", ""))
    leaves = _leaves(raw, "", path)
    return _built(name, title, leaves, path)


def _built(name: str, title: str, leaves: dict[str, Evidence], path: Path) -> Fabric:
    """The fabric of the numbers in ``leaves``, which are used up; ``path`` is for messages."""
    evidence = tuple(leaves.values())
    values: dict[str, Any] = {
        target: _integer(_take(leaves, key, path), least, path)
        for key, (target, least) in _FIELDS.items()
    }
    values["dynamic"] = bool(values["dynamic"])
    timing = {row: _class_timing(leaves, row, path) for row in Timing}
    energy: dict[str, float] = {}
    for key in _ENERGY:
        leaf = _take(leaves, f"energy.{key}", path)
        if not isinstance(leaf.value, (int, float)) or leaf.value < 0:
            raise FabricError(f"{path}: '{leaf.key}' must be a number, at least 0")
        energy[key] = float(leaf.value)
    if leaves:
        raise FabricError(f"{path}: the number '{min(leaves)}' is not known")
    return Fabric(
        name=name, title=title, timing=timing, energy=energy, evidence=evidence,
        source=str(path), **values,
    )  # fmt: skip


def presets() -> tuple[str, ...]:
    """Names of the fabrics that ship with the package."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def find_fabric(text: str) -> Fabric:
    """The fabric that ``text`` names: a preset, ``WxH`` tiles of the default one, or a TOML file.

    Raises:
        FabricError: no such preset or file, or a rectangle that does not fit.
    """
    size = re.fullmatch(r"(\d+)x(\d+)", text)
    if size:
        return find_fabric(DEFAULT).sized(int(size[1]), int(size[2]))
    if text in presets():
        return read_fabric(PRESETS / f"{text}.toml")
    if text.endswith(".toml"):
        return read_fabric(Path(text))
    raise FabricError(
        f"no fabric '{text}': name one of {', '.join(presets())}, a size such as 16x16, "
        "or a .toml file"
    )


def _targets() -> dict[str, str]:
    """Field of ``Fabric`` by dotted key, for the numbers that have one."""
    return {key: target for key, (target, _) in _FIELDS.items()}
