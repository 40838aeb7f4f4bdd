"""Random programs and fabrics: some of them, and that the harness sees what goes wrong.

``make fuzz FUZZ="--programs --count 10000"`` tries many more.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from conformance.fuzz import machine
from conformance.fuzz.judge import GOOD, Finding, Verdict
from conformance.fuzz.machine import Programs
from conformance.fuzz.programs import Hostile, hostile

COUNT, SEED, LIMIT = 100, 3, 60.0  # the limit is that of a machine with much else to do


def test_programs_end_well_or_in_a_sentence() -> None:
    findings = list(Programs(SEED, LIMIT).run(range(COUNT), 1))
    assert [str(finding) for finding in findings if finding.verdict not in GOOD] == []
    assert len(findings) == COUNT
    ends = Counter(finding.reason.split(":")[0] for finding in findings)
    for end in ("AssemblyError", "FabricError", "LoadError", "ExecutionFault", "Deadlock", ""):
        assert ends[end] >= 2, ends


def test_a_seed_gives_the_same_programs() -> None:
    assert [hostile(3, n) for n in range(20)] == [hostile(3, n) for n in range(20)]
    assert hostile(3, 0) != hostile(4, 0)


def crash(number: int, case: Hostile) -> Finding:
    os._exit(139)
    raise AssertionError("not reached")


def hang(number: int, case: Hostile) -> Finding:
    time.sleep(60)
    raise AssertionError("not reached")


@pytest.mark.parametrize(("planted", "verdict"), [(crash, Verdict.CRASHED), (hang, Verdict.HUNG)])
def test_what_goes_wrong_is_seen(
    planted: object, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "try_program", planted)
    (finding,) = Programs(0, 1.0).run([0], 1)
    assert finding.verdict is verdict


def test_an_error_that_is_no_sentence_of_ours_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object, **__: object) -> object:
        raise OverflowError("Python int too large to convert to C long")

    monkeypatch.setattr(machine, "verify", overflow)
    monkeypatch.setattr(machine.runtime, "run", overflow)
    found = {machine.try_program(n, hostile(SEED, n)).verdict for n in range(10)}
    assert Verdict.CRASHED in found
