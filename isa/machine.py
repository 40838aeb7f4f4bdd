"""The machine that a program is for: a fabric that has a name, and numbers that were changed.

A program's header names a fabric and gives the numbers in which its machine differs from that
(``set io.bytes_per_cycle = 8``). A digest of all numbers tells whether the fabric of that name
is still the one that the program was compiled for.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

from wsc.isa.fabric import DEFAULT, PRESETS, Fabric, FabricError, find_fabric, followed
from wsc.isa.program import Number, Program

Settings = tuple[tuple[str, Number], ...]

_SIZE = ("size.width", "size.height")
_BETWEEN = "interconnect."  # numbers between wafers: a run on one of them knows nothing of it
_DIGITS = 16  # of the digest: it tells versions of a description apart, nothing is kept secret


def machine_of(program: Program, folder: Path | None = None) -> Fabric:
    """The fabric that the header of a program describes, in its whole size.

    folder: that of the program, where the path of a description begins; None is the current one.

    Raises:
        FabricError: there is no fabric of that name, or a number is unknown or out of range.
    """
    fabric = find_fabric(program.fabric, folder)
    return fabric.changed(dict(program.settings)) if program.settings else fabric


def described(program: Program, fabric: Fabric, folder: Path | None = None) -> Program:
    """The program with a header that describes ``fabric``; ``machine_of`` gives it back.

    folder: that of the program, as for ``machine_of``.

    Raises:
        FabricError: the description that the fabric was made from cannot be read any more, or
            a number of the fabric is out of its range.
    """
    name = _name(fabric, folder)
    base, wanted = find_fabric(name, folder), fabric.numbers()
    fabric.changed({})  # a fabric that Python code made has been checked by nobody
    # First the numbers that others follow, then those that do not follow them.
    free = {key: wanted[key] for key in _changed(wanted, base.numbers()) if followed(key) == key}
    others = _changed(wanted, base.changed(free).numbers())
    settings = tuple((key, wanted[key]) for key in wanted if key in free or key in others)
    return program.with_(fabric=name, settings=settings, numbers=digest(fabric))


def _changed(wanted: dict[str, Number], base: dict[str, Number]) -> set[str]:
    """Keys of the numbers in which a machine differs; a smaller mesh fits on a larger one."""
    return {
        key
        for key, value in wanted.items()
        if (_beyond(value, base[key]) if key in _SIZE else value != base[key])
    }


def digest(fabric: Fabric) -> str:
    """A digest of the numbers on which a run depends; the size in tiles is the program's own."""
    lines = [
        f"{key} = {value}"
        for key, value in fabric.numbers().items()
        if key not in _SIZE and not key.startswith(_BETWEEN)
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:_DIGITS]


def strange(program: Program, fabric: Fabric) -> str:
    """One sentence if a program was compiled for other numbers than the fabric's; else empty."""
    if not program.numbers or program.numbers == digest(fabric):
        return ""
    return (
        f"the numbers of fabric '{program.fabric}' are not those that the program was compiled "
        "for: it may take other cycles, or no longer fit; compile it again to be sure"
    )


def read_settings(texts: Iterable[str]) -> Settings:
    """The numbers that texts such as ``io.bytes_per_cycle=8`` give; values are as in TOML.

    Raises:
        FabricError: a text of another form, a key that no fabric has, or one that is given twice.
    """
    found: dict[str, Number] = {}
    known = find_fabric(DEFAULT)
    for text in texts:
        key, mark, value = (part.strip() for part in text.partition("="))
        if not mark:
            raise FabricError(f"'{text}': wants KEY=NUMBER, as in io.bytes_per_cycle=8")
        known.require_key(key)
        if key in found:
            raise FabricError(f"'{key}' is given twice")
        found[key] = _value(key, value)
    return tuple(found.items())


def _value(key: str, text: str) -> Number:
    try:
        read = tomllib.loads(f"value = {text}")
    except ValueError:
        read = {}
    value = tuple(read["value"]) if isinstance(read.get("value"), list) else read.get("value")
    parts = value if isinstance(value, tuple) else (value,)
    whole = all(type(part) is int for part in parts)
    if len(read) != 1 or value is None or not (whole or type(value) is float):
        raise FabricError(f"'{key}={text}': wants a number, or a list such as [6, 6, 4]")
    return value


def is_preset(fabric: Fabric) -> bool:
    """Whether a program names the fabric by a preset, and not by the path of a description."""
    return not fabric.source or Path(fabric.source).parent == PRESETS


def _name(fabric: Fabric, folder: Path | None) -> str:
    """A preset by its name, another description by its path."""
    source = Path(fabric.source)
    if is_preset(fabric):
        return source.stem or DEFAULT
    if folder is None:
        return fabric.source
    try:  # program and description may then move together
        return Path(os.path.relpath(source, folder)).as_posix()
    except ValueError:  # they are on two drives
        return str(source.absolute())


def _beyond(value: Number, limit: Number) -> bool:
    """Whether a size is larger than that of the fabric that has a name: a smaller one fits."""
    return isinstance(value, int) and isinstance(limit, int) and value > limit
