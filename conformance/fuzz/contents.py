"""Changes of what a model holds: attributes, types, shapes and stored tensors."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper

from conformance.fuzz.parts import (
    FLOATS,
    INTS,
    NAMES,
    SIZES,
    STRINGS,
    TYPES,
    NotApplicable,
    attribute_of,
    info_of,
    node_of,
    one,
    tensor_of,
)

# --- attributes ----------------------------------------------------------------------


def change_attribute(model: ModelProto, rng: random.Random) -> str:
    """Another value of the right type."""
    item = attribute_of(model, rng)
    if item.type == AttributeProto.INT:
        item.i = rng.choice(INTS)
    elif item.type == AttributeProto.FLOAT:
        item.f = rng.choice(FLOATS)
    elif item.type == AttributeProto.STRING:
        item.s = rng.choice(STRINGS)
    elif item.type == AttributeProto.INTS:
        _change_list(item.ints, INTS, rng)
    elif item.type == AttributeProto.FLOATS:
        _change_list(item.floats, FLOATS, rng)
    elif item.type == AttributeProto.STRINGS:
        _change_list(item.strings, STRINGS, rng)
    else:
        raise NotApplicable
    return item.name


def _change_list(items: object, values: Sequence[object], rng: random.Random) -> None:
    """Another element, one less, one more, none at all, or a great many."""
    found: list[object] = list(items)  # pyright: ignore[reportArgumentType,reportCallIssue]
    how = rng.randrange(6)
    if how < 2 and found:
        found[rng.randrange(len(found))] = rng.choice(values)
    elif how == 2:
        found = found[:-1]
    elif how == 3:
        found.append(rng.choice(values))
    elif how == 4:
        found = []
    else:
        found = (found or [values[0]]) * rng.choice((2, 100_000))
    del items[:]  # pyright: ignore[reportIndexIssue]
    items.extend(found)  # pyright: ignore[reportAttributeAccessIssue]


def change_attribute_type(model: ModelProto, rng: random.Random) -> str:
    """A value of another type, or a type that is not the value's."""
    item = attribute_of(model, rng)
    value = rng.choice((3, 2.5, "text", [1, 2], [0.5], ["a"], TensorProto(), GraphProto(), None))
    if value is None:  # the type lies about the field
        item.type = rng.choice((0, 1, 2, 3, 6, 7, 8))  # pyright: ignore[reportAttributeAccessIssue]
    else:
        name = item.name
        item.CopyFrom(helper.make_attribute(name, value))
    return item.name


def change_attribute_set(model: ModelProto, rng: random.Random) -> str:
    """An attribute less, twice, of another name, or more."""
    node = node_of(model, rng)
    how = rng.choice(("drop", "double", "rename", "add"))
    if how == "add":
        names = ("axis", "axes", "mode", "to", "k", "group", "strange", "")
        node.attribute.append(
            helper.make_attribute(rng.choice(names), rng.choice((1, [1, 0], "x")))
        )
        return f"add {node.attribute[-1].name}"
    item = one(node.attribute, rng)
    if how == "drop":
        node.attribute.remove(item)
    elif how == "double":
        node.attribute.append(item)
    else:
        item.name = rng.choice(NAMES)
    return f"{how} {item.name}"


# --- types and shapes ----------------------------------------------------------------


def change_shape(model: ModelProto, rng: random.Random) -> str:
    """The declared shape of an input, an output or a value between."""
    info = info_of(model, rng)
    shape = info.type.tensor_type.shape
    how = rng.choice(("size", "size", "size", "drop", "add", "symbol", "none"))
    if how == "size":
        one(shape.dim, rng).dim_value = rng.choice(SIZES)
    elif how == "drop":
        shape.dim.remove(one(shape.dim, rng))
    elif how == "add":
        for _ in range(rng.choice((1, 1, 2, 40))):
            shape.dim.add().dim_value = rng.choice((1, 1, 2, 5))
    elif how == "symbol":
        one(shape.dim, rng).dim_param = rng.choice(("N", "M", "", "N+1"))
    else:
        info.type.tensor_type.ClearField("shape")
    return f"{how} of {info.name}"


def change_element_type(model: ModelProto, rng: random.Random) -> str:
    """The declared element type, which may be none."""
    info = info_of(model, rng)
    info.type.tensor_type.elem_type = rng.choice(TYPES)
    return f"{info.name} to {info.type.tensor_type.elem_type}"


def change_kind(model: ModelProto, rng: random.Random) -> str:
    """A tensor becomes a sequence, an optional, a map, or nothing."""
    info = info_of(model, rng)
    kind = info.type.tensor_type
    element, shape = kind.elem_type, [dim.dim_value for dim in kind.shape.dim]
    tensor = helper.make_tensor_type_proto(element, shape)
    made = rng.choice(("sequence", "optional", "none"))
    if made == "sequence":
        info.type.CopyFrom(helper.make_sequence_type_proto(tensor))
    elif made == "optional":
        info.type.CopyFrom(helper.make_optional_type_proto(tensor))
    else:
        info.ClearField("type")
    return f"{info.name} to {made}"


# --- initializers --------------------------------------------------------------------


def change_stored_size(model: ModelProto, rng: random.Random) -> str:
    """The data are shorter or longer than the shape says."""
    tensor = tensor_of(model, rng)
    if tensor.raw_data:
        cut = rng.choice((1, 2, 4, len(tensor.raw_data)))
        short = rng.random() < 0.5
        tensor.raw_data = tensor.raw_data[:-cut] if short else tensor.raw_data + bytes(cut)
        return f"{tensor.name} {'short' if short else 'long'} by {cut}"
    for data in (tensor.float_data, tensor.int32_data, tensor.int64_data):
        if data:
            del data[-1]
            return f"{tensor.name} short by one"
    raise NotApplicable


def change_stored_shape(model: ModelProto, rng: random.Random) -> str:
    """The shape of stored data, which stay as they are."""
    tensor = tensor_of(model, rng)
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(SIZES)
    else:
        tensor.dims.append(rng.choice(SIZES))
    return f"{tensor.name} to {list(tensor.dims)}"


def change_stored_type(model: ModelProto, rng: random.Random) -> str:
    """The element type of stored data, which stay as they are."""
    tensor = tensor_of(model, rng)
    tensor.data_type = rng.choice(TYPES)
    return f"{tensor.name} to {tensor.data_type}"


def change_stored_value(model: ModelProto, rng: random.Random) -> str:
    """Another value, of the right type: it may be an axis, a size or an index."""
    tensor = tensor_of(model, rng)
    try:
        array = numpy_helper.to_array(tensor).copy()
    except Exception:  # noqa: BLE001 - it is damaged already
        raise NotApplicable from None
    if not array.size or array.dtype.kind not in "iuf":
        raise NotApplicable
    values = FLOATS if array.dtype.kind == "f" else INTS
    with np.errstate(all="ignore"):
        value = np.array(rng.choice(values)).astype(array.dtype)
    array.reshape(-1)[rng.randrange(array.size)] = value
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return f"{tensor.name} has {value}"


def change_stored_place(model: ModelProto, rng: random.Random) -> str:
    """The data are said to lie in another file."""
    tensor = tensor_of(model, rng)
    tensor.data_location = TensorProto.EXTERNAL
    if rng.random() < 0.7:
        tensor.ClearField("raw_data")
    entries = {
        "location": ("missing.bin", "model.onnx", "", "/etc/passwd", "../x", "\0"),
        "offset": ("0", "-1", "10000000000000000000", "x", ""),
        "length": ("4", "-4", "0", "10000000000000000000", "1.5"),
    }
    for key, values in entries.items():
        if key == "location" or rng.random() < 0.5:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, rng.choice(values)
    return f"{tensor.name} at {[entry.value for entry in tensor.external_data]}"
