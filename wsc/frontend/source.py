"""The forms in which a model may be given: a file, its bytes, or an object of ONNX's."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsc.errors import CompileError
from wsc.frontend.damage import library_at_work

if TYPE_CHECKING:
    from onnx import ModelProto


def read_model(model: Any) -> Path | ModelProto:
    """A model as the frontend reads it: the path of a file, or an object of ``onnx``.

    model: a path; the bytes of a file; a file that is open for bytes; a ``ModelProto``; a ``Model``
    of ``onnx_ir``, or what has one, as an ``ONNXProgram`` of PyTorch does.

    Raises:
        CompileError: it is something else, or bytes that are no model.
    """
    import onnx
    import onnx_ir as ir
    from google.protobuf.message import DecodeError

    if isinstance(model, (str, PathLike)):
        return Path(model)
    read = getattr(model, "read", None)
    if callable(read) and not isinstance(model, (onnx.ModelProto, ir.Model)):
        model = read()
        if isinstance(model, str):
            raise CompileError("a model's file is opened for bytes, as open(path, 'rb') does")
    if isinstance(model, (bytes, bytearray, memoryview)):
        if not len(model):
            raise CompileError(
                "a model has bytes, and here are none: a file that was read before is at its end"
            )
        try:
            return onnx.load_from_string(bytes(model))
        except DecodeError:
            raise CompileError("these bytes are no ONNX model, or are cut short") from None
    inner = model if isinstance(model, ir.Model) else getattr(model, "model", None)
    if isinstance(inner, ir.Model):
        with library_at_work("the model cannot be written as ONNX"):
            return ir.to_proto(inner)
    if isinstance(model, onnx.ModelProto):
        return model
    raise CompileError(
        f"a model is the path of a file, its bytes, a file that is open for them, or an object of "
        f"onnx or onnx_ir, not {type(model).__name__}"
    )
