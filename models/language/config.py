"""The shape of a checkpoint, from the ``config.json`` that transformers wrote beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsc.models.language.shapes import Family, Shape, ShapeError

_FAMILIES = {
    "bert": Family.BERT,
    "gpt2": Family.GPT2,
    "gptj": Family.GPT_J,
    "gpt_neo": Family.GPT_NEO,
    "gpt_neox": Family.GPT_NEOX,
    "llama": Family.LLAMA,
}
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
"""The names that transformers has for what ``Shape.activation`` knows."""


def read_shape(folder: Path, shape: Shape) -> Shape:
    """The shape that a checkpoint says that it has; ``shape`` is the one of the name.

    Raises:
        ShapeError: there is no configuration, it is of another family, or says something that the
            builder of the family does not know.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ShapeError(f"{folder}: no config.json, so this is no checkpoint") from None
    except (OSError, ValueError) as error:
        raise ShapeError(f"{path}: cannot be read ({error})") from None
    if not isinstance(config, dict):
        raise ShapeError(f"{path}: holds no configuration")
    kind = config.get("model_type")
    if _FAMILIES.get(str(kind)) is not shape.family:
        raise ShapeError(
            f"{path}: the checkpoint is of a model of type {kind!r}, and {shape.name} is one of "
            f"{shape.family.value}"
        )
    return _Config(path, config).read(shape)


class _Config:
    """One configuration; every question to it has a key, or several that were used over time."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path, self.values = path, values

    def size(self, *keys: str, default: int | None = None) -> int:
        """A whole number above zero."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
            if value is not None:
                raise ShapeError(f"{self.path}: {key} is {value!r}, and is a number above 0")
        if default is None:
            raise ShapeError(f"{self.path}: has no {keys[0]}")
        return default

    def number(self, key: str, default: float) -> float:
        """A number."""
        value = self.values.get(key, default)
        if not isinstance(value, int | float):
            raise ShapeError(f"{self.path}: {key} is {value!r}, and is a number")
        return float(value)

    def require(self, key: str, *known: Any) -> None:
        """Refuse a setting that the builder does not know; the first is the one without it."""
        value = self.values.get(key, known[0])
        if value not in known:
            shown = " or ".join(repr(item) for item in known)
            raise ShapeError(f"{self.path}: {key} is {value!r}; only {shown} can be built")

    def activation(self, key: str, default: str) -> str:
        """The activation of the feed-forward block."""
        self.require(key, default, *_ACTIVATIONS)
        return _ACTIVATIONS[self.values.get(key, default)]

    def read(self, shape: Shape) -> Shape:
        """The shape, with what all families have; each has its own reader for the rest."""
        reader = {
            Family.BERT: self._bert,
            Family.GPT2: self._gpt2,
            Family.GPT_J: self._gpt_j,
            Family.GPT_NEO: self._gpt_neo,
            Family.GPT_NEOX: self._gpt_neox,
            Family.LLAMA: self._llama,
        }[shape.family]
        vocabulary = self.size("vocab_size")
        found = reader(replace(shape, vocabulary=vocabulary, source=str(self.path)))
        if found.head_size * found.heads != found.hidden and found.family is not Family.LLAMA:
            raise ShapeError(
                f"{self.path}: {found.heads} heads do not divide the hidden size {found.hidden}"
            )
        return found

    def _sized(
        self, shape: Shape, layers: str, hidden: str, heads: str, ffn: str, kv_heads: int = 0
    ) -> Shape:
        wide, many = self.size(hidden), self.size(heads)
        return replace(
            shape,
            layers=self.size(layers),
            hidden=wide,
            heads=many,
            kv_heads=kv_heads or many,
            head_size=self.size("head_dim", default=wide // many),
            ffn=self.size(ffn, default=4 * wide),
        )

    def _tied(self, default: bool) -> bool:
        return bool(self.values.get("tie_word_embeddings", default))

    def _bert(self, shape: Shape) -> Shape:
        self.require("position_embedding_type", "absolute")
        self.require("type_vocab_size", 2)
        self.require("tie_word_embeddings", True)
        shape = self._sized(
            shape, "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"
        )
        return replace(
            shape,
            positions=self.size("max_position_embeddings"),
            epsilon=self.number("layer_norm_eps", 1e-12),
            activation=self.activation("hidden_act", "gelu"),
        )

    def _gpt2(self, shape: Shape) -> Shape:
        self.require("scale_attn_weights", True)
        self.require("scale_attn_by_inverse_layer_idx", False)
        self.require("tie_word_embeddings", True)
        self.require("add_cross_attention", False)
        return replace(
            self._sized(shape, "n_layer", "n_embd", "n_head", "n_inner"),
            positions=self.size("n_positions"),
            epsilon=self.number("layer_norm_epsilon", 1e-5),
            activation=self.activation("activation_function", "gelu_new"),
        )

    def _gpt_j(self, shape: Shape) -> Shape:
        self.require("tie_word_embeddings", False)
        return replace(
            self._sized(shape, "n_layer", "n_embd", "n_head", "n_inner"),
            rotary=self.size("rotary_dim"),
            epsilon=self.number("layer_norm_epsilon", 1e-5),
            activation=self.activation("activation_function", "gelu_new"),
        )

    def _gpt_neo(self, shape: Shape) -> Shape:
        layers = self.size("num_layers")
        self.require("attention_types", [[["global", "local"], layers // 2]])
        self.require("tie_word_embeddings", True)
        return replace(
            self._sized(shape, "num_layers", "hidden_size", "num_heads", "intermediate_size"),
            positions=self.size("max_position_embeddings"),
            window=self.size("window_size"),
            epsilon=self.number("layer_norm_epsilon", 1e-5),
            activation=self.activation("activation_function", "gelu_new"),
        )

    def _rope(self, default: float) -> tuple[float, float]:
        """(base of the angles, part of a head that is turned), of old and new configurations."""
        given = self.values.get("rope_parameters") or self.values.get("rope_scaling") or {}
        kind = given.get("rope_type", given.get("type", "default"))
        if kind != "default":
            raise ShapeError(f"{self.path}: rotary positions of type {kind!r} cannot be built")
        theta = given.get("rope_theta", self.values.get("rope_theta", default))
        theta = self.values.get("rotary_emb_base", theta)
        part = given.get("partial_rotary_factor", self.values.get("rotary_pct"))
        part = self.values.get("partial_rotary_factor", part)
        return float(theta), 0.0 if part is None else float(part)

    def _gpt_neox(self, shape: Shape) -> Shape:
        self.require("attention_bias", True)
        self.require("tie_word_embeddings", False)
        shape = self._sized(
            shape, "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"
        )
        theta, part = self._rope(10_000.0)
        return replace(
            shape,
            rotary=int(shape.head_size * (part or 0.25)),
            theta=theta,
            epsilon=self.number("layer_norm_eps", 1e-5),
            activation=self.activation("hidden_act", "gelu"),
            parallel=bool(self.values.get("use_parallel_residual", True)),
        )

    def _llama(self, shape: Shape) -> Shape:
        self.require("attention_bias", False)
        self.require("mlp_bias", False)
        heads = self.size("num_attention_heads")
        shape = self._sized(
            shape,
            "num_hidden_layers",
            "hidden_size",
            "num_attention_heads",
            "intermediate_size",
            self.size("num_key_value_heads", default=heads),
        )
        theta, part = self._rope(10_000.0)
        return replace(
            shape,
            rotary=int(shape.head_size * (part or 1.0)),
            theta=theta,
            epsilon=self.number("rms_norm_eps", 1e-6),
            tied=self._tied(False),
            activation=self.activation("hidden_act", "silu"),
        )
