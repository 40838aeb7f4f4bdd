"""Training: steps of a compiled program, and a store whose weights change between them.

trainer = wsc.train("model.onnx", loss="cross_entropy", optimizer="adamw:lr=3e-4")
for batch in batches:
    print(trainer.step(batch).loss)
onnx.save(trainer.onnx(), "trained.onnx")
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsc.api import Program, compile_step
from wsc.cost.interconnect import require_shares
from wsc.errors import CompileError, OpenSizes, shortened
from wsc.frontend.training import SEED
from wsc.isa.fabric import Fabric
from wsc.isa.program import Kind
from wsc.isa.program import Program as Assembly
from wsc.isa.shown import Facts, Shown
from wsc.passes.sections import require_code
from wsc.runtime.api import run
from wsc.runtime.errors import InputError, RuntimeFault
from wsc.runtime.image import Image, load
from wsc.runtime.optimizer import apply_updates, not_finite
from wsc.steps import options
from wsc.steps.wafers import Ran, Wafers
from wsc.store.files import appearing, require_writable
from wsc.store.weights import MARK
from wsc.training.losses import LABEL, parse_loss
from wsc.training.own import OWN, require_alone
from wsc.training.recompute import require_choice
from wsc.training.runs import AUTO, in_fewest_runs, require_runs
from wsc.training.step import LOSS, SCALE, parse_optimizer

if TYPE_CHECKING:
    import onnx_ir as ir
    from onnx import ModelProto

    from wsc.frontend.store import Store

FIRST_SCALE = 65536.0  # of the gradients of halves
_LEAST, _LARGEST = -24, 128  # exponents that a scale can come to
LAST_SCALE = 2.0**_LEAST  # the least half: gradients that overflow all the same have no bound
CAUSES = "look for such numbers in the samples and the weights, or take a smaller rate"
STEP = "step.wsa"  # the file of the program, in a folder of its own
KEPT = "wsc.training"  # the tensor of a checkpoint that holds the state
_FIELDS = ("step", "scale", "good", "seed")
GROWTH = 2000  # steps without overflow until the scale is doubled
UNSCALED = -1


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step gives. loss: before its update, the mean over all its labels that count; of a
    loss without labels that may not count, the mean over its runs. rate: the learning rate.
    cycles: of all runs, None where the engine has no clock. seconds: that it took. again: how often
    its runs were done once more, because a gradient overflowed. norm: of all gradients, if they
    are clipped."""

    loss: float
    rate: float
    cycles: int | None
    seconds: float
    again: int = 0
    norm: float | None = None


@dataclass(frozen=True, slots=True)
class _Gradients:
    """Of all runs of a step: the mean loss, cycles, and by name the mean of what goes into an
    update. See ``Trainer._shares`` for the means of losses and gradients."""

    loss: float
    cycles: int | None
    tensors: dict[str, np.ndarray]


@dataclass(slots=True)
class State:
    """What a checkpoint holds beside the tensors. step: steps so far. scale: of the gradients.
    good: steps since it changed, UNSCALED of a run whose gradients have none. seed: of the order in
    which samples are taken, None for that of the data."""

    step: int = 0
    scale: float = 1.0
    good: int = UNSCALED
    seed: int | None = None

    def as_array(self) -> np.ndarray:
        """The state as integers, for a checkpoint; the scale is a power of two."""
        seed = -1 if self.seed is None else self.seed
        return np.array([self.step, math.frexp(self.scale)[1] - 1, self.good, seed], np.int64)

    def drawn(self, number: int) -> np.ndarray:
        """The seed of what is dropped in one run of the next step."""
        parts = [0 if self.seed is None else self.seed, self.step, number]
        return np.random.SeedSequence(parts).generate_state(1).view(np.int32).reshape(())

    @staticmethod
    def holds(array: np.ndarray) -> bool:
        """Whether such integers are those of a state."""
        step, exponent, good, seed = array.tolist()
        scaled = _LEAST <= exponent <= _LARGEST
        return step >= 0 and scaled and good >= UNSCALED and seed >= -1

    @classmethod
    def of(cls, array: np.ndarray) -> State:
        """Inverse of ``as_array``."""
        step, exponent, good, seed = array.tolist()
        return cls(step, math.ldexp(1.0, exponent), good, None if seed < 0 else seed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is in a checkpoint. tensors: the contents of the store, by name."""

    path: Path
    state: State
    tensors: dict[str, np.ndarray]


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a file. Raises CompileError for a file that is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CompileError(f"{path}: no sound checkpoint ({reason})") from None
    kept = found.pop(KEPT, None)
    if kept is None or kept.dtype != np.int64 or kept.shape != (len(_FIELDS),):
        raise CompileError(f"{path}: is no checkpoint of training: it has no step")
    if not State.holds(kept):
        raise CompileError(f"{path}: is no sound checkpoint: its state is {kept.tolist()}")
    return Checkpoint(path, State.of(kept), found)


@dataclass(slots=True, repr=False)
class Trainer(Shown):
    """Steps of training. ``wsc.train`` makes one.

    model: as for ``wsc.train``. program: that of a step, once it is compiled. state: see there.
    weights_of: where the weights are that the model only declares.
    """

    model: Any
    options: dict[str, Any]
    engine: str = "values"
    schedule: tuple[float, ...] = ()
    clip: float = 0.0
    over: int | str = 1
    batch: int | None = None
    wafers: Wafers | None = None
    weights_of: Store | None = None
    program: Program | None = None
    state: State = field(default_factory=State)
    _image: Image | None = None
    _store: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    _folder: tempfile.TemporaryDirectory[str] | None = None
    _waiting: Checkpoint | None = None

    def _facts(self) -> Facts:
        made = "not compiled yet" if self.program is None else repr(self.program)
        return [
            ("steps", f"{self.state.step}"),
            *((key, str(self.options[key])) for key in ("loss", "optimizer", "precision")),
            ("program", made),
        ]

    # --- a step -----------------------------------------------------------------

    def step(self, batch: Mapping[str, np.ndarray]) -> StepResult:
        """One step. batch: an array for each input and ``label``, its samples first.

        With gradients accumulated over several runs each takes an equal part of the samples, in
        order.

        Raises:
            InputError: an array is missing, unknown, or of another shape or type.
            CompileError: at the first step: the model cannot be trained so.
            RuntimeFault: the run did not end well; nothing was updated.
        """
        started = time.perf_counter()
        parts = self._parts(batch)
        image = self._ready(parts[0])
        self.require_labels(batch)
        assembly, state = image.program, self.state
        found = self._gradients(image, parts)
        cycles, again = found.cycles, 0
        # A smaller scale may keep the gradients of halves from overflowing. A step that was left
        # out instead would put the run behind one in f32, for good.
        while self._overflows(assembly, found.tensors):
            state.scale, state.good = state.scale / 2, 0
            again += 1
            found = self._gradients(image, parts)
            cycles = None if cycles is None or found.cycles is None else cycles + found.cycles
        factor = self._factor()
        rate = next((dict(u.numbers)["rate"] for u in assembly.updates if u.numbers), 0.0) * factor
        applied = apply_updates(assembly, self._store, found.tensors, state.step + 1, factor)
        self._require_finite(assembly, applied.tensors)
        self._replace(applied.tensors)
        state.step += 1
        self._grow(again)
        seconds = time.perf_counter() - started
        return StepResult(found.loss, rate, cycles, seconds, again, applied.norm)

    def require_labels(self, samples: Mapping[str, np.ndarray]) -> None:
        """Raise InputError for samples with a label that names no class, once there is a program.

        A program that another one compiled is not asked: its run stops at such a label.
        """
        allowed = None if self.program is None else self.program.labels
        label = samples.get(LABEL)
        reason = "" if allowed is None or label is None else allowed.refusal(np.asarray(label))
        if reason:
            raise InputError(reason)

    def _gradients(self, image: Image, parts: Sequence[Mapping[str, np.ndarray]]) -> _Gradients:
        """The means over all runs of a step, without their scale. Raises RuntimeFault for a loss
        that is no number."""
        updates = image.program.updates
        total: dict[str, np.ndarray] = {}
        loss, cycles = 0.0, 0
        for ran, share in zip(self._run(image, parts), self._shares(parts), strict=True):
            loss += float(ran.outputs[LOSS]) * share
            cycles = None if ran.cycles is None or cycles is None else cycles + ran.cycles
            for update in updates:
                gradient = ran.outputs[update.gradient].astype(np.float32)
                if share != 1.0 and update.rule != "take":
                    gradient = gradient * np.float32(share)
                before = total.get(update.gradient)
                total[update.gradient] = gradient if before is None else before + gradient
        if not math.isfinite(loss):
            raise RuntimeFault(
                f"step {self.state.step + 1}: the loss is {loss}, and nothing was updated: {CAUSES}"
            )
        for update in updates:
            divisor = len(parts) * (1.0 if update.rule == "take" else self.state.scale)
            if divisor != 1.0:
                total[update.gradient] = total[update.gradient] * np.float32(1.0 / divisor)
        return _Gradients(loss / len(parts), cycles, total)

    def _shares(self, parts: Sequence[Mapping[str, np.ndarray]]) -> list[float]:
        """By what the loss and the gradients of each run of a step are multiplied before their
        mean is taken.

        Those of a run are means over its own labels that count. A run with more of them than
        others counts for more, so that the mean is that of all labels of the step.
        """
        allowed = None if self.program is None else self.program.labels
        if allowed is None:
            return [1.0] * len(parts)
        counts = [allowed.counted(np.asarray(part[LABEL])) for part in parts]
        mean = sum(counts) / len(counts)
        # Where no label counts, all is zero.
        return [count / mean if mean else 1.0 for count in counts]

    def _run(self, image: Image, parts: Sequence[Mapping[str, np.ndarray]]) -> list[Ran]:
        """The runs of a step, in order."""
        given: list[dict[str, np.ndarray]] = []
        for number, part in enumerate(parts):
            inputs = dict(part)
            if SCALE in self._inputs():
                inputs[SCALE] = np.array(self.state.scale, np.float32)
            if SEED in self._inputs():
                inputs[SEED] = self.state.drawn(number)
            given.append(inputs)
        if self.wafers is not None:
            assert self._folder is not None
            file = Path(self._folder.name) / STEP
            # What the optimizer keeps stays in the store: no run reads it.
            weights = {u.weight: self._store[u.weight] for u in image.program.updates}
            return self.wafers.run(file, weights, given, self.engine)
        results = [run(image, inputs, engine=self.engine) for inputs in given]
        return [Ran(result.outputs, result.cycles) for result in results]

    def _overflows(self, assembly: Assembly, gradients: Mapping[str, np.ndarray]) -> bool:
        """Whether a gradient overflowed that may not do so with a smaller scale.

        Raises RuntimeFault where there is no scale, or none that is smaller.
        """
        wrong = not_finite(assembly.updates, gradients)
        if not wrong or (SCALE in self._inputs() and self.state.scale > LAST_SCALE):
            return bool(wrong)
        raise RuntimeFault(
            f"step {self.state.step + 1}: output '{shortened(wrong)}' is not finite, and nothing "
            f"was updated: {CAUSES}"
        )

    def _require_finite(self, assembly: Assembly, tensors: Mapping[str, np.ndarray]) -> None:
        """Raise RuntimeFault for an update that takes a number of a weight beyond f32."""
        for weight in (update.weight for update in assembly.updates):
            if (np.isfinite(self._store[weight]) & ~np.isfinite(tensors[weight])).any():
                raise RuntimeFault(
                    f"step {self.state.step + 1}: weight '{shortened(weight)}' becomes larger than "
                    "f32 can say, and nothing was updated: take a smaller rate"
                )

    def _factor(self) -> float:
        """What the rates of this step are multiplied by: the last number counts for the rest."""
        if not self.schedule:
            return 1.0
        return self.schedule[min(self.state.step, len(self.schedule) - 1)]

    def _grow(self, again: int) -> None:
        """Double the scale of the gradients where none has overflowed for a while."""
        if again or SCALE not in self._inputs():
            return
        state = self.state
        state.good += 1
        if state.good == GROWTH:
            state.scale, state.good = state.scale * 2, 0

    def _replace(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Give the store other contents, all at once."""
        assert self._image is not None
        for name, array in tensors.items():
            self._store[name] = array
            held = self._image.weights[name]
            # A counter is an integer there; what is stored is f32, like all else.
            whole = not held.tensor.dtype.is_float
            held.data = (array.astype(np.int32) if whole else array).reshape(-1)

    def _parts(self, batch: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The samples of each run."""
        if not isinstance(batch, Mapping) or not batch:
            raise InputError("a batch is of the form {'x': array, 'label': array}")
        arrays = {name: np.asarray(array) for name, array in batch.items()}
        lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            listed = ", ".join(f"'{shortened(name)}' {count}" for name, count in lengths.items())
            raise InputError(f"the arrays of a batch differ in their number of samples: {listed}")
        count = next(iter(lengths.values()))
        if count and self.over == AUTO:
            self._choose_runs(count, arrays)
        runs = self._runs
        if not count or count % runs:
            raise InputError(f"{count} samples cannot be shared out to {runs} runs")
        return [_part(arrays, count // runs, number) for number in range(runs)]

    @property
    def _runs(self) -> int:
        """Runs of a step, once they are chosen; one where nothing says how many samples it has."""
        return self.over if isinstance(self.over, int) else 1

    def _choose_runs(self, count: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Compile the step in as few runs as there is room in.

        count: samples of a step. arrays: these samples; none where there are none yet.
        """

        def compiled(runs: int) -> Program:
            return self._compiled(_part(arrays, count // runs, 0), count // runs, runs)

        wafers = 1 if self.wafers is None else self.wafers.count
        self.program, self.over, note = in_fewest_runs(count, compiled, wafers)
        self.program.notes = (*([note] if note else []), *self.program.notes)
        self.batch = count // self.over

    def _compiled(
        self, part: Mapping[str, np.ndarray] | None, batch: int | None, runs: int
    ) -> Program:
        """The program of a run. part: its arrays, where they are known. batch: its samples."""
        given = dict(self.options)
        if part:
            given["shapes"] = {name: array.shape for name, array in part.items()}
        if batch is not None:
            given["batch"] = batch
        model = self._model_of(batch)
        return compile_step(model, **given, weights=self.weights_of, clip=self.clip, over=runs)

    def _model_of(self, batch: int | None) -> Any:
        """The model for so many samples of a run. Raises OpenSizes where they are not known."""
        if not callable(self.model):
            return self.model
        if batch is None:
            raise OpenSizes("the model is made for a number of samples: give batch")
        return self.model(batch)

    # --- the program ------------------------------------------------------------

    def prepare(self, batch: Mapping[str, np.ndarray]) -> None:
        """Compile the step for the shapes of a batch, as the first ``step`` would."""
        self._ready(self._parts(batch)[0])

    def _ready(self, part: Mapping[str, np.ndarray] | None = None) -> Image:
        """The loaded program, which goes on from the checkpoint that waits for it, if one does.

        It is compiled for the shapes of the first batch. part: the samples of a run of it.
        """
        image = self._image or self._loaded(part)
        if self._waiting is not None:
            self._adopt(self._waiting)
            self._waiting = None
        return image

    def _loaded(self, part: Mapping[str, np.ndarray] | None) -> Image:
        """Compile the program, if nobody did, and load it with the store that its model has."""
        if self.program is None and self.over == AUTO and self.batch is not None:
            self._choose_runs(self.batch, {})
        if self.program is None:
            if part is not None:
                self.batch = len(next(iter(part.values())))
            try:
                self.program = self._compiled(part, self.batch, self._runs)
            except OpenSizes as error:
                if part is not None:
                    raise
                raise OpenSizes(f"{error}; or prepare(batch) first, which has them") from None
        assembly = self.program.assembly
        require_step(assembly)
        self._folder = tempfile.TemporaryDirectory(prefix="wsc-")
        self.program.save(Path(self._folder.name) / STEP)
        self._image = load(self.program.assembly, self.program.fabric, Path(self._folder.name))
        names = [name for u in assembly.updates for name in (u.weight, *u.states)]
        shapes = {tensor.name: tensor.shape for tensor in assembly.edge_tensors}
        self._replace(
            {
                name: self._image.weights[name].data.astype(np.float32).reshape(shapes[name])
                for name in names
            }
        )
        self._fit_scale()
        return self._image

    def _fit_scale(self) -> None:
        """Begin with a scale where the state has none; drop it where gradients have none."""
        state, scaled = self.state, SCALE in self._inputs()
        if scaled == (state.good == UNSCALED):
            state.scale, state.good = (FIRST_SCALE, 0) if scaled else (1.0, UNSCALED)

    def _inputs(self) -> set[str]:
        assert self._image is not None
        return {t.name for t in self._image.program.edge_tensors if t.kind is Kind.INPUT}

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The weights and running statistics by name, as they are now (copies)."""
        program = self._ready().program
        keys = {tensor.name: tensor.key for tensor in program.edge_tensors}
        return {
            keys[update.weight]: self._store[update.weight].copy() for update in program.updates
        }

    # --- files ------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write a checkpoint: weights, what the optimizer keeps, step, scale and seed.

        It appears complete or not at all.

        Raises:
            CompileError: the file cannot be written.
        """
        from safetensors.numpy import save_file

        path = Path(path)
        self._ready()
        # NumPy would make a scalar an array of one.
        tensors = {
            name: np.ascontiguousarray(array).reshape(array.shape)
            for name, array in self._store.items()
        }
        tensors[KEPT] = self.state.as_array()
        require_writable(path)
        try:
            with appearing(path) as (partial,):
                save_file(tensors, partial, MARK)
        except OSError as error:
            raise CompileError(f"{path}: cannot be written ({error.strerror or error})") from error

    def resume(self, path: str | PathLike[str]) -> None:
        """Go on from a checkpoint of ``save``, to the bit as if there had been no break.

        The run may have another precision, fabric or number of runs than that of the checkpoint.
        Before the first batch its tensors wait for it, as the sizes of the program do.

        Raises:
            CompileError: it is none, or is one of another model or optimizer; that is known, and
                said, once there is a program.
        """
        checkpoint = read_checkpoint(Path(path))
        if self._image is not None:
            self._adopt(checkpoint)
            self._waiting = None
            return
        # The first batch decides the sizes of the program, and this may not do so before it.
        self.state, self._waiting = checkpoint.state, checkpoint

    def _adopt(self, checkpoint: Checkpoint) -> None:
        """Take the contents of the store, and the state, from a checkpoint. Raises CompileError."""
        path, found = checkpoint.path, checkpoint.tensors
        for name, array in self._store.items():
            if name not in found:
                raise CompileError(
                    f"{path}: is a checkpoint of another model or optimizer: it has no '{name}'"
                )
            there = found[name]
            if there.shape != array.shape or there.dtype != np.float32:
                raise CompileError(
                    f"{path}: is a checkpoint of another model: '{name}' is "
                    f"{there.dtype}{list(there.shape)}, not float32{list(array.shape)}"
                )
        more = [name for name in found if name not in self._store]
        if more:
            raise CompileError(
                f"{path}: is a checkpoint of another model or optimizer: it has '{more[0]}'"
            )
        self.state = checkpoint.state
        self._fit_scale()
        self._replace(found)

    def onnx(self) -> ModelProto:
        """The model with its weights as they are now; ONNX Runtime runs it."""
        from wsc.training.export import with_weights

        weights = self.weights  # with the program, which says how many samples a run has
        return with_weights(self._model_of(self.batch), weights, self.weights_of)


def _part(arrays: Mapping[str, np.ndarray], size: int, number: int) -> dict[str, np.ndarray]:
    """The samples of one run."""
    return {name: array[number * size : (number + 1) * size] for name, array in arrays.items()}


def require_step(assembly: Any) -> None:
    """Raise CompileError for a program whose outputs are not a loss and gradients."""
    taken = {update.gradient for update in assembly.updates}
    rest = [t.name for t in assembly.shown(Kind.OUTPUT) if t.name not in taken]
    if LOSS not in rest:
        raise CompileError("the program is no training step: it has no output 'loss'")
    rest.remove(LOSS)
    if rest:
        raise CompileError(f"the output '{rest[0]}' of the step goes into no update")


def train(
    model: str | PathLike[str] | bytes | ModelProto | ir.Model | Callable[[int], ModelProto],
    loss: str = "cross_entropy",
    optimizer: str = "adam",
    *,
    fabric: str | PathLike[str] | tuple[int, int] | Fabric | None = None,
    dims: Mapping[str, int] | None = None,
    precision: str = "f32",
    trainable: Sequence[str] = (),
    groups: Sequence[str] = (),
    engine: str = "values",
    clip: float = 0.0,
    over: int | str = 1,
    schedule: Sequence[float] = (),
    batch: int | None = None,
    wafers: int = 1,
    cluster: str = "",
    recompute: str = "auto",
    code: str = "auto",
    weights: Store | None = None,
) -> Trainer:
    """Train a model: ``step`` takes a batch, computes gradients on the fabric, updates the store.

    model, fabric, dims, precision, code, weights: as for ``wsc.compile``; sizes that are not given
    are those of the first batch. The model may also be what makes it for a number of samples of a
    run, where its graph is for one number. loss: ``cross_entropy``, ``mse`` or ``output``, with
    options as in ``cross_entropy:smoothing=0.1,ignored=0``. optimizer: ``sgd``, ``momentum``,
    ``adam`` or ``adamw``, as in ``adamw:lr=3e-4,weight_decay=0.1``; ``model``: the step that the
    model's ``training_info`` describes, with the loss ``output``. groups: ``PATTERN:NUMBERS`` for
    weights that have others, as in ``*.bias:weight_decay=0``. trainable: patterns of names of
    initializers; none: all of them. clip: the norm of all gradients is at most this; 0: as it
    is. over: runs whose gradients make a step; ``auto``: as few as its samples have room in.
    schedule: by what the rate of each step is multiplied. batch: samples of a run (with ``auto``
    of a step), where the program is wanted before the first batch.
    wafers: how many do the runs of a step at the same time; over is a multiple of it. cluster:
    address of a Dask scheduler whose workers they are; without, they are processes here.
    recompute: ``none`` keeps all activations for the backward pass, ``layers`` computes those of
    each layer that repeats once more, ``edge`` also sends out at the edge what layers hand on until
    it is wanted, ``auto`` takes the first of these that fits.

    Raises:
        CompileError: an option is none that there is.
    """
    # What is wrong with them is said now, not at the first step.
    norm = options.number("clip", clip)
    if not 0.0 <= norm < float("inf"):
        raise CompileError(f"clip is a norm above 0, not {clip}")
    runs = require_runs(over)
    rates = options.numbers("schedule", schedule)
    if any(not 0.0 <= rate < float("inf") for rate in rates):
        raise CompileError("a schedule is made of numbers of 0 or more")
    wanted = parse_loss(options.text("loss", loss, "cross_entropy"))
    options.text("optimizer", optimizer, "adamw:lr=3e-4")
    named = options.texts("trainable", trainable, "*.weight")
    grouped = options.texts("groups", groups, "*.bias:weight_decay=0")
    if optimizer == OWN:
        require_alone(
            wanted,
            groups=grouped,
            trainable=named,
            precision=precision,
            clip=norm,
            over=runs,
            schedule=rates,
        )
    else:
        parse_optimizer(optimizer, grouped)
    require_choice(recompute)
    step: dict[str, Any] = {
        "loss": loss,
        "optimizer": optimizer,
        "groups": grouped,
        "fabric": fabric,
        "dims": dims,
        "precision": precision,
        "trainable": named,
        "recompute": recompute,
        "code": require_code(code),
    }
    devices = options.count("wafers", wafers)
    samples = None if batch is None else options.count("batch", batch)
    if isinstance(runs, int):
        require_shares(devices, runs)
    several = Wafers(devices, cluster) if devices > 1 or cluster else None
    return Trainer(
        model, step, options.engine(engine), rates, norm, runs, samples, several, weights
    )
