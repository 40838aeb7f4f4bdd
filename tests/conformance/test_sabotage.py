"""Changes that sabotage makes: each is one, in code that still compiles."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest

from conformance.sabotage.__main__ import ROOT, chosen
from conformance.sabotage.areas import AREAS, Area
from conformance.sabotage.mutate import changed, changes
from conformance.sabotage.runs import Outcome, outcome_of

SOURCE = '''
def f(a: int, b: list[int]) -> int:
    """Add 1."""
    if a < 3 and b:
        b[0] = 2
        return min(a, len(b))
    b.append(a)
    return a + 7
'''


def test_every_kind_of_change() -> None:
    found = [(change.what, changed(SOURCE, change)) for change in changes(SOURCE)]
    plain = ast.unparse(ast.parse(SOURCE)) + "\n"
    assert sorted({what.split(":")[0] for what, _ in found}) == [
        "and, or",
        "comparison",
        "condition never holds",
        "dropped",
        "off by one",
        "operator",
        "other function",
    ]
    texts = [text for _, text in found]
    assert len(set(texts)) == len(texts) == 11
    for text in texts:
        ast.parse(text)
        lines = zip(text.split("\n"), plain.split("\n"), strict=True)
        assert sum(one != other for one, other in lines) == 1
        assert '"""Add 1."""' in text


def test_a_change_is_named_by_its_code() -> None:
    source = "def f(a: int) -> int:\n    return a + 1 + 1\n"
    named = {change.key: changed(source, change) for change in changes(source)}
    moved = {change.key: changed(f"\n\n{source}", change) for change in changes(f"\n\n{source}")}
    assert named == moved
    assert named["f: off by one: 1 #2"] != named["f: off by one: 1"]


def test_code_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = Area(("conformance/sabotage/mutate.py",), ())
    key = "_off_by_one: off by one: 1"
    listed = tmp_path / "chosen.toml"
    monkeypatch.setattr("conformance.sabotage.__main__.CHOSEN", listed)
    listed.write_text(f'["conformance/sabotage/mutate.py"]\nseen = ["{key}"]\n')
    (found,) = chosen(area)
    assert found.change.key == key
    listed.write_text('["conformance/sabotage/mutate.py"]\nseen = ["gone: off by one: 1"]\n')
    with pytest.raises(click.ClickException, match="no code reads like: gone: off by one: 1"):
        chosen(area)


@pytest.mark.parametrize(
    ("body", "limit", "outcome"),
    [
        ("assert True", 60, Outcome.PASSED),
        ("assert False", 60, Outcome.SEEN),
        ("import time; time.sleep(60)", 0.5, Outcome.TOO_LONG),
    ],
)
def test_what_tests_say(body: str, limit: float, outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    assert outcome_of(["test_it.py"], limit, tmp_path, ROOT) is outcome


def test_the_areas_exist() -> None:
    for area in AREAS.values():
        for pattern in area.files:
            assert list(ROOT.glob(pattern)), pattern
        for test in area.tests:
            assert (ROOT / test).exists(), test
