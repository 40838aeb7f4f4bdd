"""Steps of training against PyTorch's, from the record that ``tests.training.pytorch`` makes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import wsc
from tests.training.networks import NETWORKS
from tests.training.pytorch import RECORD
from wsc.cost.predict import predict

# Fabric, and steps: enough for errors of one step to show in the next ones.
TRIED = {
    "mlp": ("4x4", 8),
    "cnn": ("8x8", 6),
    "resnet": ("8x8", 6),
    "lstm": ("4x4", 6),
    "gpt": ("16x16", 2),
}


@pytest.mark.parametrize("name", TRIED)
def test_the_loss_of_each_step_is_pytorchs(name: str) -> None:
    network, known = NETWORKS[name](), np.load(RECORD)[name]
    fabric, steps = TRIED[name]
    trainer = wsc.train(network.model, network.loss, network.optimizer, fabric=fabric)
    losses = [trainer.step(batch).loss for batch in islice(network.batches(), steps)]
    np.testing.assert_allclose(losses, known[:steps], rtol=1e-4)


def test_a_step_takes_the_same_cycles_in_both_engines_and_as_predicted() -> None:
    network = NETWORKS["resnet"]()
    samples, results, weights = next(network.batches()), [], []
    for engine in ("both", "reference"):
        trainer = wsc.train(
            network.model, network.loss, network.optimizer, fabric="16x16", engine=engine
        )
        results.append(trainer.step(samples))
        weights.append({name: array.tobytes() for name, array in trainer.weights.items()})
    assert results[0].cycles == results[1].cycles
    assert results[0].loss == results[1].loss
    assert weights[0] == weights[1]
    assert trainer.program is not None
    predicted = predict(trainer.program.assembly, trainer.program.fabric).cycles
    assert predicted == pytest.approx(results[0].cycles, rel=0.05)


@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_halves_with_single_masters_stay_near(name: str) -> None:
    network, known = NETWORKS[name](), np.load(RECORD)[name]
    trainer = wsc.train(
        network.model, network.loss, network.optimizer, fabric=TRIED[name][0], precision="f16"
    )
    losses = [trainer.step(batch).loss for batch in islice(network.batches(), 8)]
    np.testing.assert_allclose(losses, known[:8], rtol=0.02)
    assert all(array.dtype == np.float32 for array in trainer.weights.values())
