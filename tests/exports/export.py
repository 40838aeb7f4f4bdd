"""Write the ONNX files beside this script anew: models of transformers with random weights.

    python -m venv export
    export/bin/pip install '.[export]'
    export/bin/python tests/exports/export.py       # all, or those whose names follow

Two layers, from configurations; each by both exporters of torch: ``NAME_dynamo.onnx`` with
symbolic sizes, ``NAME_script.onnx`` for one batch and length. The tests need the files alone,
neither torch nor transformers.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
import transformers as hf  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).parent
SEED = 20
BATCH, TOKENS, PAST = 1, 6, 5
VOCABULARY, HIDDEN, HEADS, LAYERS, POSITIONS = 64, 32, 4, 2, 24


@dataclass(frozen=True, slots=True)
class Export:
    """A causal language model. step: one token on top of a key-value cache, not a whole prompt."""

    make: Callable[[], Any]
    step: bool = False


def _gpt2() -> Any:
    return hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def _gptj() -> Any:
    return hf.GPTJForCausalLM(
        hf.GPTJConfig(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            rotary_dim=4,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def _gpt_neo() -> Any:
    """Its second layer attends to a window of the last tokens alone."""
    return hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_layers=LAYERS,
            num_heads=HEADS,
            window_size=4,
            attention_types=[[["global", "local"], LAYERS // 2]],
            bos_token_id=0,
            eos_token_id=0,
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
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def _llama() -> Any:
    """Rotary positions, two query heads for each head of the cache."""
    return hf.LlamaForCausalLM(
        hf.LlamaConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS // 2,
            intermediate_size=2 * HIDDEN,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


MODELS = {
    "gpt2": Export(_gpt2),
    "gptj": Export(_gptj),
    "gpt_neo": Export(_gpt_neo),
    "gpt_neox": Export(_gpt_neox),
    "gpt2_step": Export(_gpt2, step=True),
    "llama_step": Export(_llama, step=True),
}


class Prompt(torch.nn.Module):
    """Logits of a prompt: input_ids and attention_mask, both [batch, sequence]."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """[batch, sequence, vocabulary]."""
        return self.model(input_ids, attention_mask=attention_mask, use_cache=False).logits


class Step(torch.nn.Module):
    """Logits of one token, and the caches with it: past.N.key, past.N.value come after the mask."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, past: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """Logits, then a key and a value for each layer."""
        cache = hf.DynamicCache(config=self.model.config)
        for layer in range(LAYERS):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        out = self.model(
            input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True
        )
        pairs = [(layer.keys, layer.values) for layer in out.past_key_values.layers]
        return (out.logits, *(part for pair in pairs for part in pair))


def _parts(prefix: str) -> list[str]:
    return [f"{prefix}.{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]


def _call(export: Export) -> tuple[torch.nn.Module, tuple[Any, ...], list[str], list[str], Any]:
    """Module, arguments, names of inputs and outputs, and which sizes are symbolic."""
    torch.manual_seed(SEED)
    model = export.make().eval()
    # The weights of a new model are so small that most of it could be left out unseen.
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0) if weight.dim() > 1 else weight.add_(0.1 * torch.randn(weight.shape))
    sequence = torch.export.Dim("sequence", max=POSITIONS)
    batch = torch.export.Dim("batch", max=64)
    names = ["input_ids", "attention_mask"]
    if not export.step:
        ids = torch.randint(0, VOCABULARY, (2, TOKENS))
        sizes = {0: batch, 1: sequence}
        return Prompt(model), (ids, torch.ones_like(ids)), names, ["logits"], (sizes, sizes)
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    past = [torch.randn(2, heads, PAST, HIDDEN // HEADS) for _ in range(2 * LAYERS)]
    ids, mask = torch.randint(0, VOCABULARY, (2, 1)), torch.ones(2, PAST + 1, dtype=torch.int64)
    length = torch.export.Dim("past", max=POSITIONS - 1)
    sizes = ({0: batch}, {0: batch, 1: length + 1}, [{0: batch, 2: length} for _ in past])
    inputs, outputs = [*names, *_parts("past")], ["logits", *_parts("present")]
    return Step(model), (ids, mask, past), inputs, outputs, sizes


def _cut(value: Any) -> Any:
    """An argument with the first item of its batch alone."""
    return [item[:1] for item in value] if isinstance(value, list) else value[:1]


def write(name: str, export: Export, folder: Path) -> None:
    """The model by both exporters: with symbolic sizes, and for one batch and length."""
    module, args, inputs, outputs, sizes = _call(export)
    names: dict[str, Any] = {"input_names": inputs, "output_names": outputs}
    program = torch.onnx.export(
        module, args, dynamo=True, dynamic_shapes=sizes, verbose=False, **names
    )
    assert program is not None
    for item in (program.model.graph, *program.model.functions.values()):
        for node in item.all_nodes():
            node.metadata_props.clear()  # stack traces: half of the file
    program.save(str(folder / f"{name}_dynamo.onnx"), external_data=False)
    torch.onnx.export(
        module,
        tuple(_cut(arg) for arg in args),
        str(folder / f"{name}_script.onnx"),
        dynamo=False,
        opset_version=17,
        **names,
    )


def main() -> None:
    """All models, or those that the command names."""
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or MODELS:
        write(name, MODELS[name], HERE)
        print(f"{name}: written")


if __name__ == "__main__":
    main()
