"""The store's optimizers against their formulas in double precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wsc.isa.program import Program, Update
from wsc.isa.updates import BY_NAME, RULES
from wsc.runtime.optimizer import apply_updates, not_finite

STEPS = 5


def update(rule: str, **numbers: float) -> Update:
    row = BY_NAME[rule]
    table = {item.name: item.default for item in row.parameters} | numbers
    return Update("w", rule, tuple(table.items()), "g", tuple(f"w.{part}" for part in row.state))


def program(*updates: Update, clip: float = 0.0) -> Program:
    return Program("wse2", 1, 1, updates=updates, clip=clip)


def followed(rule: str, **numbers: float) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """(weight at the start, gradients, weight after some steps)."""
    rng = np.random.default_rng(4)
    start = rng.normal(size=(3, 5)).astype(np.float32)
    gradients = [rng.normal(size=(3, 5)).astype(np.float32) for _ in range(STEPS)]
    item = update(rule, **numbers)
    store = {"w": start, **{name: np.zeros_like(start) for name in item.states}}
    for count, gradient in enumerate(gradients, 1):
        applied = apply_updates(program(item), store, {"g": gradient}, count)
        assert all(array.dtype == np.float32 for array in applied.tensors.values())
        store |= applied.tensors
    return start, gradients, store["w"]


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_sgd(decay: float) -> None:
    start, gradients, got = followed("sgd", rate=0.1, decay=decay)
    w = start.astype(np.float64)
    for g in gradients:
        w = w - 0.1 * (g + decay * w)
    np.testing.assert_allclose(got, w, 1e-5, 1e-6)


@pytest.mark.parametrize("nesterov", [0.0, 1.0])
def test_momentum(nesterov: float) -> None:
    start, gradients, got = followed(
        "momentum", rate=0.1, momentum=0.8, decay=0.1, nesterov=nesterov
    )
    w, v = start.astype(np.float64), np.zeros_like(start, np.float64)
    for g in gradients:
        g = g + 0.1 * w
        v = 0.8 * v + g
        w = w - 0.1 * (g + 0.8 * v if nesterov else v)
    np.testing.assert_allclose(got, w, 1e-5, 1e-6)


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_adam(rule: str) -> None:
    start, gradients, got = followed(rule, rate=0.05, beta1=0.8, beta2=0.9, epsilon=1e-3, decay=0.2)
    w = start.astype(np.float64)
    m, s = np.zeros_like(w), np.zeros_like(w)
    for count, g in enumerate(gradients, 1):
        if rule == "adamw":
            w = w * (1 - 0.05 * 0.2)
        else:
            g = g + 0.2 * w
        m, s = 0.8 * m + 0.2 * g, 0.9 * s + 0.1 * g * g
        w = w - 0.05 * (m / (1 - 0.8**count)) / (np.sqrt(s / (1 - 0.9**count)) + 1e-3)
    np.testing.assert_allclose(got, w, 1e-5, 1e-6)


def test_statistics_are_taken_as_they_are_and_not_clipped() -> None:
    start, gradients, got = followed("take")
    assert (got == gradients[-1]).all()
    both = program(update("take"), clip=1e-3)
    applied = apply_updates(both, {"w": start}, {"g": gradients[0]}, 1)
    assert (applied.tensors["w"] == gradients[0]).all()


@pytest.mark.parametrize("clip", [0.5, 1.0, 12.9, 13.1, 40.0])
def test_gradients_are_clipped_together(clip: float) -> None:
    """By the norm of all that are clipped; statistics are none of them, and stay as they are."""
    sgd = update("sgd", rate=1.0)
    other = replace(sgd, weight="v", gradient="h")
    statistics = replace(update("take"), weight="m", gradient="s")
    gradients = {
        "g": np.array([3, -4], np.float32),
        "h": np.full((3, 1), -np.sqrt(48), np.float32),  # 25 + 144: the norm is 13
        "s": np.array([1000], np.float32),
    }
    store = {"w": np.zeros(2, np.float32), "v": np.zeros((3, 1), np.float32)}
    store["m"] = np.zeros(1, np.float32)
    applied = apply_updates(program(sgd, other, statistics, clip=clip), store, gradients, 1)
    assert applied.norm == pytest.approx(13)
    factor = min(clip / 13, 1)
    np.testing.assert_allclose(applied.tensors["w"], -factor * gradients["g"], 1e-5)
    np.testing.assert_allclose(applied.tensors["v"], -factor * gradients["h"], 1e-5)
    assert applied.tensors["m"] == gradients["s"]
    if clip > 13:
        assert (applied.tensors["w"] == -gradients["g"]).all()


def test_nothing_is_measured_where_nothing_is_clipped() -> None:
    store = {"w": np.zeros(2, np.float32)}
    gradients = {"g": np.array([300, -400], np.float32)}
    applied = apply_updates(program(update("sgd", rate=1.0)), store, gradients, 1)
    assert applied.norm is None
    assert (applied.tensors["w"] == -gradients["g"]).all()


def test_the_store_that_is_given_stays_as_it_is() -> None:
    store = {"w": np.ones(3, np.float32)}
    applied = apply_updates(program(update("sgd")), store, {"g": np.ones(3, np.float32)}, 1, 2.0)
    assert (store["w"] == 1).all()
    np.testing.assert_allclose(applied.tensors["w"], 1 - 0.02)


def test_overflow_is_seen() -> None:
    updates = (update("sgd"),)
    assert not_finite(updates, {"g": np.ones(3, np.float32)}) == ""
    assert not_finite(updates, {"g": np.array([1, np.inf], np.float32)}) == "g"
    assert not_finite(updates, {"g": np.array([1, np.nan], np.float32)}) == "g"


def test_every_rule_is_tried_here() -> None:
    assert {rule.name for rule in RULES} == {"take", "sgd", "momentum", "adam", "adamw"}
