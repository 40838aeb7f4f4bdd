"""Changes that sabotage makes: each is one, in code that still compiles."""

from __future__ import annotations

import ast

from conformance.sabotage.__main__ import ROOT
from conformance.sabotage.areas import AREAS
from conformance.sabotage.mutate import changed, changes

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


def test_the_areas_exist() -> None:
    for area in AREAS.values():
        for pattern in area.files:
            assert list(ROOT.glob(pattern)), pattern
        for test in area.tests:
            assert (ROOT / test).exists(), test
