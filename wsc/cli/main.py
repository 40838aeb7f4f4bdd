"""The ``wsc`` command. Each subcommand is a module beside this one, imported when it is used.

Exit codes: 0 done, 1 a comparison failed, 2 anything that the user has to repair,
130 interrupted. Errors are one message on standard error; ``--debug`` adds the traceback.
"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from wsc.cli.common import Refusal, general

COMMANDS = {
    "compile": "Compile an ONNX model to mesh assembly.",
    "run": "Run an assembly file on the simulated fabric.",
    "estimate": "Predict what a model costs on a fabric, without executing it.",
    "inspect": "Show what a program does: tiles, kernels, nodes, streams.",
    "check": "Say everything that is wrong with an assembly file or a model.",
    "ops": "List the ONNX operators that can be compiled.",
    "fabrics": "List the fabrics and the evidence for their numbers.",
}

INTERRUPTED = 130
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
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            if sys.stderr.isatty():
                click.echo(err=True)  # behind the ^C
            raise click.Abort(str(error)) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any,
        standalone_mode: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        """Run the command line and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(arguments, prog_name, *rest, standalone_mode=False, **extra)
        sys.exit(self._guarded(arguments, prog_name or "wsc", *rest, **extra))

    def _guarded(self, arguments: list[str], *rest: Any, **extra: Any) -> int:
        debug = "--debug" in arguments
        try:
            code = super().main(arguments, *rest, standalone_mode=False, **extra)
        except click.Abort as error:
            click.echo(str(error) or "interrupted", err=True)
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the last place where an error can be told
            _tell(error, debug)
            return Refusal.exit_code
        return code if isinstance(code, int) else 0


def _tell(error: Exception, debug: bool) -> None:
    """Print an error as one message."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, _users_errors()):
        Refusal(str(error)).show()
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        Refusal(f"{place}{error.strerror or error}").show()
    elif isinstance(error, MemoryError):
        Refusal(f"out of memory ({error})" if str(error) else "out of memory").show()
    else:
        hint = "" if debug else "; --debug shows where"
        text = f"{type(error).__name__}: {error}"
        Refusal(f"a defect of wsc, please report it: {text}{hint}").show()


def _users_errors() -> tuple[type[Exception], ...]:
    """The errors whose text is meant for the user."""
    from isa.diagnostics import AssemblyError
    from isa.fabric import FabricError
    from runtime.errors import RuntimeFault
    from wsc.errors import CompileError

    return AssemblyError, FabricError, RuntimeFault, CompileError


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
    """


def _leave_interrupted() -> NoReturn:
    """End the process at once, with its exit code.

    The interpreter's own end takes a second, and forgets the code if the interrupt came
    while a module made functions from strings, as dataclasses do: it then ends by SIGINT.
    """
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage] - there is no public way
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def main() -> NoReturn:
    """Entry point of the ``wsc`` script."""
    try:
        cli.main()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _leave_interrupted()
        raise
    raise AssertionError("the group leaves by sys.exit")


if __name__ == "__main__":
    main()
