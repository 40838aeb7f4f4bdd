"""Models by name: what stands in the place of a model's file, and the options that size it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from wsc.cli.common import STANDARD, Refusal, following, gathered, noted, working
from wsc.cli.completion import Word, fabrics

if TYPE_CHECKING:
    import onnx

    from wsc.api import Program
    from wsc.frontend.store import Store
    from wsc.models.language import Shape, Task

FABRIC = "wse2"
"""The fabric of models by name, if none is given: they are made for it."""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SIZES = ("layers", "hidden", "heads", "kv_heads", "ffn", "vocabulary")
_TASK = ("sequence", "batch", "step")
_FILES = (".onnx", ".wsa")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The options of models by name; None where one is not given."""

    layers: int | None
    hidden: int | None
    heads: int | None
    kv_heads: int | None
    ffn: int | None
    vocabulary: int | None
    sequence: int | None
    checkpoint: Path | None
    weights_seed: int | None
    batch: int | None = None
    step: bool = False

    def given(self) -> list[str]:
        """The flags that were given."""
        names = (*_SIZES, *_TASK, "checkpoint", "weights_seed")
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class Named:
    """A model by name, of the sizes that were asked for. shape: of all of it."""

    shape: Shape
    task: Task
    proto: onnx.ModelProto
    store: Store

    @property
    def tokens(self) -> int:
        """Tokens that one run takes, over all sequences and steps."""
        return self.task.batch * self.task.tokens * max(self.task.steps, 1)

    @contextmanager
    def file(self) -> Generator[Path]:
        """The model in a file, with all its weights, for ONNX Runtime; gone at the end."""
        from wsc.frontend.store import write_model

        with tempfile.TemporaryDirectory(prefix="wsc-") as folder:
            path = Path(folder) / f"{self.shape.name}.onnx"
            write_model(self.proto, self.store, path)
            yield path


def sized(function: _Command) -> _Command:
    """The options of models by name; the command takes them as ``sizes``."""
    return _sized(function, of_step=False)


def sized_step(function: _Command) -> _Command:
    """The same for a command that trains: samples of a step are an option of its own."""
    return _sized(function, of_step=True)


def _sized(function: _Command, of_step: bool) -> _Command:
    """The options of models by name. of_step: without those that a training step has no use for."""
    number = click.IntRange(min=1)
    texts = {
        "layers": "Layers of it.",
        "hidden": "Its hidden size.",
        "heads": "Heads of queries.",
        "kv_heads": "Heads of keys and values.",
        "ffn": "Width of its feed-forward blocks.",
        "vocabulary": "Words that it knows.",
        "sequence": "Tokens of a sequence. [default: 128]",
    }
    if not of_step:
        texts["batch"] = "Sequences. [default: 1]"
    made: Any = click.option(
        "--weights-seed",
        type=click.IntRange(0),
        metavar="N",
        help="Draw the weights of a model by name from this seed. [default: 0]",
    )(gathered(function, "sizes", Sizes))
    made = click.option(
        "--checkpoint",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Weights and sizes of a model by name: a folder that transformers wrote.",
    )(made)
    if not of_step:
        made = click.option(
            "--step",
            is_flag=True,
            help="Of a model by name, one token more, behind caches of --sequence tokens.",
        )(made)
    for name, text in reversed(texts.items()):
        flag = f"--{name.replace('_', '-')}"
        made = click.option(flag, type=number, metavar="N", help=f"Of a model by name: {text}")(
            made
        )
    return made


def is_name(model: Path) -> bool:
    """Whether an argument is no file, and does not look as if it should be one."""
    file = model.exists() or model.suffix in _FILES or len(model.parts) != 1
    return model != STANDARD and not file


def chosen_model(model: Path, sizes: Sizes, steps: int | None = None) -> Path | Named:
    """The file, or what the name stands for. steps: those of a run, if it makes several.

    Raises:
        Refusal: there is no such file or name, the sizes make no model, or sizes are given for
            a file.
    """
    if not is_name(model):
        if sizes.given():
            raise Refusal(f"{sizes.given()[0]}: {model} is a file, and has its sizes in it")
        return model
    return named_model(str(model), sizes, steps)


def own_sizes(model: Path, sizes: Sizes) -> Sizes:
    """The sizes that are of a model that is trained: its step has a batch, whatever it is of."""
    return sizes if is_name(model) else replace(sizes, batch=None)


def sizes_of_step(model: Path, sizes: Sizes, samples: int) -> Sizes:
    """The sizes of a model by name that is trained with so many samples a step."""
    return replace(sizes, batch=samples) if is_name(model) else sizes


def of_run(model: Path, chosen: Path | Named, sizes: Sizes, batch: int | None) -> Path | Named:
    """The model of a run of so many samples: what a name stands for is made for them.

    chosen: what it is for the samples of a step.
    """
    if isinstance(chosen, Named) and batch != sizes.batch:
        return named_model(str(model), replace(sizes, batch=batch))
    return chosen


def trained_model(model: Path, chosen: Path | Named, sizes: Sizes) -> dict[str, Any]:
    """What ``wsc.train`` takes for it: what a name stands for is made for the samples of a run.

    sizes: with the samples of a step, for which it was chosen.
    """
    if not isinstance(chosen, Named):
        return {"model": chosen}

    def made(samples: int) -> onnx.ModelProto:
        run = of_run(model, chosen, sizes, samples)
        assert isinstance(run, Named)
        return run.proto

    return {"model": made, "weights": chosen.store}


def trained_precision(chosen: Path | Named, precision: str) -> str:
    """That of a step: language models train in halves, and the store holds single precision.

    precision: that of the option, which counts where it was given.
    """
    given = click.get_current_context().get_parameter_source("precision")
    named = isinstance(chosen, Named) and given is not ParameterSource.COMMANDLINE
    return "f16" if named else precision


def target_options(function: _Command) -> _Command:
    """``--fabric`` and ``--precision`` of commands that take programs, and models by name."""
    made: Any = click.option(
        "-p",
        "--precision",
        type=click.Choice(["f32", "f16"]),
        help="Of a model by name: element type of every float. [default: f32]",
    )(function)
    return click.option(
        "--fabric",
        type=Word(fabrics),
        metavar="NAME|WxH|FILE.toml",
        help="Of a model by name: what it is compiled for.",
    )(made)


def refuse_target(program: Path, fabric: str | None, precision: str | None) -> None:
    """A program says itself what it is compiled for."""
    for flag, value in (("--fabric", fabric), ("--precision", precision)):
        if value is not None:
            raise Refusal(f"{flag}: {program} is compiled, and says that itself")


def compiled(
    named: Named,
    fabric: str | None,
    precision: str | None,
    settings: Iterable[str] = (),
    held: Mapping[str, Any] | None = None,
) -> Program:
    """The program of a model by name; without a fabric, for a small square that it fits on.

    held: of ``wsc.compile``, what stays on the fabric.
    """
    from wsc.api import compile as compile_model
    from wsc.isa.machine import read_settings

    with noted(), working("compiling") as line:
        return compile_model(
            **model_of(named),
            observe=following(line),
            fabric=fabric,
            precision=precision or "f32",
            settings=dict(read_settings(settings)),
            **(held or {}),
        )


def model_of(chosen: Path | Named) -> dict[str, Any]:
    """What ``wsc.compile`` takes for it."""
    if isinstance(chosen, Named):
        return {"model": chosen.proto, "weights": chosen.store}
    return {"model": chosen}


def source_files(chosen: Path | Named) -> tuple[Path, ...]:
    """The files that it is read from, before anything is known of them."""
    return chosen.store.files if isinstance(chosen, Named) else (chosen,)


def named_model(name: str, sizes: Sizes, steps: int | None = None) -> Named:
    """The model of that name, of these sizes.

    steps: those of a run, for which the caches of a decoding step have room; None for a single one.

    Raises:
        Refusal: there is none, or the sizes make no model.
    """
    from wsc.frontend.store import Checkpoint, Seed
    from wsc.models.language import ShapeError, Task, build, find_shape, read_shape

    try:
        shape = find_shape(name)
        if sizes.checkpoint is not None:
            if sizes.weights_seed is not None:
                raise Refusal("--weights-seed: the weights are those of the checkpoint")
            shape = read_shape(sizes.checkpoint, shape)
        shape = shape.sized(**{key: getattr(sizes, key) for key in _SIZES})
        task = Task()
        task = replace(
            task,
            sequence=sizes.sequence or task.sequence,
            batch=sizes.batch or task.batch,
            step=sizes.step,
            steps=steps or 0,
        )
        proto = build(shape, task)
    except ShapeError as error:
        raise Refusal(str(error)) from None
    if sizes.checkpoint is not None:
        return Named(shape, task, proto, Checkpoint(sizes.checkpoint))
    return Named(shape, task, proto, Seed(sizes.weights_seed or 0))
