"""One program on all engines: what any two of them tell must be the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from wsc import runtime
from wsc.isa.program import Kind, Program
from wsc.isa.values import PARTIAL
from wsc.runtime.counters import Counters
from wsc.runtime.decisions import decisions
from wsc.runtime.errors import CycleLimit, Deadlock, ExecutionFault, RuntimeFault
from wsc.runtime.image import Image
from wsc.runtime.runs import Options
from wsc.runtime.store import check_inputs
from wsc.runtime.time.engine import run_time
from wsc.runtime.values.engine import execute
from wsc.runtime.work import Work

ENGINES = ("reference", "both")  # those with values and time
_NUMBER = r"-?\d+"
# What stops a run because of a value: an engine without values does not see it.
BY_DATA = re.compile(
    "|".join(
        [
            "lookup in '",
            *(
                re.escape(domain.refusal).replace(r"\{a\}", _NUMBER).replace(r"\{b\}", _NUMBER)
                for domain in PARTIAL.values()
            ),
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. error: class and message. counters: None where an error has none."""

    error: str
    cycle: int
    outputs: Mapping[str, np.ndarray]
    counters: Counters | Work | None


def ending(
    image: Image,
    inputs: Mapping[str, np.ndarray],
    engine: str,
    *,
    delays: int | None = None,
    max_cycles: int | None = None,
    check_races: bool = False,
) -> Ending:
    """Run on one engine, to the end or to an error."""
    try:
        run = runtime.run(
            image,
            inputs,
            engine=engine,
            delays=delays,
            max_cycles=max_cycles,
            check_races=check_races,
        )
    except (ExecutionFault, Deadlock, CycleLimit) as error:
        counters = None if isinstance(error, ExecutionFault) else error.counters
        return Ending(_told(error), error.cycle or 0, {}, counters)
    return Ending("", run.cycles, run.outputs, run.counters)


def _told(error: RuntimeFault) -> str:
    where = f" at line {error.where.line}" if isinstance(error, ExecutionFault) else ""
    return f"{type(error).__name__}{where}: {error}"


def values_ending(image: Image, inputs: Mapping[str, np.ndarray]) -> Ending:
    """Run on the engine without a clock, to the end or to an error."""
    try:
        run = runtime.run(image, inputs, engine="values")
    except Deadlock:
        return Ending(Deadlock.__name__, 0, {}, None)
    except ExecutionFault as error:
        return Ending(_told(error), 0, {}, None)
    return Ending("", 0, run.outputs, run.counters)


def time_ending(
    image: Image, inputs: Mapping[str, np.ndarray], *, delays: int | None, max_cycles: int | None
) -> Ending | None:
    """Run on the engine without values, to the end or to an error.

    Where data decide, a run for values comes first, as far as it goes without a limit of cycles.
    None if that does not end well, or could last for ever.
    """
    found, record = decisions(image), None
    if found.first is not None:
        if max_cycles is not None:
            return None
        try:
            flat = check_inputs(image.program, inputs)
            record = execute(image, flat, deciding=found.deciding).record
        except Deadlock as error:
            record = error.record
        except ExecutionFault:
            return None
    try:
        run = run_time(image, record, Options(delays=delays, max_cycles=max_cycles))
    except (ExecutionFault, Deadlock, CycleLimit) as error:
        counters = None if isinstance(error, ExecutionFault) else error.counters
        return Ending(_told(error), error.cycle or 0, {}, counters)
    return Ending("", run.cycles, {}, run.counters)


def timeless(ending: Ending) -> Ending:
    """What of an ending does not depend on time.

    Of a deadlock that is its kind alone: what else waits depends on how much the queues hold.
    """
    error = re.sub(r", cycle \d+", "", ending.error)
    if error.startswith(Deadlock.__name__):
        error = Deadlock.__name__
    counters = None if error else ending.counters  # the values engine has none of a run that stops
    if isinstance(counters, Counters):
        links = {color.color: color.wavelets for color in counters.colors}
        hops = int(counters.dynamic_links[..., :4].sum())
        names = {item.name for item in fields(Work)} - {"wavelets", "dynamic_hops"}
        rest = {name: getattr(counters, name) for name in names}
        counters = Work(wavelets=links, dynamic_hops=hops, **rest)
    return Ending(error, 0, ending.outputs, counters)


def without_place(ending: Ending) -> Ending:
    """How a run ended, with no more than the kind of its error."""
    return replace(ending, error=re.split(r"\W", ending.error)[0])


def differences(one: object, other: object, name: str) -> Iterator[str]:
    """Every place in which two values differ; dataclasses, tuples and mappings are walked."""
    if type(one) is not type(other):
        yield f"{name}: {one!r:.300} and {other!r:.300}"
    elif isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        yield from _arrays(one, other, name)
    elif is_dataclass(one):
        for item in fields(one):
            mine, others = getattr(one, item.name), getattr(other, item.name)
            yield from differences(mine, others, f"{name}.{item.name}")
    elif isinstance(one, Mapping):
        assert isinstance(other, Mapping)
        if list(one) != list(other):
            yield f"{name}: {list(one)} and {list(other)}"
            return
        for key in one:
            yield from differences(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, tuple):
        assert isinstance(other, tuple)
        if len(one) != len(other):
            yield f"{name}: {len(one)} and {len(other)} items"
        for number, (mine, others) in enumerate(zip(one, other, strict=False)):
            yield from differences(mine, others, f"{name}[{_label(mine, number)}]")
    elif one != other:
        yield f"{name}:\n{one}\nand\n{other}" if isinstance(one, str) else f"{name}: {one} {other}"


def _label(item: object, number: int) -> str:
    color = getattr(item, "color", None)
    return color if isinstance(color, str) else str(number)


def _arrays(one: np.ndarray, other: np.ndarray, name: str) -> Iterator[str]:
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        yield f"{name}: {one.dtype}{one.shape} and {other.dtype}{other.shape}"
    elif one.tobytes() != other.tobytes():
        bits = np.dtype(f"u{one.itemsize}")
        places = np.argwhere(np.ascontiguousarray(one).view(bits) != other.view(bits))
        at = tuple(int(i) for i in places[0])
        yield f"{name}: {len(places)} differ, first at {at}: {one[at]} and {other[at]}"


def assert_agree(
    program: Program | Image,
    inputs: Mapping[str, np.ndarray],
    *,
    delays: int | None = None,
    max_cycles: int | None = None,
    check_races: bool = False,
    several_faults: bool = False,
    **load: Any,
) -> Ending:
    """Run on all engines and compare outputs to the bit, cycles, all counters, or the error.

    The time engine must tell what the reference tells, but for the outputs, unless a value has
    stopped the run; and the values engine, where the run is not cut short, but for the time.
    several_faults: time alone says which of them stops the run; it may then tell another one.
    Returns how the reference ended, which alone can check races. ``load`` goes to
    ``wsc.runtime.load``.
    """
    image = program if isinstance(program, Image) else runtime.load(program, **load)
    reference = ending(
        image, inputs, "reference", delays=delays, max_cycles=max_cycles, check_races=check_races
    )
    time = time_ending(image, inputs, delays=delays, max_cycles=max_cycles)
    if time is not None and not BY_DATA.search(reference.error):
        found = list(differences(replace(reference, outputs={}), time, "run"))
        case = f"delays={delays}, max_cycles={max_cycles}"
        assert not found, f"reference and time differ ({case}):\n" + "\n".join(found[:20])
    if max_cycles is None:
        timed, values = timeless(reference), values_ending(image, inputs)
        if several_faults:
            timed, values = (without_place(end) for end in (timed, values))
        found = list(differences(timed, values, "run"))
        assert not found, "reference and values differ:\n" + "\n".join(found[:20])
    return reference


def random_inputs(written: Program, seed: int = 7) -> dict[str, np.ndarray]:
    """Values for all inputs: normal, and zeros and ones for integers."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, np.ndarray] = {}
    for tensor in written.edge_tensors:
        if tensor.kind is Kind.INPUT:
            dtype = np.dtype(tensor.host_dtype)
            whole = rng.integers(0, 2, tensor.shape)
            values = whole if dtype.kind in "iu" else rng.normal(size=tensor.shape)
            inputs[tensor.name] = np.asarray(values).astype(dtype)
    return inputs
