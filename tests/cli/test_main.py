"""The frame: help, version, exit codes, messages."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from tests.cli.helpers import done, refused, wsc
from wsc.cli import main as module
from wsc.cli.main import COMMANDS, Interrupts

HEAVY = ("numpy", "onnx", "onnxscript", "numba", "lark", "networkx", "rich", "onnxruntime")


def test_help_names_every_command() -> None:
    text = done(wsc("--help")).stdout
    for name, meaning in COMMANDS.items():
        assert f"{name} " in text
        assert meaning in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    text = done(wsc(name, "--help")).stdout
    assert "--debug" in text
    assert "-v, --verbose" in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from wsc.cli.main import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


def test_version() -> None:
    assert "wsc" in done(wsc("--version")).stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["compile"], ["run", "a.wsa", "--wrong"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = wsc(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("ops")
    @click.option("--debug", is_flag=True, expose_value=False)
    def command() -> None:
        raise error

    monkeypatch.setattr(module.LazyGroup, "get_command", lambda *_: command)


def test_interrupt_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, KeyboardInterrupt())
    result = wsc("ops")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_defect_is_one_line_unless_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, KeyError("lost"))
    plain, loud = wsc("ops"), wsc("ops", "--debug")
    assert plain.exit_code == loud.exit_code == 2
    assert plain.stderr == (
        "error: a defect of wsc, please report it: KeyError: 'lost'; --debug shows where\n"
    )
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize("name", ["ops", "fabrics"])
def test_a_reader_that_goes_away_is_no_failed_comparison(name: str) -> None:
    command = [sys.executable, "-m", "wsc.cli", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 141


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "out.npy"), "out.npy: No space left on device"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    _failing(monkeypatch, error)
    refused(wsc("ops"), message)


def test_an_interrupt_that_was_lost_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupts = Interrupts()
    monkeypatch.setattr(Interrupts, "latest", interrupts)
    Interrupts.heed()
    interrupts.seen = True
    with pytest.raises(KeyboardInterrupt):
        Interrupts.heed()
