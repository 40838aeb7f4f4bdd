"""Changed models over guarded processes: first wsc, then the reference evaluator for results."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from conformance.fuzz.judge import (
    Finding,
    Inputs,
    Route,
    Verdict,
    compare,
    limit_memory,
    run_mutant,
    try_mutant,
)
from conformance.fuzz.mutate import Mutant, mutated
from conformance.pool import Job, Loss, over_processes
from conformance.suite import Case


class Fuzzer:
    """Changed models by number: the same for the same cases and seed.

    limit: seconds that one may take. route: what compiles and runs a changed model.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        seed: int,
        fabric: str,
        limit: float,
        route: Route = run_mutant,
    ) -> None:
        self.cases, self.seed, self.fabric = cases, seed, fabric
        self.limit, self.route = limit, route

    def case(self, number: int) -> Case:
        """The case that a model is made from."""
        return self.cases[self._random(number).randrange(len(self.cases))]

    def mutant(self, number: int) -> Mutant:
        """A changed model."""
        rng = self._random(number)
        model, sets = self.cases[rng.randrange(len(self.cases))].load()
        return mutated(model, sets[0][0], rng)

    def keep(self, number: int, path: Path) -> None:
        """Write a changed model to a file of that name."""
        path.with_suffix(".onnx").write_bytes(self.mutant(number).data)

    def run(self, numbers: Sequence[int], jobs: int) -> Iterator[Finding]:
        """Findings as they come; those that need the reference evaluator are the last."""
        open_ones: dict[int, Finding] = {}
        for finding in over_processes(Job(self._try, self._lost, self.limit), numbers, jobs):
            if finding.outputs is None and not finding.fault:
                yield finding
            else:
                open_ones[finding.number] = finding

        def check(number: int) -> Finding:
            limit_memory()
            return compare(open_ones[number], self.mutant(number), self.inputs(number))

        def unchecked(number: int, _: Loss, reason: str, __: float) -> Finding:
            return replace(open_ones[number], reason=f"reference: {reason}")

        yield from over_processes(Job(check, unchecked, self.limit), list(open_ones), jobs)

    def _random(self, number: int) -> random.Random:
        return random.Random(f"{self.seed}/{number}")

    def inputs(self, number: int) -> Inputs:
        """What the suite feeds the case, by name."""
        model, sets = self.case(number).load()
        constant = {tensor.name for tensor in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in constant]
        return dict(zip(names, sets[0][0], strict=False))

    def _try(self, number: int) -> Finding:
        limit_memory()
        mutant, inputs = self.mutant(number), self.inputs(number)
        return try_mutant(
            number,
            self.case(number).name,
            mutant,
            lambda: self.route(mutant, inputs, self.fabric),
        )

    def _lost(self, number: int, loss: Loss, reason: str, seconds: float) -> Finding:
        verdict = Verdict.HUNG if loss is Loss.HANG else Verdict.CRASHED
        changes = self.mutant(number).changes
        return Finding(number, self.case(number).name, changes, verdict, reason, seconds)
