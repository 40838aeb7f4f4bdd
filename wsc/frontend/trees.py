"""ai.onnx.ml: ensembles of trees.

All conditions of all trees are evaluated at once. A leaf is reached where as many conditions
hold on its path as its path has true edges, less those that hold where the path has a false
edge: one contraction of the conditions with the paths, and a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wsc.frontend.classic import DOMAIN, class_labels, columns, floats, labelled, transformed
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

# How a value stands to the split of a node, as bits: less, equal, greater, not a number.
LESS, EQUAL, GREATER, MISSING = 1, 2, 4, 8
MODES = {
    "BRANCH_LEQ": LESS | EQUAL,
    "BRANCH_LT": LESS,
    "BRANCH_GTE": EQUAL | GREATER,
    "BRANCH_GT": GREATER,
    "BRANCH_EQ": EQUAL,
    "BRANCH_NEQ": LESS | GREATER | MISSING,
    "BRANCH_MEMBER": 0,
}
MODE_NAMES = tuple(MODES)
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")


@dataclass(frozen=True, slots=True)
class Split:
    """A condition: what of x's feature, compared with the value, leads to the true side.

    holds: bits of the comparisons for which it is true. members: values that also are.
    """

    feature: int
    value: float
    holds: int
    members: tuple[float, ...] = ()


@dataclass(slots=True)
class Tree:
    """Conditions, and for each leaf its path [(condition, side)] and its (target, weight)."""

    splits: list[Split] = field(default_factory=list[Split])
    paths: list[list[tuple[int, bool]]] = field(default_factory=list[list[tuple[int, bool]]])
    leaves: list[list[tuple[int, float]]] = field(default_factory=list[list[tuple[int, float]]])


@dataclass(frozen=True, slots=True)
class Raw:
    """Nodes as the attributes have them: a leaf has its weights instead of a split."""

    split: Split | None
    yes: int
    no: int
    weights: list[tuple[int, float]]


def walk(nodes: Sequence[Raw], root: int) -> Tree:
    """The tree below a node. Raises Unsupported if it is not a tree."""
    tree, seen = Tree(), 0
    stack: list[tuple[int, list[tuple[int, bool]]]] = [(root, [])]
    while stack:
        place, path = stack.pop()
        require(0 <= place < len(nodes), f"node {place} of {len(nodes)}")
        node, seen = nodes[place], seen + 1
        require(seen <= 2 * len(nodes), "nodes that form a circle")
        if node.split is None:
            tree.paths.append(path)
            tree.leaves.append(node.weights)
            continue
        number = len(tree.splits)
        tree.splits.append(node.split)
        stack.append((node.no, [*path, (number, False)]))
        stack.append((node.yes, [*path, (number, True)]))
    return tree


# --- evaluation ---------------------------------------------------------------------------


def _compare(x: Term, split: Term, holds: Term | int) -> Term:
    """Whether the comparison of x with the split is among the bits."""
    simple = {
        LESS | EQUAL: x <= split,
        LESS: x < split,
        EQUAL | GREATER: x >= split,
        GREATER: x > split,
        EQUAL: x.eq(split),
    }
    if isinstance(holds, int) and holds in simple:
        return simple[holds]
    how = (x < split) | (x.eq(split).op("shl", 1)) | ((x > split).op("shl", 2))
    how = how | x.op("isnan").op("shl", 3)
    return (how & holds).eq(0).negated()


def _conditions(build: GraphBuilder, x: Value, trees: Sequence[Tree]) -> Value:
    """1 where a condition holds, else 0, as floats: [N, trees, conditions]."""
    most = max(1, *(len(tree.splits) for tree in trees))
    none = Split(0, 0.0, 0)
    splits = [[*tree.splits, *[none] * (most - len(tree.splits))] for tree in trees]
    picked = columns(build, x, np.array([[s.feature for s in row] for row in splits]), "picked")
    values = build.constant(np.array([[s.value for s in row] for row in splits]), x.dtype, "split")
    bits = np.array([[s.holds for s in row] for row in splits])
    own = {s.holds for tree in trees for s in tree.splits}
    if len(own) == 1:
        (holds,) = own
        flags = build.map(lambda v, s: _compare(v, s, holds), picked, values, hint="holds")
    else:
        codes = build.constant(bits, DType.I32, "holds")
        flags = build.map(_compare, picked, values, codes, hint="holds")
    widest = max(len(s.members) for row in splits for s in row)
    if widest:
        members = np.full((len(trees), most, widest), np.nan, np.float32)
        for t, row in enumerate(splits):
            for i, split in enumerate(row):
                members[t, i, : len(split.members)] = split.members
        wide = build.reshape(picked, (*picked.shape, 1), "wide")
        table = build.constant(members, x.dtype, "members")
        each = build.map(lambda v, m: v.eq(m), wide, table, hint="member")
        among = build.reduce(Reduction.MAX, each, [3], False, "among")
        flags = build.map(lambda a, b: a | b, flags, among, hint="either")
    dtype = x.dtype
    return build.map(lambda f: f.cast(dtype), flags, hint="flags")


def _reached(build: GraphBuilder, x: Value, trees: Sequence[Tree]) -> Value:
    """1 where a leaf is reached, else 0 (i32): [N, trees, leaves]."""
    flags = _conditions(build, x, trees)
    most = max(len(tree.paths) for tree in trees)
    paths = np.zeros((len(trees), flags.shape[2], most), np.float32)
    wanted = np.full((len(trees), most), -1.0, np.float32)
    for t, tree in enumerate(trees):
        for leaf, path in enumerate(tree.paths):
            wanted[t, leaf] = sum(side for _, side in path)
            for condition, side in path:
                paths[t, condition, leaf] = 1 if side else -1
    # What no leaf stands for has a path without conditions, which never adds up to -1.
    table = build.constant(paths, x.dtype, "paths")
    held = build.contract(flags, table, "n t i", "t i l", "n t l", "held")
    return build.map(
        lambda h, w: h.eq(w), held, build.constant(wanted, x.dtype, "wanted"), hint="reached"
    )


def ensemble(call: Call, x: Value, trees: Sequence[Tree], targets: int, aggregate: str) -> Value:
    """What the trees say of each target: [N, targets]."""
    require(bool(trees) and targets > 0, "an ensemble without trees or targets")
    require(aggregate in AGGREGATES, f"aggregate_function {aggregate!r}")
    require(x.rank == 2, f"an input of rank {x.rank}")
    build = call.build
    reached = _reached(build, x, trees)
    weights = np.zeros((len(trees), reached.shape[2], targets), np.float32)
    has = np.zeros(weights.shape, bool)
    for t, tree in enumerate(trees):
        for leaf, parts in enumerate(tree.leaves):
            for target, weight in parts:
                require(0 <= target < targets, f"target {target} of {targets}")
                weights[t, leaf, target] += weight
                has[t, leaf, target] = True
    if aggregate in ("MIN", "MAX"):
        return _extremes(build, x, reached, weights, has, aggregate)
    if aggregate == "AVERAGE":
        weights /= len(trees)
    dtype = x.dtype
    flags = build.map(lambda f: f.cast(dtype), reached, hint="leaf")
    table = build.constant(weights, dtype, "weights")
    return build.contract(flags, table, "n t l", "t l o", "n o", "total")


def _extremes(
    build: GraphBuilder, x: Value, reached: Value, weights: np.ndarray, has: np.ndarray, kind: str
) -> Value:
    """The smallest or largest of what the reached leaves have for each target; 0 without any."""
    beyond = np.inf if kind == "MIN" else -np.inf
    table = build.constant(np.where(has, weights, beyond), x.dtype, "weights")
    wide = build.reshape(reached, (*reached.shape, 1), "wide")
    each = build.map(lambda f, w: f.select(w, beyond), wide, table, hint="each")
    best = build.reduce(Reduction[kind], each, [1, 2], False, "best")
    return build.map(lambda v: v.eq(beyond).select(0, v), best, hint="total")


# --- operators ----------------------------------------------------------------------------


def _listed(call: Call, name: str) -> list[float]:
    """Floats from an attribute, or from the tensor that newer opsets have in its place."""
    tensor = call.tensor(f"{name}_as_tensor")
    values = call.numbers(name) if tensor is None else tensor.reshape(-1).tolist()
    return [float(value) for value in values or []]


def _numbered(call: Call, side: str) -> list[Tree]:
    """Trees of TreeEnsembleRegressor and -Classifier. side: prefix of the leaves' attributes."""
    ids = [
        call.integers(f"nodes_{name}") or []
        for name in ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    ]
    modes, values = call.texts("nodes_modes") or [], _listed(call, "nodes_values")
    missing = call.integers("nodes_missing_value_tracks_true") or [0] * len(modes)
    places = {(tree, node): i for i, (tree, node) in enumerate(zip(ids[0], ids[1], strict=True))}
    leaves: dict[int, list[tuple[int, float]]] = {}
    owners = zip(
        call.integers(f"{side}_treeids") or [],
        call.integers(f"{side}_nodeids") or [],
        call.integers(f"{side}_ids") or [],
        _listed(call, f"{side}_weights"),
        strict=True,
    )
    for tree, node, target, weight in owners:
        require((tree, node) in places, f"leaf {node} of tree {tree}, which is not there")
        leaves.setdefault(places[tree, node], []).append((target, weight))
    nodes: list[Raw] = []
    below: set[int] = set()
    for i, (tree, _, feature, yes, no) in enumerate(zip(*ids, strict=True)):
        if modes[i] == "LEAF":
            nodes.append(Raw(None, 0, 0, leaves.get(i, [])))
            continue
        require(modes[i] in MODES and MODES[modes[i]] > 0, f"mode {modes[i]!r}")
        ends = [places.get((tree, end), -1) for end in (yes, no)]
        below.update(ends)
        holds = MODES[modes[i]] | (MISSING if missing[i] else 0)
        nodes.append(Raw(Split(feature, values[i], holds), ends[0], ends[1], []))
    return [walk(nodes, root) for root in range(len(nodes)) if root not in below]


def _based(call: Call, scores: Value) -> Value:
    """Scores plus base values."""
    base = _listed(call, "base_values")
    if not base:
        return scores
    require(len(base) in (1, scores.shape[1]), f"{len(base)} base values")
    table = call.build.constant(np.array(base, np.float32), scores.dtype, "base")
    return call.build.map(lambda v, b: v + b, scores, table, hint="based")


@lowering(
    "TreeEnsembleRegressor",
    domain=DOMAIN,
    quiet=(
        "classlabels_strings",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
    ),
)
def tree_regressor(call: Call) -> Value:
    """What the reached leaves of all trees say, joined for each target."""
    x, targets = floats(call, call.arg(0)), call.integer("n_targets", 1)
    aggregate = call.text("aggregate_function", "SUM")
    scores = ensemble(call, x, _numbered(call, "target"), targets, aggregate)
    return transformed(call, _based(call, scores))


@lowering(
    "TreeEnsembleClassifier",
    domain=DOMAIN,
    quiet=(
        "classlabels_strings",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
    ),
)
def tree_classifier(call: Call) -> list[Value]:
    """The class that most of the leaves' weights are for, and the scores of all classes."""
    labels, x = class_labels(call), floats(call, call.arg(0))
    trees = _numbered(call, "class")
    weights = [part for tree in trees for leaf in tree.leaves for part in leaf]
    if len(labels) == 2 and len({target for target, _ in weights}) == 1:
        return _binary(call, x, trees, labels, all(weight >= 0 for _, weight in weights))
    scores = _based(call, ensemble(call, x, trees, len(labels), "SUM"))
    return [labelled(call, scores, labels), transformed(call, scores)]


def _binary(
    call: Call, x: Value, trees: list[Tree], labels: list[int], positive: bool
) -> list[Value]:
    """Two classes of which only one has weights: the other one's score is what is left of 1,
    or the negative, as in ONNX Runtime.
    """
    build = call.build
    merged = [
        Tree(tree.splits, tree.paths, [[(0, w) for _, w in leaf] for leaf in tree.leaves])
        for tree in trees
    ]
    score = ensemble(call, x, merged, 1, "SUM")
    base = _listed(call, "base_values")
    if base:
        last = base[-1]
        score = build.map(lambda v: v + last, score, hint="based")
    other = build.map(lambda v: 1 - v if positive else -v, score, hint="other")
    scores = build.concat([other, score], 1, "both")
    label = labelled(call, scores, labels)
    if positive and call.text("post_transform", "NONE") != "NONE":
        other = build.map(lambda v: -v, score, hint="negative")
        scores = build.concat([other, score], 1, "signed")
    return [label, transformed(call, scores)]


@lowering(
    "TreeEnsemble",
    domain=DOMAIN,
    since=5,
    quiet=(
        "classlabels_strings",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
    ),
)
def tree_ensemble(call: Call) -> Value:
    """Any ensemble of trees: what the reached leaves say, joined for each target."""
    x = floats(call, call.arg(0))
    names = ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")
    feature, yes, yes_leaf, no, no_leaf = (call.integers(f"nodes_{name}") or [] for name in names)
    modes, splits = (call.tensor(f"nodes_{name}") for name in ("modes", "splits"))
    weights, owners = call.tensor("leaf_weights"), call.integers("leaf_targetids") or []
    require(modes is not None and splits is not None and weights is not None, "tensors missing")
    assert modes is not None
    assert splits is not None
    assert weights is not None
    missing = call.integers("nodes_missing_value_tracks_true") or [0] * len(feature)
    require(bool((modes < len(MODE_NAMES)).all()), "an unknown mode")
    codes = [
        MODES[MODE_NAMES[int(mode)]] | (MISSING if miss else 0)
        for mode, miss in zip(modes, missing, strict=True)
    ]
    count = len(feature)

    def end(place: int, leaf: int) -> int:
        return place + count if leaf else place

    members = _members(call, modes)
    nodes = [
        Raw(
            Split(feature[i], float(splits[i]), codes[i], members.get(i, ())),
            end(yes[i], yes_leaf[i]),
            end(no[i], no_leaf[i]),
            [],
        )
        for i in range(count)
    ]
    nodes += [Raw(None, 0, 0, [(o, float(w))]) for o, w in zip(owners, weights, strict=True)]
    trees = [walk(nodes, root) for root in call.integers("tree_roots") or []]
    aggregate = AGGREGATES[call.integer("aggregate_function", 1)]
    scores = ensemble(call, x, trees, call.integer("n_targets", 1), aggregate)
    return transformed(call, scores, TRANSFORMS[call.integer("post_transform", 0)])


def _members(call: Call, modes: np.ndarray) -> dict[int, tuple[float, ...]]:
    """The values of each membership node: runs that end with a NaN, in the order of the nodes."""
    owners = [i for i, mode in enumerate(modes) if MODE_NAMES[int(mode)] == "BRANCH_MEMBER"]
    values = call.tensor("membership_values")
    require(bool(owners) == (values is not None), "membership nodes and values do not match")
    runs: list[tuple[float, ...]] = []
    run: list[float] = []
    for value in [] if values is None else values.reshape(-1).tolist():
        if np.isnan(value):
            runs.append(tuple(run))
            run = []
        else:
            run.append(value)
    require(len(runs) == len(owners), f"{len(runs)} sets for {len(owners)} nodes")
    return dict(zip(owners, runs, strict=True))
