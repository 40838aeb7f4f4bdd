"""How a message calls an option: a flag on the command line, an argument in Python."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_FLAGS: ContextVar[bool] = ContextVar("flags", default=False)


@contextmanager
def on_the_command_line(flags: bool = True) -> Generator[None]:
    """Messages that are made in the block name flags. flags: False for what Python code reads."""
    token = _FLAGS.set(flags)
    try:
        yield
    finally:
        _FLAGS.reset(token)


def flags() -> bool:
    """Whether messages name flags now: another process has to be told."""
    return _FLAGS.get()


def asked(flag: str, argument: str) -> str:
    """The one that whoever reads the message can write: ``--dim n=4``, or ``dims={'n': 4}``."""
    return flag if _FLAGS.get() else argument


def dimension(name: object, size: object = "N") -> str:
    """The size of a dimension, as it is given."""
    return asked(f"--dim {name}={size}", f"dims={{{str(name)!r}: {size}}}")


def constant(name: object) -> str:
    """The values of an input that is to be a constant, as they are given."""
    return asked(f"--bind {name}=FILE.npy", f"bind={{{str(name)!r}: array}}")


def option(kind: str, name: object) -> str:
    """An option that takes names, or values by name: ``--wide x``, or ``wide: 'x'``."""
    arguments = {"dim": "dims", "input": "inputs"}
    shown = str(name) or "''"  # as in a shell
    return asked(f"--{kind} {shown}", f"{arguments.get(kind, kind)}: {str(name)!r}")
