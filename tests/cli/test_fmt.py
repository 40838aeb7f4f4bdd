"""``wsc fmt``: files in place, standard input, and what is left alone."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tests.cli.helpers import TWICE, done, refused, text_file, wsc
from wsc.cli.main import cli
from wsc.isa.parser import parse
from wsc.isa.printer import print_program


def test_files_are_laid_out_in_place(tmp_path: Path) -> None:
    tidy = done(CliRunner().invoke(cli, ["fmt", "-"], input=TWICE)).stdout
    assert print_program(parse(tidy)) == print_program(parse(TWICE))
    one = text_file(tmp_path / "one.wsa", TWICE.replace("  mov", "mov"))
    two = text_file(tmp_path / "two.wsa", tidy)
    before = two.stat().st_mtime_ns
    check = done(wsc("fmt", "--check", one, two), code=1)
    assert check.stdout == f"{one}: would change\n"
    assert done(wsc("fmt", one, two)).stderr == f"{one}: laid out anew\n"
    assert one.read_text() == two.read_text() == tidy
    assert two.stat().st_mtime_ns == before
    done(wsc("fmt", "--check", one, two))


def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    good = text_file(tmp_path / "good.wsa", TWICE.replace("  mov", "mov"))
    bad = text_file(tmp_path / "bad.wsa", TWICE.replace("loop", "").replace("if y ==", "if y ="))
    before = good.read_text()
    refused(wsc("fmt", good, bad), "bad.wsa:", "expected")
    assert good.read_text() == before
    refused(wsc("fmt", tmp_path / "none.wsa"), "none.wsa: cannot be read")
    link = tmp_path / "link.wsa"
    link.symlink_to(good)
    refused(wsc("fmt", link), "symbolic link")
