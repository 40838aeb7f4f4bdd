"""Steps of training against PyTorch's, from the record that ``tests.training.pytorch`` makes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import wsc
from tests.training.networks import NETWORKS
from tests.training.pytorch import RECORD

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


@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_halves_with_single_masters_stay_near(name: str) -> None:
    network, known = NETWORKS[name](), np.load(RECORD)[name]
    trainer = wsc.train(
        network.model, network.loss, network.optimizer, fabric=TRIED[name][0], precision="f16"
    )
    losses = [trainer.step(batch).loss for batch in islice(network.batches(), 8)]
    np.testing.assert_allclose(losses, known[:8], rtol=0.02)
    assert all(array.dtype == np.float32 for array in trainer.weights.values())
