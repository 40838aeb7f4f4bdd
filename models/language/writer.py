"""What the builders of language models write with: weights without data, and the usual blocks.

A weight is an initializer whose data are external, at a place called ``drawn``: nothing is stored.
Its metadata are the mean and the deviation of the distribution that it may be drawn from. Its name
is the one that it has in a checkpoint of Hugging Face's transformers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from wsc.models.language.shapes import Shape, ShapeError
from wsc.models.writer import Writer

OPSET = 23  # the first with Attention, RotaryEmbedding and RMSNormalization
IR_VERSION = 11  # of the same release of ONNX
DRAWN = "drawn"
"""Location of the external data of a weight that is not stored."""

SMALL = 0.02  # deviation of biases and of the scales of norms


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is built for.

    sequence: tokens of each of ``batch`` sequences. step: one more token of each, behind caches of
    keys and values of ``sequence`` tokens. steps: if it is not 0, such a step is one of as many:
    the caches have room for the tokens of all, each writes its own at its position, and the
    position is an input and, for the next step, an output.
    """

    sequence: int = 128
    batch: int = 1
    step: bool = False
    steps: int = 0

    def __post_init__(self) -> None:
        if self.steps and not self.step:
            raise ShapeError("--steps is for a decoding step of a model: give --step too")
        for name, size in (("sequence", self.sequence), ("batch", self.batch)):
            if size < 1:
                raise ShapeError(f"--{name} {size}: there is at least one token")

    @property
    def first(self) -> int:
        """Position of the first token that is given."""
        return self.sequence if self.step else 0

    @property
    def tokens(self) -> int:
        """Tokens of a sequence that are given."""
        return 1 if self.step else self.sequence

    @property
    def keys(self) -> int:
        """Tokens that can be looked at."""
        return self.first + max(self.tokens, self.steps)


class LanguageWriter(Writer):
    """A language model under construction. Values are [batch, tokens, elements] by name."""

    opset = OPSET
    ir_version = IR_VERSION

    def __init__(self, shape: Shape, task: Task) -> None:
        super().__init__(shape.name, 0)
        self.shape, self.task = shape, task
        self.known: set[str] = set()  # names of weights and masks
        self.pairs = False  # whether neighbours are turned together, and not halves
        if shape.positions and task.keys > shape.positions:
            raise ShapeError(
                f"{shape.name} knows {shape.positions:,} positions, and not {task.keys:,}: give "
                "fewer tokens with --sequence, and more sequences with --batch"
            )

    # --- inputs and weights --------------------------------------------------------------

    def tokens(self, name: str, count: int | None = None) -> str:
        """An input of token ids, [batch, count]; count: those of the task if it is None."""
        size = (self.task.batch, count or self.task.tokens)
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, size))
        if self.task.steps:
            self.places()  # before the layers, which are then alike
        return name

    def weight(self, name: str, shape: tuple[int, ...], deviation: float, mean: float = 0.0) -> str:
        """A weight without data, once for each name."""
        if name in self.known:
            return name  # the table of words, which is the last matrix too
        self.known.add(name)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=DRAWN)
        for key, value in (("mean", mean), ("deviation", deviation)):
            tensor.metadata_props.add(key=key, value=repr(value))
        self.initializers.append(tensor)
        return name

    def matrix(self, name: str, rows: int, columns: int, summed: int) -> str:
        """A matrix, drawn so that sums over ``summed`` products keep the magnitude."""
        return self.weight(name, (rows, columns), 1 / math.sqrt(summed))

    def integers(self, name: str, *values: int) -> str:
        """A constant of shapes, axes or positions, once for each name."""
        return self.once(name, np.array(values, np.int64))

    def once(self, name: str, values: NDArray[Any]) -> str:
        """A constant that several layers read."""
        if name not in self.known:
            self.known.add(name)
            self.constant(name, values)
        return name

    def several(
        self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> None:
        """A node of several outputs."""
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))

    def split(self, name: str, x: str, parts: int) -> list[str]:
        """Equal parts of the last dimension."""
        names = [f"{name}.{part}" for part in range(parts)]
        self.several("Split", name, [x], names, axis=-1, num_outputs=parts)
        return names

    # --- blocks --------------------------------------------------------------------------

    def embed(self, name: str, ids: str, rows: int, weight: str = "") -> str:
        """Rows of a table, [batch, tokens, hidden]."""
        hidden = self.shape.hidden
        table = self.matrix(weight or f"{name}.weight", rows, hidden, hidden)
        return self.node("Gather", name, table, ids, axis=0)

    def learned_positions(self, name: str) -> str:
        """The rows of a table for the positions of the task, [tokens, hidden]."""
        shape, task = self.shape, self.task
        table = self.matrix(f"{name}.weight", shape.positions, shape.hidden, shape.hidden)
        if task.steps:
            return self.node("Gather", name, table, self.position(), axis=0)
        if task.tokens == shape.positions:
            return table
        first = self.integers(f"{name}.first", task.first)
        end = self.integers(f"{name}.end", task.keys)
        axis = self.integers(f"{name}.axis", 0)
        return self.node("Slice", name, table, first, end, axis)

    def linear(
        self,
        name: str,
        x: str,
        fan_in: int,
        fan_out: int,
        *,
        bias: bool = True,
        deviation: float | None = None,
    ) -> str:
        """x times a weight [fan_out, fan_in], as torch's Linear stores it."""
        deviation = 1 / math.sqrt(fan_in) if deviation is None else deviation
        weight = self.weight(f"{name}.weight", (fan_out, fan_in), deviation)
        product = self.times_transposed(name, x, weight)
        return self.biased(name, product, fan_out) if bias else product

    def times_transposed(self, name: str, x: str, weight: str) -> str:
        """x times the transpose of a weight."""
        turned = self.node("Transpose", f"{name}.transpose", weight, perm=[1, 0])
        return self.node("MatMul", f"{name}.matmul", x, turned)

    def biased(self, name: str, x: str, size: int, bias: str = "") -> str:
        """x plus a bias."""
        added = self.weight(bias or f"{name}.bias", (size,), SMALL)
        return self.node("Add", f"{name}.add", x, added)

    def layer_norm(self, name: str, x: str) -> str:
        """Layer normalisation with scale and bias."""
        size = (self.shape.hidden,)
        scale = self.weight(f"{name}.weight", size, SMALL, 1.0)
        bias = self.weight(f"{name}.bias", size, SMALL)
        return self.node(
            "LayerNormalization", name, x, scale, bias, axis=-1, epsilon=self.shape.epsilon
        )

    def rms_norm(self, name: str, x: str) -> str:
        """Division by the root of the mean square, with a scale."""
        scale = self.weight(f"{name}.weight", (self.shape.hidden,), SMALL, 1.0)
        return self.node("RMSNormalization", name, x, scale, axis=-1, epsilon=self.shape.epsilon)

    def activate(self, name: str, x: str) -> str:
        """The activation of the feed-forward block."""
        match self.shape.activation:
            case "gelu":
                return self.node("Gelu", name, x)
            case "gelu_tanh":
                return self.node("Gelu", name, x, approximate="tanh")
            case "silu":
                return self.node("Mul", name, x, self.node("Sigmoid", f"{name}.sigmoid", x))
            case other:
                raise ShapeError(f"{self.shape.name}: activation {other!r} is not known")

    def residual(self, name: str, *parts: str) -> str:
        """The sum of two or more values."""
        total = parts[0]
        for number, part in enumerate(parts[1:], start=1):
            last = number == len(parts) - 1
            total = self.node("Add", name if last else f"{name}.{number}", total, part)
        return total

    # --- positions -----------------------------------------------------------------------

    def rotary_tables(self, *, pairs: bool = False) -> tuple[str, str]:
        """Cosines and sines of the angles of each position, [batch, tokens, rotary / 2].

        In one of several steps those of its position, [1, head size]: see ``_turned_by_product``.
        pairs: neighbours are turned together, and not halves.
        """
        self.pairs = pairs
        task, half = self.task, self.shape.rotary // 2
        rates = self.shape.theta ** -(np.arange(half) / half)
        places = np.arange(0 if task.steps else task.first, task.keys)
        angles = (places[:, None] * rates)[None]
        names: list[str] = []
        for name, values in (("rotary.cos", np.cos(angles)), ("rotary.sin", np.sin(angles))):
            if task.steps:
                rows = self._each_element(values[0], float(name == "rotary.cos"))
                table = self.constant(name, rows.astype(np.float32))
                names.append(self.node("Gather", f"{name}.row", table, self.position(), axis=0))
                continue
            table = self.constant(name, values.astype(np.float32))
            if task.batch > 1:
                shape = self.integers("rotary.size", task.batch, task.tokens, half)
                table = self.node("Expand", f"{name}.each", table, shape)
            names.append(table)
        return names[0], names[1]

    def turn(self, name: str, x: str, heads: int, tables: tuple[str, str]) -> str:
        """Rotary positions."""
        shape = self.shape
        if self.task.steps:
            return self._turned_by_product(name, x, heads, tables)
        part = {} if shape.rotary == shape.head_size else {"rotary_embedding_dim": shape.rotary}
        return self.node(
            "RotaryEmbedding",
            name,
            x,
            *tables,
            num_heads=heads,
            interleaved=int(self.pairs),
            **part,
        )

    def _each_element(self, values: NDArray[Any], rest: float) -> NDArray[Any]:
        """What is known of each angle, for the elements of a head. rest: of those not turned."""
        shape = self.shape
        found = np.full((len(values), shape.head_size), rest)
        found[:, : shape.rotary] = values[:, self._angles()]
        return found

    def _angles(self) -> NDArray[np.intp]:
        """The angle of each element of a head that is turned."""
        place, half = np.arange(self.shape.rotary), self.shape.rotary // 2
        return place // 2 if self.pairs else place % half

    def _turned_by_product(self, name: str, x: str, heads: int, tables: tuple[str, str]) -> str:
        """Rotary positions of one token: x cos + y sin, where y has the element that each is turned
        with, or its opposite.

        y is a product with a matrix of ones. On a mesh that is one sum along a line, where to cut
        halves out and to join them again would be a move each.
        """
        shape, task = self.shape, self.task
        matrix = "rotary.other"
        if matrix not in self.known:
            self.known.add(matrix)
            place, angle = np.arange(shape.rotary), self._angles()
            other = np.zeros((shape.head_size, shape.head_size), np.float32)
            for here, there in permutations(place.tolist(), 2):
                if angle[here] == angle[there]:
                    other[there, here] = -1.0 if here < there else 1.0
            self.constant(matrix, other)
        size = self.integers(f"heads.{heads}", task.batch, heads, 1, shape.head_size)
        cos, sin = tables
        split = self.node("Reshape", f"{name}.heads", x, size)
        crossed = self.node("MatMul", f"{name}.other", split, matrix)
        ahead = self.node("Mul", f"{name}.cos", split, cos)
        across = self.node("Mul", f"{name}.sin", crossed, sin)
        turned = self.node("Add", f"{name}.sum", ahead, across)
        flat = self.integers(f"flat.{heads}", task.batch, 1, heads * shape.head_size)
        return self.node("Reshape", name, turned, flat)

    # --- attention -----------------------------------------------------------------------

    def attend(
        self,
        name: str,
        layer: int,
        query: str,
        key: str,
        value: str,
        *,
        causal: bool = True,
        mask: str = "",
        scale: float | None = None,
    ) -> str:
        """Attention of all heads. In a step, behind the layer's caches, which it makes longer."""
        shape, task = self.shape, self.task
        attributes: dict[str, Any] = {
            "q_num_heads": shape.heads,
            "kv_num_heads": shape.kv_heads,
        }
        if causal and not task.step:  # the one token of a step may look at all that there is
            attributes["is_causal"] = 1
        if scale is not None:
            attributes["scale"] = scale
        inputs, outputs = [query, key, value, mask], [name]
        if task.steps:
            if mask:
                raise ShapeError(
                    f"{shape.name} looks at other tokens in each step than those before it, which "
                    "is built for a single step alone: leave out --steps"
                )
            return self._attend_in_place(name, layer, query, key, value, scale)
        if task.step:
            for part in ("key", "value"):
                past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
                cache = (task.batch, shape.kv_heads, task.sequence, shape.head_size)
                longer = (task.batch, shape.kv_heads, task.keys, shape.head_size)
                inputs.append(self.input(past, cache))
                outputs.append(present)
                self.output(present, longer)
        while not inputs[-1]:
            inputs.pop()
        self.nodes.append(helper.make_node("Attention", inputs, outputs, name=name, **attributes))
        return name

    def _attend_in_place(
        self, name: str, layer: int, query: str, key: str, value: str, scale: float | None
    ) -> str:
        """Attention of one token, whose key and value are written into caches at its position."""
        shape, task = self.shape, self.task
        here, seen = self.places()
        caches: list[str] = []
        size = (task.batch, shape.kv_heads, task.keys, shape.head_size)
        single = self.integers("cache.token", task.batch, shape.kv_heads, 1, shape.head_size)
        for part, new in (("key", key), ("value", value)):
            past, present = f"past_key_values.{layer}.{part}", f"present.{layer}.{part}"
            row = self.node("Reshape", f"{name}.{part}_row", new, single)
            self.node("Where", present, here, row, self.input(past, size))
            self.output(present, size)
            caches.append(present)
        heads = self.integers("heads.token", task.batch, shape.heads, 1, shape.head_size)
        asked = self.node("Reshape", f"{name}.query_heads", query, heads)
        scaled = {} if scale is None else {"scale": scale}
        mixed = self.node("Attention", f"{name}.single", asked, *caches, seen, **scaled)
        joined = self.integers("token.size", task.batch, 1, shape.heads * shape.head_size)
        return self.node("Reshape", name, mixed, joined)

    def position(self) -> str:
        """The position of the token of a step, [1]; what the next step is given is an output."""
        name, after = "position", "next_position"
        if name not in self.known:
            self.known.add(name)
            for place, list_ in ((name, self.inputs), (after, self.outputs)):
                list_.append(helper.make_tensor_value_info(place, TensorProto.INT32, [1]))
            self.node("Add", after, name, self.constant("position.one", np.array([1], np.int32)))
        return name

    def places(self) -> tuple[str, str]:
        """Where the token of a step is among those of a cache, [1, 1, keys, 1], and which of them
        it may look at, [1, keys]."""
        here, seen = "cache.here", "cache.seen"
        if here not in self.known:
            self.known.add(here)
            each = np.arange(self.task.keys, dtype=np.int32)
            places = self.constant("cache.places", each)
            hit = self.node("Equal", f"{here}.flat", places, self.position())
            size = self.integers("cache.rows", 1, 1, self.task.keys, 1)
            self.node("Reshape", here, hit, size)
            behind = self.node("LessOrEqual", f"{seen}.flat", places, self.position())
            self.node("Reshape", seen, behind, self.integers("cache.keys", 1, self.task.keys))
        return here, seen

    def mask(self, name: str, allowed: NDArray[np.bool_]) -> str:
        """Which keys a query may look at, [positions, positions], for the tokens of the task."""
        task = self.task
        part = allowed[task.first : task.keys, : task.keys]
        if name not in self.known:
            self.known.add(name)
            self.constant(name, np.ascontiguousarray(part))
        return name

    # --- the end -------------------------------------------------------------------------

    def logits(self, x: str, vocabulary: int | None = None) -> None:
        """``x`` is the output ``logits``."""
        size = vocabulary or self.shape.vocabulary
        # Caches, in a step, are declared layer by layer; the logits come first all the same.
        self.nodes.append(helper.make_node("Identity", [x], ["logits"], name="logits"))
        if self.task.steps:
            self.position()
        self.output("logits", (self.task.batch, self.task.tokens, size))
        self.outputs.insert(0, self.outputs.pop())

    def check(self, model: onnx.ModelProto) -> None:
        """ONNX's checker looks for the file of external data: it sees a model without them."""
        seen = onnx.ModelProto()
        seen.CopyFrom(model)
        for tensor in seen.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                empty = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0])
                tensor.CopyFrom(empty)
        onnx.checker.check_model(seen)
