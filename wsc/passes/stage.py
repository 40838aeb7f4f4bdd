"""What a pass is: it takes one form of the program, gives one, and ensures something of it.

What a pass ensures is checked behind it where ``check_promises`` has been called: in all tests, and
on the command line with ``--debug``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar, get_args

from wsc.ir.graph import Graph
from wsc.ir.tasks import Placed
from wsc.isa.program import Program

Stage = Graph | Placed | Program
Taken = TypeVar("Taken", Graph, Placed, Program)
Given = TypeVar("Given", Graph, Placed, Program)


class BrokenPromise(AssertionError):
    """A pass gave something that is not what it ensures: a defect of the compiler."""


@dataclass(frozen=True, slots=True)
class Pass(ABC, Generic[Taken, Given]):
    """One step of the compiler; its fields are its options.

    name: how the command line calls it. takes, gives: the classes of what comes in and goes out,
    which the base says: ``class Place(Pass[Graph, Placed])``.
    """

    name: ClassVar[str]
    takes: ClassVar[type]
    gives: ClassVar[type]

    def __init_subclass__(cls) -> None:
        """Note what the base says. Raises TypeError for a pass without a name or without types."""
        bases = [base for base in getattr(cls, "__orig_bases__", ()) if len(get_args(base)) == 2]
        if not bases or not getattr(cls, "name", ""):
            raise TypeError(
                f"pass {cls.__name__} has no name, or does not say what it takes and gives"
            )
        cls.takes, cls.gives = get_args(bases[0])

    @abstractmethod
    def apply(self, stage: Taken) -> Given:
        """The program in the form that this pass gives. It does not change what it takes."""

    @abstractmethod
    def broken(self, before: Taken, after: Given) -> Iterable[str]:
        """What does not hold of the things that this pass ensures, in sentences."""


_CHECKED = [False]


def check_promises(on: bool = True) -> None:
    """Check, or no longer check, what each pass ensures, in this process."""
    _CHECKED[0] = on


def run(step: Pass[Taken, Given], stage: Taken) -> Given:
    """What a pass makes of a stage.

    Raises:
        BrokenPromise: it is not what the pass ensures, if that is checked.
        TypeError: the pass takes another form of the program.
    """
    if not isinstance(stage, step.takes):
        raise TypeError(f"pass '{step.name}' takes a {step.takes.__name__}")
    result = step.apply(stage)
    if _CHECKED[0]:
        for sentence in step.broken(stage, result):
            raise BrokenPromise(f"pass '{step.name}': {sentence}")
    return result
