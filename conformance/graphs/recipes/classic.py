"""ai.onnx.ml: linear models, trees, tables and features."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from conformance.graphs.draft import F32, Draft
from conformance.graphs.evaluate import CLASSIC, classic
from conformance.graphs.recipes.registry import recipe, small

TREES_APART = 21  # the last opset that goes with a version in which trees have two operators


def _list(draft: Draft, count: int) -> list[float]:
    return [float(x) for x in draft.rng.choices((-1.5, -0.5, -0.25, 0.25, 0.75, 1.0), k=count)]


@recipe("LinearClassifier", domain=CLASSIC)
def classifier(draft: Draft, op: str) -> object:
    """The best of three classes, and all scores."""
    transform = draft.rng.choice(("NONE", "LOGISTIC", "SOFTMAX"))
    return draft.add(
        op,
        [small(draft, 5, 4)],
        2,
        domain=CLASSIC,
        coefficients=_list(draft, 12),
        intercepts=_list(draft, 3),
        classlabels_ints=[7, 2, 5],
        post_transform=transform,
    )


@recipe("LinearRegressor", domain=CLASSIC)
def regressor(draft: Draft, op: str) -> object:
    """x W + b."""
    return draft.add(
        op,
        [small(draft, 5, 4)],
        domain=CLASSIC,
        coefficients=_list(draft, 8),
        intercepts=_list(draft, 2),
        targets=2,
    )


@recipe("SVMRegressor", domain=CLASSIC)
def support(draft: Draft, op: str) -> object:
    """Sums over kernels."""
    return draft.add(
        op,
        [small(draft, 5, 3)],
        domain=CLASSIC,
        kernel_params=[0.25, 0.5, 2.0],
        n_supports=4,
        kernel_type=draft.rng.choice(("LINEAR", "POLY", "RBF", "SIGMOID")),
        support_vectors=_list(draft, 12),
        coefficients=_list(draft, 4),
        rho=[0.25],
    )


@recipe("Normalizer", domain=CLASSIC)
def normalizer(draft: Draft, op: str) -> object:
    """Each row divided by its length."""
    return draft.add(op, [small(draft, 5, 4)], domain=CLASSIC, norm=draft.rng.choice(("L1", "L2")))


@recipe("Scaler", domain=CLASSIC)
def scaler(draft: Draft, op: str) -> object:
    """Moved and scaled by feature."""
    return draft.add(
        op, [small(draft, 5, 3)], domain=CLASSIC, offset=_list(draft, 3), scale=_list(draft, 3)
    )


@recipe("Binarizer", domain=CLASSIC)
def binarizer(draft: Draft, op: str) -> object:
    """Beyond a threshold."""
    return draft.add(op, [small(draft, 5, 3)], domain=CLASSIC, threshold=0.5, exact=True)


@recipe("Imputer", domain=CLASSIC)
def imputer(draft: Draft, op: str) -> object:
    """Numbers where some are missing."""
    array = draft.draw(F32, (5, 3))
    array[1, 2] = np.nan
    return draft.add(
        op,
        [draft.given(array, None)],
        domain=CLASSIC,
        imputed_value_floats=[1.0, 2.0, 3.0],
        replaced_value_float=float("nan"),
        exact=True,
    )


@recipe("ArrayFeatureExtractor", domain=CLASSIC)
def columns(draft: Draft, op: str) -> object:
    """Some features of each row."""
    places = np.array([[draft.rng.randrange(3) for _ in range(4)]], np.int64)
    given = [small(draft, 5, 3), draft.given(places, None)]
    return draft.add(op, given, domain=CLASSIC, exact=True)


@recipe("FeatureVectorizer", domain=CLASSIC)
def joined(draft: Draft, op: str) -> object:
    """Features side by side."""
    given = [small(draft, 5, 3), small(draft, 5, 2)]
    return draft.add(op, given, domain=CLASSIC, inputdimensions=[3, 2], exact=True)


@recipe("LabelEncoder", domain=CLASSIC)
def labels(draft: Draft, op: str) -> object:
    """Numbers for numbers."""
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    value = draft.given(draws.integers(0, 6, (4, 3)), None)
    return draft.add(
        op,
        [value],
        domain=CLASSIC,
        keys_int64s=[0, 2, 3],
        values_floats=[0.5, 1.5, -2.0],
        default_float=-1.0,
        exact=True,
    )


def _tree(draft: Draft) -> dict[str, list[Any]]:
    """The nodes of two trees of two levels, as attributes."""
    rows = [(tree, node) for tree in range(2) for node in range(7)]
    inner = [node < 3 for _, node in rows]
    return {
        "nodes_treeids": [tree for tree, _ in rows],
        "nodes_nodeids": [node for _, node in rows],
        "nodes_featureids": [draft.rng.randrange(4) if is_inner else 0 for is_inner in inner],
        "nodes_values": [
            draft.rng.choice((-0.4, 0.1, 0.6)) if is_inner else 0.0 for is_inner in inner
        ],
        "nodes_modes": ["BRANCH_LEQ" if is_inner else "LEAF" for is_inner in inner],
        "nodes_truenodeids": [2 * node + 1 if node < 3 else 0 for _, node in rows],
        "nodes_falsenodeids": [2 * node + 2 if node < 3 else 0 for _, node in rows],
    }


def _leaves(draft: Draft, side: str, owners: int) -> dict[str, list[Any]]:
    rows = [(tree, node) for tree in range(2) for node in range(3, 7)]
    return {
        f"{side}_treeids": [tree for tree, _ in rows],
        f"{side}_nodeids": [node for _, node in rows],
        f"{side}_ids": [number % owners for number in range(len(rows))],
        # Positive: ONNX Runtime passes over a class that no leaf speaks for, whatever its score.
        f"{side}_weights": [draft.rng.uniform(0.1, 1.0) for _ in rows],
    }


@recipe("TreeEnsembleRegressor", until=TREES_APART, domain=CLASSIC)
def tree_regressor(draft: Draft, op: str) -> object:
    """What leaves say, summed for each target."""
    given: dict[str, Any] = {**_tree(draft), **_leaves(draft, "target", 2)}
    return draft.add(op, [small(draft, 6, 4)], domain=CLASSIC, n_targets=2, **given)


@recipe("TreeEnsembleClassifier", until=TREES_APART, domain=CLASSIC)
def tree_classifier(draft: Draft, op: str) -> object:
    """The class that leaves are for, and the scores."""
    given: dict[str, Any] = {**_tree(draft), **_leaves(draft, "class", 3)}
    return draft.add(
        op, [small(draft, 6, 4)], 2, domain=CLASSIC, classlabels_int64s=[4, 1, 9], **given
    )


@recipe("TreeEnsemble", since=TREES_APART + 1, domain=CLASSIC)
def trees(draft: Draft, op: str) -> object:
    """Two trees of one inner node each."""
    assert classic(draft.opset) == 5
    splits = np.array([draft.rng.choice((-0.4, 0.1)) for _ in range(2)], np.float32)
    weights = np.array(_list(draft, 4), np.float32)
    return draft.add(
        op,
        [small(draft, 6, 4)],
        domain=CLASSIC,
        n_targets=1,
        aggregate_function=1,
        tree_roots=[0, 1],
        nodes_featureids=[draft.rng.randrange(4), 2],
        nodes_modes=numpy_helper.from_array(np.zeros(2, np.uint8)),
        nodes_splits=numpy_helper.from_array(splits),
        nodes_truenodeids=[0, 2],
        nodes_trueleafs=[1, 1],
        nodes_falsenodeids=[1, 3],
        nodes_falseleafs=[1, 1],
        leaf_targetids=[0, 0, 0, 0],
        leaf_weights=numpy_helper.from_array(weights),
    )
