"""Write the checkpoints beside this script anew: small models of transformers, random weights.

    python -m venv export
    export/bin/pip install '.[export]'
    export/bin/python tests/checkpoints/write.py    # all, or those whose names follow

Each folder is what ``save_pretrained`` writes, and ``logits.npz`` with token ids and what
transformers makes of them. One is sharded, one is stored in bfloat16. The tests need the files
alone, neither torch nor transformers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import transformers as hf  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).parent
SEED = 18
BATCH, TOKENS = 2, 6
VOCABULARY, HIDDEN, HEADS, LAYERS, POSITIONS = 48, 32, 4, 2, 16
ENDS = {"bos_token_id": 0, "eos_token_id": 0}


def _bert() -> Any:
    return hf.BertForMaskedLM(
        hf.BertConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=2 * HIDDEN,
        )
    )


def _gpt2() -> Any:
    return hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            **ENDS,
        )
    )


def _gpt_j() -> Any:
    return hf.GPTJForCausalLM(
        hf.GPTJConfig(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            rotary_dim=4,
            tie_word_embeddings=False,
            **ENDS,
        )
    )


def _gpt_neo() -> Any:
    """Its second layer looks back three tokens."""
    return hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_layers=LAYERS,
            num_heads=HEADS,
            window_size=3,
            attention_types=[[["global", "local"], LAYERS // 2]],
            **ENDS,
        )
    )


def _gpt_neox() -> Any:
    return hf.GPTNeoXForCausalLM(
        hf.GPTNeoXConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * HIDDEN,
            rotary_pct=0.5,
            hidden_act="gelu_fast",
            **ENDS,
        )
    )


def _llama() -> Any:
    """Two heads share keys and values with the other two."""
    return hf.LlamaForCausalLM(
        hf.LlamaConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS // 2,
            intermediate_size=48,
            **ENDS,
        )
    )


MODELS: dict[str, Callable[[], Any]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "gpt_j": _gpt_j,
    "gpt_neo": _gpt_neo,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
}
SHARDED, BRAIN = "gpt_j", "llama"


def write(name: str) -> None:
    """One checkpoint, and what its model makes of some tokens in single precision."""
    torch.manual_seed(SEED)
    model = MODELS[name]().eval()
    with torch.no_grad():  # of the size that trained weights have, biases and norms too
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    if name == BRAIN:
        model = model.to(torch.bfloat16)
    size = "20KB" if name == SHARDED else "1GB"
    model.save_pretrained(HERE / name, max_shard_size=size)
    (HERE / name / "generation_config.json").unlink(missing_ok=True)
    for file in (HERE / name).glob("*.safetensors"):
        file.chmod(0o644)
    # As stored, so that nothing that is not stored was rounded with the weights.
    model = type(model).from_pretrained(HERE / name, dtype=torch.float32).eval()
    ids = torch.randint(0, VOCABULARY, (BATCH, TOKENS), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    np.savez(HERE / name / "logits.npz", input_ids=ids.numpy(), logits=logits.numpy())


if __name__ == "__main__":
    for chosen in sys.argv[1:] or MODELS:
        write(chosen)
