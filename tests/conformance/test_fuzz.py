"""Bad input: some changed models, and that the harness sees what goes wrong.

``make fuzz`` tries many more.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from conformance.fuzz.judge import GOOD, Finding, Inputs, Outputs, Route, Verdict, run_mutant
from conformance.fuzz.mutate import Mutant
from conformance.fuzz.run import Fuzzer
from conformance.suite import Case, load_cases

COUNT, SEED, LIMIT = 160, 4, 30.0  # the limit is that of a machine with much else to do


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return load_cases(["node"])


@pytest.mark.slow
def test_changed_models_are_refused_or_agree(cases: list[Case]) -> None:
    findings = list(Fuzzer(cases, SEED, "3x5", LIMIT).run(range(COUNT), 1))
    assert [str(finding) for finding in findings if finding.verdict not in GOOD] == []
    assert len(findings) == COUNT
    for verdict in (Verdict.AGREED, Verdict.REFUSED):
        assert sum(finding.verdict is verdict for finding in findings) > COUNT // 8


def test_a_seed_gives_the_same_models(cases: list[Case]) -> None:
    first, again, other = (Fuzzer(cases, seed, "1x1", 1.0) for seed in (3, 3, 4))
    models = [[fuzzer.mutant(n).data for n in range(5)] for fuzzer in (first, again, other)]
    assert models[0] == models[1]
    assert not set(models[0]) & set(models[2])


# --- planted -------------------------------------------------------------------------


def hang(mutant: Mutant, inputs: Inputs, fabric: str) -> Outputs:
    time.sleep(60)
    raise AssertionError("not reached")


def die(mutant: Mutant, inputs: Inputs, fabric: str) -> Outputs:
    os._exit(3)


def crash(mutant: Mutant, inputs: Inputs, fabric: str) -> Outputs:
    raise KeyError("x")


def devour(mutant: Mutant, inputs: Inputs, fabric: str) -> Outputs:
    return [np.ones(5 << 30, np.uint8)]


def err(mutant: Mutant, inputs: Inputs, fabric: str) -> Outputs:
    return [output + 1 for output in run_mutant(mutant, inputs, fabric)]


def try_one(cases: list[Case], number: int, route: Route) -> Finding:
    (finding,) = Fuzzer(cases, 0, "1x1", 2.0, route).run([number], 1)
    return finding


@pytest.mark.parametrize(
    ("route", "verdict"),
    [
        (hang, Verdict.HUNG),
        (die, Verdict.CRASHED),
        (crash, Verdict.CRASHED),
        (devour, Verdict.MEMORY),
    ],
)
def test_what_goes_wrong_is_seen(cases: list[Case], route: Route, verdict: Verdict) -> None:
    assert try_one(cases, 0, route).verdict is verdict


def test_a_wrong_result_is_seen() -> None:
    cases = load_cases(["node"], "^test_neg$")
    numbers = range(12)
    right = {n: try_one(cases, n, run_mutant).verdict for n in numbers}
    agreed = [n for n in numbers if right[n] is Verdict.AGREED]
    assert agreed
    assert try_one(cases, agreed[0], err).verdict is Verdict.DISAGREED
