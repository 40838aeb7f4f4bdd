"""The language models that are known by name: their sizes, and where those are published."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from enum import Enum


class ShapeError(ValueError):
    """Sizes that make no model; the message is one sentence for the user."""


class Family(Enum):
    """Models that differ in their sizes alone. The value is the file of the builder."""

    BERT = "bert"
    DALLE = "dalle"
    GOPHER = "gopher"
    GPT2 = "gpt2"
    GPT_J = "gpt_j"
    GPT_NEO = "gpt_neo"
    GPT_NEOX = "gpt_neox"
    LLAMA = "llama"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a language model.

    heads: of queries; kv_heads: of keys and values, each of which serves heads / kv_heads.
    head_size: elements of one head. ffn: width between the two products of a feed-forward block.
    positions: most tokens that learned positions know, 0 where there is no such limit. rotary:
    elements of a head that are turned by their position. theta: base of the angles. window:
    tokens that a local layer looks back, 0 without such layers. activation: "gelu", its
    approximation "gelu_tanh", or "silu". tied: whether the table of words is also the matrix of
    the logits. parallel: whether attention and feed-forward block read the same input.
    source: where the sizes are published, and what of the published model is left out.
    """

    name: str
    family: Family
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    ffn: int
    vocabulary: int
    positions: int
    source: str
    rotary: int = 0
    theta: float = 10_000.0
    window: int = 0
    epsilon: float = 1e-5
    activation: str = "gelu_tanh"
    tied: bool = True
    parallel: bool = False

    def sized(
        self,
        *,
        layers: int | None = None,
        hidden: int | None = None,
        heads: int | None = None,
        kv_heads: int | None = None,
        ffn: int | None = None,
        vocabulary: int | None = None,
    ) -> Shape:
        """A shape of one's own; what is not given follows from what is.

        Without kv_heads, as many heads share keys as before; without ffn, it keeps its ratio to
        the hidden size, and so do the turned elements to the size of a head.

        Raises:
            ShapeError: the sizes make no model.
        """
        wide, many = hidden or self.hidden, heads or self.heads
        for name, size in (
            ("layers", layers),
            ("hidden", hidden),
            ("heads", heads),
            ("kv-heads", kv_heads),
            ("ffn", ffn),
            ("vocabulary", vocabulary),
        ):
            if size is not None and size < 1:
                raise ShapeError(f"--{name} {size}: a model has at least one")
        head_size = self.head_size
        if (hidden, heads) != (None, None):
            if wide % many:
                raise ShapeError(
                    f"the hidden size {wide} is no multiple of {many} heads: give --hidden and "
                    "--heads that fit each other"
                )
            head_size = wide // many
        shared = kv_heads or max(many * self.kv_heads // self.heads, 1)
        if many % shared:
            raise ShapeError(
                f"{many} heads cannot share {shared} heads of keys and values: --kv-heads is a "
                f"divisor of {many}"
            )
        if shared != many and self.kv_heads == self.heads and self.family is not Family.LLAMA:
            raise ShapeError(f"--kv-heads {shared}: in {self.name} each head has its own keys")
        rotary = self.rotary * head_size // self.head_size // 2 * 2
        if self.rotary and not rotary:
            raise ShapeError(
                f"heads of {head_size} elements are too small for rotary positions in a quarter "
                f"of them: --hidden is at least {many * 2 * self.head_size // self.rotary}"
            )
        return replace(
            self,
            layers=layers or self.layers,
            hidden=wide,
            heads=many,
            kv_heads=shared,
            head_size=head_size,
            ffn=ffn or max(self.ffn * wide // self.hidden, 1),
            vocabulary=vocabulary or self.vocabulary,
            rotary=rotary,
        )


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            "bert-base",
            Family.BERT,
            12,
            768,
            12,
            12,
            64,
            3072,
            30522,
            512,
            "Devlin et al. 2018 (arXiv:1810.04805), with the head for masked words; "
            "vocabulary of bert-base-uncased",
            epsilon=1e-12,
            activation="gelu",
        ),
        Shape(
            "gpt2",
            Family.GPT2,
            12,
            768,
            12,
            12,
            64,
            3072,
            50257,
            1024,
            "Radford et al. 2019, the smallest of four; config.json of gpt2",
        ),
        Shape(
            "gpt-j-6b",
            Family.GPT_J,
            28,
            4096,
            16,
            16,
            256,
            16384,
            50400,
            0,
            "config.json of EleutherAI/gpt-j-6b",
            rotary=64,
            tied=False,
            parallel=True,
        ),
        Shape(
            "gpt-neo-2.7b",
            Family.GPT_NEO,
            32,
            2560,
            20,
            20,
            128,
            10240,
            50257,
            2048,
            "config.json of EleutherAI/gpt-neo-2.7B; every second layer looks 256 tokens back",
            window=256,
        ),
        Shape(
            "gpt-neox-20b",
            Family.GPT_NEOX,
            44,
            6144,
            64,
            64,
            96,
            24576,
            50432,
            0,
            "Black et al. 2022 (arXiv:2204.06745); config.json of EleutherAI/gpt-neox-20b",
            rotary=24,
            tied=False,
            parallel=True,
        ),
        Shape(
            "llama2-7b",
            Family.LLAMA,
            32,
            4096,
            32,
            32,
            128,
            11008,
            32000,
            0,
            "Touvron et al. 2023 (arXiv:2307.09288), table 1; config.json of "
            "meta-llama/Llama-2-7b-hf",
            rotary=128,
            activation="silu",
            tied=False,
        ),
        Shape(
            "llama3-8b",
            Family.LLAMA,
            32,
            4096,
            32,
            8,
            128,
            14336,
            128256,
            0,
            "Grattafiori et al. 2024 (arXiv:2407.21783), table 3; config.json of "
            "meta-llama/Meta-Llama-3-8B",
            rotary=128,
            theta=500_000.0,
            activation="silu",
            tied=False,
        ),
        Shape(
            "gpt3-175b",
            Family.GPT2,
            96,
            12288,
            96,
            96,
            128,
            49152,
            50257,
            2048,
            "Brown et al. 2020 (arXiv:2005.14165), table 2.1; all layers are dense here, because "
            "the band of every second one is not published",
        ),
        Shape(
            "gopher-280b",
            Family.GOPHER,
            80,
            16384,
            128,
            128,
            128,
            65536,
            32000,
            2048,
            "Rae et al. 2021 (arXiv:2112.11446), table 1; without its relative positions, whose "
            "projections are 21 of the 280 billion parameters",
        ),
        Shape(
            "dalle-12b",
            Family.DALLE,
            64,
            3968,
            62,
            62,
            64,
            15872,
            24832,
            1280,
            "Ramesh et al. 2021 (arXiv:2102.12092), appendix B: the decoder, over 256 words and "
            "32 x 32 tokens of an image",
            tied=False,
        ),
    )
}


def find_shape(name: str) -> Shape:
    """The shape of that name.

    Raises:
        ShapeError: there is none; the message gives the nearest names.
    """
    found = SHAPES.get(name.lower())
    if found is not None:
        return found
    # Of "gpt-neox" or "llama" the names that go on like this are meant, not only those that are
    # as long.
    wanted = name.lower()
    near = [known for known in SHAPES if known.startswith(wanted) or wanted.startswith(known)]
    near += difflib.get_close_matches(wanted, SHAPES, 3, 0.5)
    hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
    raise ShapeError(f"{name}: no such file, and no model of that name{hint}")
