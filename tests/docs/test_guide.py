"""The guide: every program, script and command in it runs, and shows what it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.notebook import notebook
from tests.docs.pages import Page
from wsc import models

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
NOTEBOOK = GUIDE.with_suffix(".ipynb")


@pytest.mark.slow
def test_the_guide_runs_and_shows_what_it_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.onnx").write_bytes(models.DIGITS.read_bytes())
    text = GUIDE.read_text(encoding="utf-8")
    rendered = Page(tmp_path).render(text)
    if request.config.getoption("--rewrite"):
        GUIDE.write_text(rendered, encoding="utf-8")
        NOTEBOOK.write_text(notebook(rendered), encoding="utf-8")
        return
    assert rendered == text, "docs/guide.md differs; pytest --rewrite takes what came out"
    made = NOTEBOOK.read_text(encoding="utf-8")
    assert notebook(rendered) == made, "docs/guide.ipynb differs; pytest --rewrite makes it anew"
