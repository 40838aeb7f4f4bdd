"""The front page: its commands run, and its excerpts are what they give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import done, wsc
from tests.docs.pages import Page
from wsc import models

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def test_the_front_page_shows_what_its_commands_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "digits.onnx").write_bytes(models.DIGITS.read_bytes())
    done(wsc("compile", "models/digits.onnx", "-o", "digits.wsa", "--fabric", "8x8"))
    text = README.read_text(encoding="utf-8")
    rendered = Page(tmp_path).render(text)
    if request.config.getoption("--rewrite"):
        README.write_text(rendered, encoding="utf-8")
        return
    assert rendered == text, "README.md differs; pytest --rewrite takes what came out"


def test_the_networks_figures_are_those_of_the_benchmarks_page() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines()
    text = README.read_text(encoding="utf-8")
    table = text[text.index("## Networks that run") : text.index("## A tour")]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows
    assert [row for row in rows if row not in page] == []
