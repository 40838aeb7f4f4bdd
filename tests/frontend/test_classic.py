"""ai.onnx.ml against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import RNG, compare, floats, ints, run_evaluator
from wsc.errors import UnsupportedOperators

ML = "ai.onnx.ml"


def _list(*shape: int) -> list[float]:
    return floats(*shape).reshape(-1).tolist()


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_linear_classifier(tmp_path: Path, transform: str) -> None:
    compare(
        tmp_path,
        "LinearClassifier",
        floats(5, 4),
        outputs=2,
        domain=ML,
        coefficients=_list(3, 4),
        intercepts=_list(3),
        classlabels_ints=[7, 2, 5],
        post_transform=transform,
    )


def test_binary_linear_classifier(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "LinearClassifier",
        floats(5, 4),
        outputs=2,
        domain=ML,
        coefficients=_list(2, 4),
        intercepts=_list(2),
        classlabels_ints=[0, 1],
    )


def test_linear_regressor(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "LinearRegressor",
        floats(5, 4),
        domain=ML,
        coefficients=_list(2, 4),
        intercepts=_list(2),
        targets=2,
    )


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_svm_regressor(tmp_path: Path, kernel: str) -> None:
    compare(
        tmp_path,
        "SVMRegressor",
        floats(5, 3),
        domain=ML,
        kernel_type=kernel,
        kernel_params=[0.3, 0.5, 2.0],
        n_supports=4,
        support_vectors=_list(4, 3),
        coefficients=_list(4),
        rho=[0.25],
    )


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(tmp_path: Path, norm: str) -> None:
    # ONNX Runtime divides by the largest element, not by the largest magnitude.
    compare(tmp_path, "Normalizer", floats(5, 4), domain=ML, norm=norm, oracle=run_evaluator)


def test_features(tmp_path: Path) -> None:
    compare(tmp_path, "Scaler", floats(5, 3), domain=ML, offset=_list(3), scale=_list(3))
    compare(tmp_path, "Binarizer", floats(5, 3), domain=ML, threshold=0.5)
    compare(tmp_path, "ArrayFeatureExtractor", floats(5, 3), ints(1, 4, low=0, high=3), domain=ML)
    compare(
        tmp_path,
        "FeatureVectorizer",
        floats(5, 3),
        floats(5, 2),
        domain=ML,
        inputdimensions=[3, 2],
    )


def test_imputer(tmp_path: Path) -> None:
    x = floats(5, 3)
    x[1, 2] = x[4, 0] = np.nan
    compare(
        tmp_path,
        "Imputer",
        x,
        domain=ML,
        imputed_value_floats=[1.0, 2.0, 3.0],
        replaced_value_float=float("nan"),
    )


@pytest.mark.parametrize("keys", ["int64s", "floats"])
@pytest.mark.parametrize("values", ["int64s", "floats"])
def test_label_encoder(tmp_path: Path, keys: str, values: str) -> None:
    x = ints(4, 3, low=0, high=6)
    table: dict[str, Any] = {
        f"keys_{keys}": [0, 2, 3] if keys == "int64s" else [0.0, 2.0, 3.0],
        f"values_{values}": [5, 7, 9] if values == "int64s" else [0.5, 0.7, 0.9],
    }
    compare(
        tmp_path,
        "LabelEncoder",
        x if keys == "int64s" else x.astype(np.float32),
        domain=ML,
        dtype=np.int64 if values == "int64s" else np.float32,
        version=2,
        **table,
    )


# --- trees --------------------------------------------------------------------------------


def _trees(count: int, depth: int, features: int, mode: str = "BRANCH_LEQ") -> dict[str, Any]:
    """Complete trees whose inner nodes come first."""
    inner, total = 2**depth - 1, 2 ** (depth + 1) - 1
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    table: dict[str, list[Any]] = {name: [] for name in names}
    for tree in range(count):
        for node in range(total):
            leaf = node >= inner
            table["treeids"].append(tree)
            table["nodeids"].append(node)
            table["featureids"].append(0 if leaf else int(RNG.integers(features)))
            table["values"].append(0.0 if leaf else float(np.float32(RNG.uniform(-1, 1))))
            table["modes"].append("LEAF" if leaf else mode)
            table["truenodeids"].append(0 if leaf else 2 * node + 1)
            table["falsenodeids"].append(0 if leaf else 2 * node + 2)
    return {f"nodes_{name}": values for name, values in table.items()}


def _leaves(
    count: int, depth: int, owners: int, side: str, *, positive: bool = False
) -> dict[str, Any]:
    inner, total = 2**depth - 1, 2 ** (depth + 1) - 1
    places = [(tree, node) for tree in range(count) for node in range(inner, total)]
    weights = RNG.uniform(0 if positive else -1, 1 / count if positive else 1, len(places))
    return {
        f"{side}_treeids": [tree for tree, _ in places],
        f"{side}_nodeids": [node for _, node in places],
        # Every owner has a leaf: ONNX Runtime leaves those out that no leaf speaks for.
        f"{side}_ids": [tree % owners for tree, _ in places],
        f"{side}_weights": weights.astype(np.float32).tolist(),
    }


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_NEQ"])
def test_tree_regressor(tmp_path: Path, mode: str) -> None:
    compare(
        tmp_path,
        "TreeEnsembleRegressor",
        floats(6, 4),
        domain=ML,
        n_targets=2,
        **_trees(3, 3, 4, mode),
        **_leaves(3, 3, 2, "target"),
        base_values=[0.5, -0.5],
    )


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_aggregates(tmp_path: Path, aggregate: str) -> None:
    compare(
        tmp_path,
        "TreeEnsembleRegressor",
        floats(6, 4),
        domain=ML,
        n_targets=1,
        **_trees(4, 2, 4),
        **_leaves(4, 2, 1, "target"),
        aggregate_function=aggregate,
    )


def test_missing_values_take_the_side_that_the_tree_says(tmp_path: Path) -> None:
    x = floats(6, 4)
    x[::2, 1:3] = np.nan
    trees = _trees(3, 2, 4)
    tracks = [int(RNG.integers(2)) for _ in trees["nodes_modes"]]
    compare(
        tmp_path,
        "TreeEnsembleRegressor",
        x,
        domain=ML,
        n_targets=1,
        **trees,
        **_leaves(3, 2, 1, "target"),
        nodes_missing_value_tracks_true=tracks,
    )


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_tree_classifier(tmp_path: Path, transform: str) -> None:
    compare(
        tmp_path,
        "TreeEnsembleClassifier",
        floats(6, 4),
        domain=ML,
        outputs=2,
        **_trees(5, 2, 4),
        **_leaves(5, 2, 3, "class"),
        classlabels_int64s=[4, 1, 9],
        post_transform=transform,
    )


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_binary_tree_classifier(tmp_path: Path, transform: str, positive: bool) -> None:
    compare(
        tmp_path,
        "TreeEnsembleClassifier",
        floats(6, 4),
        domain=ML,
        outputs=2,
        **_trees(5, 2, 4),
        **_leaves(5, 2, 1, "class", positive=positive),
        classlabels_int64s=[0, 1],
        post_transform=transform,
    )


def test_labels_that_are_strings(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperators, match="labels that are strings"):
        compare(
            tmp_path,
            "LinearClassifier",
            floats(5, 4),
            outputs=2,
            domain=ML,
            coefficients=_list(2, 4),
            classlabels_strings=["a", "b"],
            oracle=lambda *_: [np.zeros(5, np.int64), np.zeros((5, 2), np.float32)],
        )
