"""The chapter on training: every command and script in it runs, and shows what it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import Page

CHAPTER = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_chapter_runs_and_shows_what_it_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    text = CHAPTER.read_text(encoding="utf-8")
    rendered = Page(tmp_path).render(text)
    if request.config.getoption("--rewrite"):
        CHAPTER.write_text(rendered, encoding="utf-8")
        return
    assert rendered == text, "docs/training.md differs; pytest --rewrite takes what came out"
