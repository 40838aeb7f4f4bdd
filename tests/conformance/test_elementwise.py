"""A quick look at the errors of the elementwise operators; the page has the long one."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.elementwise.__main__ import PAGE
from conformance.elementwise.cases import CASES, OTHERS, Case
from conformance.elementwise.measure import errors, worst
from wsc.frontend import load_lowerings
from wsc.frontend.registry import lowerings
from wsc.isa.types import DType

SAMPLES = 2000


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16], ids=["f32", "f16"])
@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_an_error_is_small_or_has_its_reason(case: Case, dtype: DType) -> None:
    found = worst(case, dtype, SAMPLES, seed=1)
    assert not found.broken, f"{case.title}, {dtype.value}: {found}"


def test_every_elementwise_operator_is_measured() -> None:
    load_lowerings()
    families = ("elementwise", "activation", "power")
    known = {entry.op_type for entry in lowerings() if entry.family in families}
    measured = {case.op for case in CASES}
    assert known - measured == set(OTHERS)
    assert not measured & set(OTHERS)


def test_the_page_has_them_all() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for case in CASES:
        assert f"| {case.title} " in page, "stale; python -m conformance.elementwise makes it anew"
        if case.larger is not None:
            assert f"- {case.title}: {case.larger.reason}." in page


def test_what_an_error_is() -> None:
    limits = np.finfo(np.float32)
    one, beside = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    got = np.array([one, beside, limits.max, np.inf, np.inf, np.nan, np.nan, 0], np.float32)
    exact = np.array(
        [1 + 2.0**-24, 1.0, 1e39, 1e39, 1e30, np.nan, 1.0, 3 * float(limits.smallest_subnormal)]
    )
    assert errors(got, exact).tolist() == [0.5, 1.0, np.inf, 0.0, np.inf, 0.0, np.inf, 3.0]
