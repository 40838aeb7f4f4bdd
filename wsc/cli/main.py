"""The ``wsc`` command. Each subcommand is a module beside this one, imported when it is used.

Exit codes: 0 done, 1 a comparison failed, 2 anything that the user has to repair,
130 interrupted. Errors are one message on standard error; ``--debug`` adds the traceback.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import traceback
from _thread import interrupt_main
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from wsc.cli.common import Refusal, doing, expect_json, general, say, say_json_error, told
from wsc.cli.start import INTERRUPTED, importing, main
from wsc.isa.asked import on_the_command_line
from wsc.store.files import files_under_way

COMMANDS = {
    "compile": "Compile an ONNX model to mesh assembly.",
    "run": "Run an assembly file on the simulated fabric.",
    "train": "Train an ONNX model on the simulated fabric.",
    "debug": "Step through a run, and look at tiles, queues and memory.",
    "why": "Say what a tile, node or line waited for, and who was late.",
    "report": "Run a program, and write what happened as one page of HTML.",
    "estimate": "Predict what a model costs on a fabric, without executing it.",
    "sweep": "Run models on every combination of machines, and say what matters.",
    "diff": "Say what differs between two programs, runs, or dumps of the IR.",
    "inspect": "Show what a program does: tiles, kernels, nodes, streams.",
    "check": "Say everything that is wrong with an assembly file or a model.",
    "models": "List the language models that are known by name.",
    "fmt": "Lay out assembly files anew.",
    "lsp": "Serve editors: diagnostics, hover, definitions, rename, layout.",
    "ops": "List the ONNX operators that can be compiled.",
    "fabrics": "List the fabrics and the evidence for their numbers.",
}

SHOW_CURSOR = "\x1b[?25h"
BROKEN_PIPE = 141  # as a shell reports SIGPIPE


class LazyGroup(click.Group):
    """A group that imports a command when it is run, and turns errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"wsc.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help page's list, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away is no error of ours."""
        if Interrupts.latest is not None:
            Interrupts.latest.begun = True
        try:
            with on_the_command_line():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            if sys.stderr.isatty():
                say("", error=True)  # behind the ^C
            raise click.Abort(str(error)) from None
        except EOFError as error:  # click would take it for an interrupt
            raise Refusal(f"a file ended before its data ({error})") from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *rest: Any,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(arguments, prog_name, *rest, standalone_mode=False, **extra)
        sys.exit(self._guarded(arguments, prog_name or "wsc", *rest, **extra))

    def _guarded(self, arguments: list[str], *rest: Any, **extra: Any) -> int:
        debug, as_json = "--debug" in arguments, "--json" in arguments
        expect_json()
        if debug:
            from wsc.passes.stage import check_promises

            check_promises()
        try:
            code = super().main(arguments, *rest, standalone_mode=False, **extra)
        except (click.Abort, KeyboardInterrupt) as error:
            if as_json:
                say_json_error(str(error) or "interrupted")
            return _interrupted(str(error))
        except Exception as error:  # noqa: BLE001 - the last place where an error can be told
            if Interrupts.latest is not None and Interrupts.latest.seen:
                return _interrupted()  # whatever a library has made of it
            if as_json:
                say_json_error(told(error))
            _tell(error, debug)
            return Refusal.exit_code
        return code if isinstance(code, int) else 0


class Interrupts:
    """What an interrupt does while a command runs: ``wsc.cli.start`` says why.

    seen: whether one came. begun: whether a command runs; before, click would take an interrupt
    for one of its own prompts, and nothing can be lost.
    """

    latest: Interrupts | None = None

    def __init__(self) -> None:
        self.seen = self.begun = False

    def watch(self) -> None:
        """Take the interrupts of this process from now on."""
        Interrupts.latest = self
        signal.signal(signal.SIGINT, self._take)
        sys.excepthook = self._hook(sys.excepthook)
        sys.unraisablehook = self._unraisable

    @classmethod
    def heed(cls) -> None:
        """Raise an interrupt that came and was lost: code of others may take it for a fault.

        For loops that would go on without end.
        """
        if cls.latest is not None and cls.latest.seen:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        if not self.begun or (importing(frame) and not files_under_way()):
            _interrupted(doing())
            self.leave()
        signal.default_int_handler(number, frame)

    def _hook(self, before: Callable[..., Any]) -> Callable[..., None]:
        """C extensions print an exception that they cannot raise: an interrupt is told once."""

        def hook(kind: type[BaseException], *rest: Any) -> None:
            if not (self.seen and issubclass(kind, KeyboardInterrupt)):
                before(kind, *rest)

        return hook

    def _unraisable(self, lost: Any) -> None:
        """An interrupt in a destructor or a callback would be lost: it comes again."""
        if self.seen and issubclass(lost.exc_type, KeyboardInterrupt):
            interrupt_main()
        else:
            sys.__unraisablehook__(lost)

    def leave(self) -> NoReturn:
        """End the process at once, with its exit code.

        The interpreter's own end takes a second, and forgets the code if the interrupt came
        while a module made functions from strings, as dataclasses do: it then ends by SIGINT.
        """
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage] - there is no public way
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


def _interrupted(reason: str = "") -> int:
    """Say that, and give the exit code."""
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)  # a status line has hidden it
    say(reason or "interrupted", error=True)
    return INTERRUPTED


def _tell(error: Exception, debug: bool) -> None:
    """Print an error as one message."""
    if debug:
        say("".join(traceback.format_exception(error)), error=True, end="")
    if isinstance(error, click.UsageError):
        text = io.StringIO()
        error.show(text)
        say(text.getvalue(), error=True, end="")
        return
    message = told(error)
    hint = "; --debug shows where" if "a defect of wsc" in message and not debug else ""
    Refusal(message + hint).show()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wsc", prog_name="wsc")
@general
def cli() -> None:
    """Compile neural networks for a wafer-scale mesh, and run the assembly.

    \b
    wsc compile model.onnx --fabric 16x16 -o model.wsa
    wsc run model.wsa --compare model.onnx
    wsc estimate model.onnx --fabric wse2
    wsc inspect model.wsa --node /layer/MatMul
    wsc why model.wsa --tile 4,4
    wsc estimate gpt-neox-20b --precision f16
    """


if __name__ == "__main__":
    main()
