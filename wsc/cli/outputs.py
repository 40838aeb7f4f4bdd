"""The files that commands write: their names, and that they are none of those that are read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsc.cli.common import Refusal
from wsc.store.files import appearing, require_apart

if TYPE_CHECKING:
    import numpy as np

LONGEST = 120  # characters of a name made from a tensor's; file systems take 143 bytes or more
_DIGITS = 8  # of the digest that tells shortened names apart


class ReportFile(click.Path):
    """A file for a report: the ending says the format (``wsc.pages.formats``)."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The endings that there are; click before 8.2 gives no context."""
        from wsc.pages import FORMATS

        return f"FILE.{'|'.join(ending.removeprefix('.') for ending in FORMATS)}"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path. Raises CompileError if there is no format for it."""
        from wsc.pages import format_of

        path = Path(str(super().convert(value, param, ctx)))
        format_of(path)
        return path


def given_files(values: Iterable[str]) -> tuple[Path, ...]:
    """The files that options such as ``--input NAME=FILE`` name.

    Names may hold ``=`` themselves: every part behind one is taken for a path.
    """
    return tuple(
        Path(value[place + 1 :])
        for value in values
        for place, letter in enumerate(value)
        if letter == "=" and place + 1 < len(value)
    )


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A ``.npy`` file name for each name: letters, digits, ``. _ -``, and no two alike.

    The middle of a long name is left out, and a digest stands for it.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = _shortened(re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".") or "_", name)
        unique, number = stem, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}_{number}"
        taken.add(unique.casefold())
        found[name] = f"{unique}.npy"
    return found


def _shortened(stem: str, name: str) -> str:
    if len(stem) <= LONGEST:
        return stem
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    half = (LONGEST - _DIGITS - 2) // 2
    return f"{stem[:half]}-{digest}-{stem[-half:]}"


def array_paths(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where the array of each name is written."""
    return {name: folder / file for name, file in file_names(names).items()}


def write_arrays(
    paths: Mapping[str, Path], arrays: Mapping[str, np.ndarray], inputs: Iterable[Path] = ()
) -> None:
    """Write each array to its path, as ``.npy``: all of them, or none.

    inputs: files that are read, and never replaced.
    """
    import numpy as np

    for folder in {path.parent for path in paths.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    with appearing(*paths.values(), inputs=inputs) as partials:
        for name, partial in zip(paths, partials, strict=True):
            with partial.open("wb") as file:
                np.save(file, arrays[name], allow_pickle=False)


def require_outputs(
    outputs: Sequence[Path], folder: Path | None, inputs: Iterable[Path] = ()
) -> None:
    """Refuse outputs before long work; see ``wsc.store.files.require_apart``.

    folder: one that is made if it is not there yet; what is to be written into it then is new.

    Raises:
        Refusal: the folder is no folder, or is one of the outputs.
        CompileError: an output must not be written.
    """
    if folder is not None and os.path.lexists(folder) and not folder.is_dir():
        raise Refusal(f"{folder}: is a file, not a folder")
    there = folder is None or folder.exists()
    if folder is not None and os.path.realpath(folder) in map(os.path.realpath, outputs):
        raise Refusal(f"{folder}: is the folder of outputs and an output itself")
    require_apart([path for path in outputs if there or path.parent != folder], inputs)
