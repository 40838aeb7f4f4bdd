"""The tests of ``onnx.backend.test``, as cases that any process can run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")
FABRIC, LIMIT = "4x4", 60.0
LARGER = ("16x16", "32x32")
# Large networks need many tiles to hold them, and minutes: the fewer the sooner. Each weight goes
# past all rows, so there are fewer rows than columns.
LIGHT_FABRIC, LIGHT_LIMIT, LIGHT_LARGER = "32x8", 7200.0, ("32x16", "32x32", "64x64")
# Functions written out as nodes: ``test_clip_expanded``, ``test_center_crop_pad_expanded_ver18``.
_EXPANDED = re.compile(r"_expanded(_ver\d+)?$")
# Most node tests draw their data when they are collected.
SEED = 0

DataSet = tuple[Sequence[Any], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """One test. operator: what it is of, also where the model has it written out as nodes.

    load: the model and its (inputs, expected outputs). rtol, atol: the suite's. same_order: as
    for ``wsc.compile``.
    """

    name: str
    suite: str
    operator: str
    rtol: float
    atol: float
    load: Callable[[], tuple[onnx.ModelProto, Sequence[DataSet]]]
    same_order: bool = False


def load_cases(suites: Sequence[str], pattern: str = "") -> list[Case]:
    """The cases of some suites, by name, that match a regular expression.

    Raises ValueError for a suite that there is not.
    """
    unknown = sorted(set(suites) - set(SUITES))
    if unknown:
        raise ValueError(f"no such suite: {', '.join(unknown)}")
    found = [case for suite in suites for case in _LOADERS.get(suite, _stored)(suite)]
    return sorted((case for case in found if re.search(pattern, case.name)), key=_order)


def _order(case: Case) -> tuple[int, str]:
    return SUITES.index(case.suite), case.name


def _node(suite: str) -> list[Case]:
    from onnx.backend.test.loader import load_model_tests

    np.random.seed(SEED)  # noqa: NPY002 - it is the generator that the suite uses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = load_model_tests(kind="node")
    models = {test.name: test.model for test in tests}
    return [_of_node(test, suite, models) for test in tests]


def _of_node(test: Any, suite: str, models: dict[str, Any]) -> Case:
    whole = models.get(_EXPANDED.sub("", test.name), test.model)
    data = [(_arrays(inputs), _arrays(outputs)) for inputs, outputs in test.data_sets]
    return Case(
        test.name, suite, _operator(whole), test.rtol, test.atol, lambda: (test.model, data)
    )


def _arrays(items: Sequence[Any]) -> list[Any]:
    return [
        numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item
        for item in items
    ]


def _operator(model: onnx.ModelProto) -> str:
    names = dict.fromkeys(
        f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for node in model.graph.node
    )
    return "+".join(names) if len(names) < 4 else "several"


# --- suites that lie on disk ---------------------------------------------------------


def _data(suite: str) -> Path:
    import onnx.backend.test

    return Path(onnx.backend.test.__file__).parent / "data" / suite


def _stored(suite: str) -> list[Case]:
    from onnx.backend.test.loader import load_model_tests

    cases: list[Case] = []
    for test in load_model_tests(kind=suite):
        assert test.model_dir is not None
        folder = Path(test.model_dir)
        operator = _operator(onnx.load(folder / "model.onnx"))
        cases.append(Case(test.name, suite, operator, test.rtol, test.atol, _reader(folder)))
    return cases


def _reader(folder: Path) -> Callable[[], tuple[onnx.ModelProto, Sequence[DataSet]]]:
    def read() -> tuple[onnx.ModelProto, Sequence[DataSet]]:
        model = onnx.load(folder / "model.onnx")
        sets: list[DataSet] = [
            (_values(part, "input", model.graph.input), _values(part, "output", model.graph.output))
            for part in sorted(folder.glob("test_data_set*"))
        ]
        return model, sets

    return read


def _values(folder: Path, kind: str, infos: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    count = len(list(folder.glob(f"{kind}_*.pb")))
    return [_value(folder / f"{kind}_{i}.pb", infos[i].type) for i in range(count)]


def _value(path: Path, kind: onnx.TypeProto) -> Any:
    data = path.read_bytes()
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def _light(suite: str) -> list[Case]:
    """Topologies without trained weights, with the inputs that ONNX's own runner gives them.

    All classes have the same weights. The scores are up to 1e31 and must be equal to the last
    bit, or the softmax behind them chooses one.
    """
    return [
        Case(f"test_{path.stem}", suite, "network", 1e-3, 1e-5, _light_reader(path), True)
        for path in sorted(_data(suite).glob("*.onnx"))
    ]


def _light_reader(path: Path) -> Callable[[], tuple[onnx.ModelProto, Sequence[DataSet]]]:
    def read() -> tuple[onnx.ModelProto, Sequence[DataSet]]:
        model = onnx.load(path)
        constant = {tensor.name for tensor in model.graph.initializer}
        inputs = [_ramp(v) for v in model.graph.input if v.name not in constant]
        outputs = [
            numpy_helper.to_array(
                onnx.TensorProto.FromString(
                    Path(f"{path.with_suffix('')}_output_{i}.pb").read_bytes()
                )
            )
            for i in range(len(model.graph.output))
        ]
        return model, [(inputs, outputs)]

    return read


def _ramp(value: onnx.ValueInfoProto) -> np.ndarray:
    shape = tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


_LOADERS = {"node": _node, "light": _light}
