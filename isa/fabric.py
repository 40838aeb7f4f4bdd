"""Fabric descriptions: the only place where a number of the machine is written.

A description is a TOML file (``isa/fabrics/NAME.toml`` or a path). Every number in
it is a table ``{ value, grade, note }``; the grade says what kind of evidence it has.
A variant says ``base = "wse2"`` and gives the numbers that differ.
"""

from __future__ import annotations

import html
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from wsc.isa.diagnostics import nearest
from wsc.isa.files import read_text
from wsc.isa.limits import MOST_DIMENSIONS
from wsc.isa.program import Number
from wsc.isa.shown import Facts, Shown
from wsc.isa.table import Timing
from wsc.isa.types import DType

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
    MEASURED = "M"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Grade and note of one number; ``key`` is its dotted path in the description."""

    key: str
    value: Any
    grade: Grade
    note: str


@dataclass(frozen=True, slots=True)
class ClassTiming:
    """Cycles of a timing class: ``startup``, then a row of n takes ``n * cycles / group[T]``.

    group: elements of type T that are done in ``cycles`` cycles; empty for scalar and control
    classes. queue_startup, queue_group: the same of an instruction with an operand in a queue;
    left out, they are those of one whose operands are all in SRAM.
    """

    startup: int
    cycles: int = 0
    group: dict[DType, int] = field(default_factory=dict)
    queue_startup: int = -1
    queue_group: dict[DType, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let an operand in a queue cost what one in SRAM does, where nothing else is said."""
        if self.queue_startup == -1:
            object.__setattr__(self, "queue_startup", self.startup)
        if not self.queue_group:
            object.__setattr__(self, "queue_group", self.group)

    def start(self, queue: bool) -> int:
        """Cycles before the first row. queue: whether an operand is in a queue."""
        return self.queue_startup if queue else self.startup

    def lanes(self, dtype: DType, queue: bool) -> int:
        """Elements that are done in ``cycles`` cycles. queue: whether an operand is in a queue."""
        return self.queue_group[dtype] if queue else self.group[dtype]

    def row(self, steps: int, dtype: DType, queue: bool = False) -> int:
        """Cycles of a row of ``steps`` steps of element type ``dtype``; at least one.

        queue: whether an operand is in a queue.
        """
        return max(1, -(-steps * self.cycles // self.lanes(dtype, queue)))

    def peak(self, dtype: DType) -> float:
        """Elements a cycle, where operands are in the better place."""
        return max(self.group[dtype], self.queue_group[dtype]) / self.cycles


@dataclass(frozen=True, slots=True, repr=False)
class Fabric(Shown):
    """A fabric: size in tiles, limits, bandwidths, cycles and energies (picojoules)."""

    name: str
    title: str
    width: int
    height: int
    clock_hertz: int
    sram_bytes: int
    sram_banks: int
    sram_bank_bytes: int
    sram_conflict_millicycles: int
    colors: int
    router_buffer_depth: int
    hop_cycles: int
    turn_cycles: int
    link_millicycles: int
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
    interconnect_bytes_per_second: int
    interconnect_ways: int
    interconnect_nanoseconds: int
    issue_cycles: int
    dependent_cycles: int
    branch_taken_cycles: int
    branch_back_cycles: int
    timing: dict[Timing, ClassTiming]
    energy: dict[str, float]
    evidence: tuple[Evidence, ...] = field(repr=False, compare=False, default=())
    source: str = ""

    def __post_init__(self) -> None:
        """Hold every number to its range, however the fabric was made.

        Raises:
            FabricError: a number is out of its range, with its key.
        """
        for key, numbers in _FIELDS.items():
            value = getattr(self, numbers.target)
            values: tuple[Any, ...] = value if key.endswith("_queues") else (value,)
            if key == "dynamic.present":
                values = (int(value),)
            _require(self.name, key, values, numbers)
            if key.endswith("_queues") and not 1 <= len(values) <= _MOST_QUEUES:
                raise FabricError(
                    f"fabric '{self.name}': '{key}' has {len(values)} queues, "
                    f"and there may be 1 to {_MOST_QUEUES}"
                )
        if self.window > self.registers:
            raise FabricError(
                f"fabric '{self.name}': 'core.window' is {self.window}, more than the "
                f"{self.registers} of 'core.registers' that all windows share"
            )
        for row, timing in self.timing.items():
            for part, value in _parts(row, timing).items():
                least = 0 if part.endswith("startup") and row in _VECTOR_CLASSES else 1
                allowed = _Range(part, least, MOST_CYCLES)
                _require(self.name, f"timing.{row.value}.{part}", (value,), allowed)
        for key, value in self.energy.items():
            if not 0 <= value <= _MOST_ENERGY:
                raise FabricError(
                    f"fabric '{self.name}': 'energy.{key}' must be 0 to {_MOST_ENERGY:g} "
                    f"picojoules; got {value!r}"
                )

    @property
    def link_stages(self) -> int:
        """Wavelets on the way from one router to the next, beside those in the buffer there."""
        return self.hop_cycles - 1

    @property
    def dynamic_places(self) -> int:
        """Wavelets that the dynamic network holds between two of its routers."""
        return self.dynamic_buffer_depth + self.link_stages

    def _facts(self) -> Facts:
        return [("name", self.name), ("tiles", f"{self.width}x{self.height}")]

    def _repr_html_(self) -> str:
        head = (
            f"<tr><th>{html.escape(self.name)}</th><td>{self.width}x{self.height} tiles</td></tr>"
        )
        grades = {item.key: item.grade.value for item in self.evidence}
        rows = "".join(
            f"<tr><td>{key}</td><td>{value}</td><td>{grades.get(key, '')}</td></tr>"
            for key, value in self.numbers().items()
        )
        return f"<p>{html.escape(self.title)}</p><table>{head}{rows}</table>"

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
            parts = _parts(row, timing).items()
            found |= {f"timing.{row.value}.{part}": value for part, value in parts}
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
            if key not in numbers and value == known[followed(key)] and key != followed(key):
                continue  # it follows the number for operands in SRAM, whatever that is now
            told = list(value) if isinstance(value, tuple) else value
            found = grades.get(key)
            if found is None or found.value != told:
                found = Evidence(key, told, Grade.ASSUMED, "changed")
            leaves[key] = found
        built = _built(self.name, self.title, leaves, Path(self.name))
        return replace(built, source=self.source)


@dataclass(frozen=True, slots=True)
class _Range:
    """A number of the description: the field of ``Fabric`` that holds it, and its range.

    The upper ends are those of the simulated machine: with them no table of a run counts
    beyond its integers, whatever the program.
    """

    target: str
    least: int
    most: int

    def holds(self, value: Any) -> bool:
        """Whether a value is a whole number in the range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.least <= value <= self.most


MOST_CYCLES = 1 << 16  # of any one timing
MOST_DEPTH = 1 << 10  # of any one queue or buffer
MOST_STAGES = 1 << 8  # cycles between two routers: each is a place that holds a wavelet

_FIELDS: dict[str, _Range] = {
    "size.width": _Range("width", 1, 1 << 12),
    "size.height": _Range("height", 1, 1 << 12),
    "clock.hertz": _Range("clock_hertz", 1, 10**12),
    "sram.bytes": _Range("sram_bytes", 1, 1 << 23),  # strides travel in 24 bits
    "sram.banks": _Range("sram_banks", 1, 1 << 10),
    "sram.bank_bytes": _Range("sram_bank_bytes", 1, 1 << 10),
    "sram.conflict_millicycles": _Range("sram_conflict_millicycles", 1000, 16_000),
    "router.colors": _Range("colors", 1, 1 << 8),
    "router.buffer_depth": _Range("router_buffer_depth", 2, MOST_DEPTH),
    "link.hop": _Range("hop_cycles", 1, MOST_STAGES),
    "link.turn": _Range("turn_cycles", 0, MOST_STAGES),
    "link.millicycles": _Range("link_millicycles", 1000, 1_000_000),
    "ramp.latency": _Range("ramp_latency", 1, MOST_CYCLES),
    "ramp.input_queues": _Range("input_queues", 1, MOST_DEPTH),
    "ramp.output_queues": _Range("output_queues", 1, MOST_DEPTH),
    "dynamic.present": _Range("dynamic", 0, 1),
    "dynamic.buffer_depth": _Range("dynamic_buffer_depth", 2, MOST_DEPTH),
    "core.stream_units": _Range("stream_units", 0, 1 << 6),
    "core.registers": _Range("registers", 1, 1 << 16),
    "core.window": _Range("window", 1, 1 << 16),
    "core.call_depth": _Range("call_depth", 1, 1 << 8),
    "core.loop_depth": _Range("loop_depth", 1, 1 << 8),
    "core.semaphores": _Range("semaphores", 1, 1 << 8),  # numbered in 8 bits
    "core.dimensions": _Range("dimensions", 1, MOST_DIMENSIONS),
    "code.scalar_bytes": _Range("scalar_bytes", 0, 1 << 16),
    "code.vector_bytes": _Range("vector_bytes", 0, 1 << 16),
    "code.descriptor_bytes": _Range("descriptor_bytes", 0, 1 << 16),
    "code.dimension_bytes": _Range("dimension_bytes", 0, 1 << 16),
    "code.argument_bytes": _Range("argument_bytes", 0, 1 << 16),
    "io.bytes_per_cycle": _Range("io_bytes_per_cycle", 1, 1 << 20),
    "interconnect.bytes_per_second": _Range("interconnect_bytes_per_second", 1, 10**15),
    "interconnect.ways": _Range("interconnect_ways", 2, 1 << 10),
    "interconnect.nanoseconds": _Range("interconnect_nanoseconds", 0, 10**9),
    "timing.issue": _Range("issue_cycles", 0, MOST_CYCLES),
    "timing.dependent": _Range("dependent_cycles", 0, MOST_CYCLES),
    "timing.branch.taken": _Range("branch_taken_cycles", 1, MOST_CYCLES),
    "timing.branch.back": _Range("branch_back_cycles", 0, MOST_CYCLES),
}
_MOST_QUEUES = 62  # colors with a route in one tile
_MOST_ENERGY = 1e12  # picojoules
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
_QUEUE_CLASSES = _VECTOR_CLASSES[:-1]  # a remote store has no operand in a queue

_DEEPEST = 8  # tables within tables; two are used
_SIZED = re.compile(r"(?:(.+):)?(\d{1,9})x(\d{1,9})")  # 8x8 or NAME:8x8
_LONGEST_CHAIN = 16  # descriptions of which each is the base of the one before
_MOST = 1 << 20  # bytes of a description


def _parts(row: Timing, timing: ClassTiming) -> dict[str, int]:
    """The numbers of a timing class, by the part of their keys behind the class."""
    parts = {"startup": timing.startup}
    if row in _VECTOR_CLASSES:
        parts["cycles"] = timing.cycles
        parts |= {dtype.value: timing.group[dtype] for dtype in DType}
    if row in _QUEUE_CLASSES:
        parts["queue.startup"] = timing.queue_startup
        parts |= {f"queue.{dtype.value}": timing.queue_group[dtype] for dtype in DType}
    return parts


def followed(key: str) -> str:
    """The number that another one is if nothing is said of it; the key itself for most.

    What holds with an operand in a queue is what holds with all operands in SRAM.
    """
    return key.replace(".queue.", ".") if key.startswith("timing.") else key


def _require(name: str, key: str, values: tuple[Any, ...], allowed: _Range) -> None:
    """Every one of the values is a whole number in the range."""
    for value in values:
        if not allowed.holds(value):
            raise FabricError(
                f"fabric '{name}': '{key}' must be {allowed.least} to {allowed.most}; got {value!r}"
            )


def graded(table: dict[str, Any], prefix: str, path: Path) -> dict[str, Evidence]:
    """The numbers of a table of TOML by their dotted keys, each with its grade.

    prefix: of the keys. path: of the file, for messages.

    Raises:
        FabricError: something in it is no table ``{ value, grade, note }``.
    """
    found: dict[str, Evidence] = {}
    if prefix.count(".") > _DEEPEST:
        raise FabricError(f"{path}: its tables are nested more than {_DEEPEST} deep")
    for key, item in table.items():
        dotted = f"{prefix}{key}"
        if not isinstance(item, dict):
            raise FabricError(f"{path}: '{dotted}' must be a table {{ value, grade, note }}")
        if "value" not in item:
            found |= graded(item, f"{dotted}.", path)
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


def _integer(leaf: Evidence, path: Path) -> int | tuple[int, ...]:
    """A whole number, or a list of them; ``Fabric`` itself looks at the range."""
    value: Any = leaf.value
    many = leaf.key.endswith("_queues")
    listed = isinstance(value, list)
    values: tuple[Any, ...] = tuple(value) if listed else (value,)
    good = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if not good or many != listed or not values:
        kind = "a list of integers" if many else "an integer"
        raise FabricError(f"{path}: '{leaf.key}' must be {kind}; got {value!r}")
    return values if many else values[0]


def _take(leaves: dict[str, Evidence], key: str, path: Path) -> Evidence:
    if key not in leaves:
        raise FabricError(f"{path}: the number '{key}' is missing")
    return leaves.pop(key)


def _class_timing(leaves: dict[str, Evidence], row: Timing, path: Path) -> ClassTiming:
    def number(part: str) -> int:
        value = _integer(_take(leaves, f"timing.{row.value}.{part}", path), path)
        assert isinstance(value, int)
        return value

    startup = number("startup")
    if row not in _VECTOR_CLASSES:
        return ClassTiming(startup)
    cycles, group = number("cycles"), {t: number(t.value) for t in DType}
    if row not in _QUEUE_CLASSES:
        return ClassTiming(startup, cycles, group)

    def in_queue(part: str, follows: int) -> int:
        key = f"queue.{part}"
        return number(key) if f"timing.{row.value}.{key}" in leaves else follows

    queue = {t: in_queue(t.value, group[t]) for t in DType}
    return ClassTiming(startup, cycles, group, in_queue("startup", startup), queue)


def read_fabric(path: Path) -> Fabric:
    """Read and check one description, and those that it is based on.

    Raises:
        FabricError: a file is missing, is not TOML, lacks a number, or has one that
            is unknown, out of range or without a grade; or the bases close a circle.
    """
    try:
        return _described(_chain(path))
    except RecursionError:
        raise FabricError(f"{path}: its values are nested too deeply for a TOML file") from None


def description_files(fabric: Fabric) -> tuple[Path, ...]:
    """The files that describe a fabric: its own, then its base, and so on; none for Python's.

    Raises:
        FabricError: one of them cannot be read any more.
    """
    return tuple(path for path, _ in _chain(Path(fabric.source))) if fabric.source else ()


def _chain(path: Path) -> tuple[tuple[Path, str], ...]:
    """Path and text of a description, then those of its base, to one without a base."""
    found: dict[Path, str] = {}
    following: Path | None = path
    while following is not None:
        if len(found) == _LONGEST_CHAIN:
            raise FabricError(
                f"{path}: has more than {_LONGEST_CHAIN - 1} bases, one after another"
            )
        if following.resolve() in {known.resolve() for known in found}:
            raise FabricError(f"{path}: is its own base, by way of {following}")
        found[following] = _text(following)
        base = _table(following, found[following]).get("base")
        following = None if base is None else _base(following, base)
    return tuple(found.items())


def _text(path: Path) -> str:
    try:
        return read_text(path, _MOST)
    except FabricError:
        raise
    except OSError as error:
        raise FabricError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # no UTF-8
        raise FabricError(f"{path}: not a TOML file: {error}") from error


@lru_cache(maxsize=32)
def _table(path: Path, text: str) -> dict[str, Any]:
    """The tables of a text, which nobody changes; ``path`` is for messages."""
    try:
        return tomllib.loads(text)
    except ValueError as error:  # no TOML, or an integer of thousands of digits
        raise FabricError(f"{path}: not a TOML file: {error}") from error


def _base(path: Path, base: Any) -> Path:
    """The description that ``base`` names in the one at ``path``: a preset, or a file beside it."""
    if isinstance(base, str) and base in presets():
        return PRESETS / f"{base}.toml"
    if isinstance(base, str) and base.endswith(".toml"):
        return path.parent / base
    raise FabricError(
        f"{path}: 'base' names one of {', '.join(presets())}, or a .toml file; got {base!r}"
    )


@lru_cache(maxsize=16)
def _described(chain: tuple[tuple[Path, str], ...]) -> Fabric:
    """The fabric of a description: many small models are compiled for the same one."""
    path, text = chain[0]
    names = {"name": path.stem, "title": ""}
    leaves: dict[str, Evidence] = {}
    for place, lines in reversed(chain):  # from the base to what overrides it
        raw = dict(_table(place, lines))
        raw.pop("base", None)
        for key in names:
            names[key] = str(raw.pop(key, names[key]))
        leaves |= graded(raw, "", place)
    if "name" not in _table(path, text):
        names["name"] = path.stem  # a variant is not what it is based on
    return _built(names["name"], names["title"], leaves, path)


def _built(name: str, title: str, leaves: dict[str, Evidence], path: Path) -> Fabric:
    """The fabric of the numbers in ``leaves``, which are used up; ``path`` is for messages."""
    evidence = tuple(leaves.values())
    values: dict[str, Any] = {
        numbers.target: _integer(_take(leaves, key, path), path) for key, numbers in _FIELDS.items()
    }
    _require(name, "dynamic.present", (values["dynamic"],), _FIELDS["dynamic.present"])
    values["dynamic"] = bool(values["dynamic"])
    timing = {row: _class_timing(leaves, row, path) for row in Timing}
    energy: dict[str, float] = {}
    for key in _ENERGY:
        leaf = _take(leaves, f"energy.{key}", path)
        if not isinstance(leaf.value, (int, float)) or isinstance(leaf.value, bool):
            raise FabricError(f"{path}: '{leaf.key}' must be a number; got {leaf.value!r}")
        energy[key] = float(leaf.value)
    if leaves:
        raise FabricError(f"{path}: the number '{min(leaves)}' is not known")
    try:
        return Fabric(
            name=name,
            title=title,
            timing=timing,
            energy=energy,
            evidence=evidence,
            source=str(path),
            **values,
        )
    except FabricError as error:
        raise FabricError(f"{path}: {error}") from None


def presets() -> tuple[str, ...]:
    """Names of the fabrics that ship with the package."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def find_fabric(text: str, folder: Path | None = None) -> Fabric:
    """The fabric that ``text`` names.

    That is a preset, a TOML file, or ``WxH`` tiles of the default preset; ``NAME:WxH`` are tiles
    of another preset or file. folder: where a relative path begins; None is the current folder.

    Raises:
        FabricError: no such preset or file, or a rectangle that does not fit.
    """
    size = _SIZED.fullmatch(text)
    if size:
        return find_fabric(size[1] or DEFAULT, folder).sized(int(size[2]), int(size[3]))
    if text in presets():
        return read_fabric(PRESETS / f"{text}.toml")
    if text.endswith(".toml"):
        return read_fabric(Path(text) if folder is None else folder / text)
    raise FabricError(
        f"no fabric '{text}': name one of {', '.join(presets())}, a size such as 16x16, "
        "a .toml file, or tiles of one of these, such as tiny:4x4"
    )


def stated_size(text: str) -> tuple[int, int] | None:
    """Width and height, if a fabric is named with its size."""
    size = _SIZED.fullmatch(text)
    return (int(size[2]), int(size[3])) if size else None


def _targets() -> dict[str, str]:
    """Field of ``Fabric`` by dotted key, for the numbers that have one."""
    return {key: numbers.target for key, numbers in _FIELDS.items()}
