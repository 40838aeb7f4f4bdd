"""``wsc ops`` and ``wsc fabrics``."""

from __future__ import annotations

import json

from tests.cli.helpers import done, refused, wsc
from wsc.isa.fabric import presets


def test_ops() -> None:
    text = done(wsc("ops")).stdout
    assert "MatMul" in text
    rows = json.loads(done(wsc("ops", "--json")).stdout)
    assert len(rows) > 100
    for row in rows:
        assert row["doc"], f"{row['operator']} has no documentation"
        assert row["since"] >= 1


def test_fabrics() -> None:
    text = done(wsc("fabrics")).stdout
    described = json.loads(done(wsc("fabrics", "--json")).stdout)
    assert [item["name"] for item in described] == list(presets())
    for name in presets():
        assert name in text


def test_a_fabric_shows_every_number_with_its_grade() -> None:
    text = done(wsc("fabrics", "wse2")).stdout
    described = json.loads(done(wsc("fabrics", "wse2", "--json")).stdout)
    for number in described["numbers"]:
        assert number["key"] in text
        assert number["grade"] in "PSDA"
        assert number["note"] in text


def test_a_rectangle_of_the_default_fabric() -> None:
    assert "16x8 tiles" in done(wsc("fabrics", "16x8")).stdout


def test_a_fabric_that_does_not_exist() -> None:
    refused(wsc("fabrics", "wse9"), "no fabric 'wse9'", "wse2")
    refused(wsc("fabrics", "9999x1"), "does not fit", "750x994")
