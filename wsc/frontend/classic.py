"""ai.onnx.ml: linear models, support vectors and what prepares their inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wsc.frontend.elementwise import wide_square
from wsc.frontend.normalize import softmax
from wsc.frontend.reduce import index_of, passed_over
from wsc.frontend.registry import Call, Unsupported, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Pad, Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

DOMAIN = "ai.onnx.ml"


def floats(call: Call, x: Value) -> Value:
    """x as floats of the graph."""
    dtype = call.float_type
    return x if x.dtype.is_float else call.build.map(lambda v: v.cast(dtype), x, hint="float")


# --- scores -------------------------------------------------------------------------------


def _probit(v: Term) -> Term:
    """sqrt(2) times the inverse error function of 2 v - 1, by the usual approximation."""
    centre = v * 2 - 1
    log = ((1 - centre) * (1 + centre)).log()
    first = log * 0.5 + 2 / (math.pi * 0.147)
    root = ((first * first - log * (1 / 0.147)).sqrt() - first).sqrt()
    return (centre < 0).select(-root, root) * math.sqrt(2)


def transformed(call: Call, scores: Value, kind: str | None = None) -> Value:
    """Scores [N, C] after a transform: the node's post_transform unless one is named."""
    build, kind = call.build, kind or call.text("post_transform", "NONE")
    if kind == "NONE":
        return scores
    if kind == "LOGISTIC":
        return build.map(lambda v: v.sigmoid(), scores)
    if kind == "SOFTMAX":
        return softmax(build, scores, [1])
    if kind == "PROBIT":
        return build.map(_probit, scores)
    if kind != "SOFTMAX_ZERO":
        raise Unsupported(f"post_transform {kind!r}")
    largest = build.reduce(Reduction.MAX, scores, [1], True, "max")

    def each(v: Term, m: Term) -> Term:
        # Classes without a score stay without one.
        return (v.abs() <= 1e-7).select(v * (-m).exp(), (v - m).exp())

    parts = build.map(each, scores, largest, hint="exp")
    total = build.reduce(Reduction.SUM, parts, [1], True, "sum")
    return build.map(lambda e, s: s.eq(0).select(0.5, e / s), parts, total)


def labelled(call: Call, scores: Value, labels: Sequence[int]) -> Value:
    """The label [N] of the class with the largest score."""
    build = call.build
    numbers = passed_over(build, scores, 1, Reduction.MAX)
    best = index_of(build, numbers, 1, Reduction.MAX, False, False)
    if list(labels) == list(range(len(labels))):
        return best
    table = build.constant(np.array(labels, np.int64), DType.I32, "labels")
    return build.gather(table, best, 0, "label")


def class_labels(call: Call) -> list[int]:
    """Integer labels. Raises Unsupported for strings."""
    names = ("classlabels_int64s", "classlabels_ints")
    found = [call.integers(name) for name in names]
    labels = next((item for item in found if item), None)
    if labels is None:
        raise Unsupported("labels that are strings")
    return labels


@lowering("LinearRegressor", domain=DOMAIN)
def linear_regressor(call: Call) -> Value:
    """x W + b."""
    targets = call.integer("targets", 1)
    return transformed(call, _linear(call, floats(call, call.arg(0)), targets))


def _linear(call: Call, x: Value, rows: int) -> Value:
    build = call.build
    x = build.reshape(x, (1, x.shape[0])) if x.rank == 1 else x
    weights = np.array(call.numbers("coefficients") or [], np.float32)
    require(x.rank == 2 and weights.size == rows * x.shape[1], f"{weights.size} coefficients")
    table = build.constant(weights.reshape(rows, -1), x.dtype, "coefficients")
    scores = build.contract(x, table, "n k", "c k", "n c", "product")
    bias = call.numbers("intercepts")
    if not bias:
        return scores
    shift = build.constant(np.array(bias, np.float32), x.dtype, "intercepts")
    return build.map(lambda v, b: v + b, scores, shift, hint="scores")


@lowering(
    "LinearClassifier",
    domain=DOMAIN,
    quiet=(
        "classlabels_strings",
        "multi_class",
    ),
)
def linear_classifier(call: Call) -> list[Value]:
    """The class with the largest of the scores x W + b, and the scores."""
    build, labels = call.build, class_labels(call)
    x = floats(call, call.arg(0))
    rows = len(call.numbers("coefficients") or []) // x.shape[-1]
    scores = _linear(call, x, rows)
    require(rows == len(labels) or (rows == 1 and len(labels) == 2), f"{rows} rows of weights")
    if rows == 1:
        negative = build.map(lambda v: -v, scores, hint="negative")
        scores = build.concat([negative, scores], 1, "both")
    return [labelled(call, scores, labels), transformed(call, scores)]


@lowering(
    "SVMRegressor",
    domain=DOMAIN,
    quiet=(
        "kernel_params",
        "kernel_type",
        "n_targets",
    ),
)
def svm_regressor(call: Call) -> Value:
    """Sums over support vectors of kernels with x."""
    build, x = call.build, floats(call, call.arg(0))
    require(x.rank == 2, f"an input of rank {x.rank}")
    coefficients = np.array(call.numbers("coefficients") or [], np.float32)
    rho = (call.numbers("rho") or [0.0])[0]
    supports = call.integer("n_supports", 0)
    if supports:
        vectors = np.array(call.numbers("support_vectors") or [], np.float32)
        kernels = _kernels(call, x, vectors.reshape(supports, -1))
    else:
        kernels = x
    require(kernels.shape[1] == coefficients.size, f"{coefficients.size} coefficients")
    weights = build.constant(coefficients.reshape(-1, 1), x.dtype, "coefficients")
    total = build.contract(kernels, weights, "n s", "s o", "n o", "sum")
    scores = build.map(lambda v: v + rho, total, hint="scores")
    if call.flag("one_class", False):
        dtype = scores.dtype
        return build.map(lambda v: (v > 0).select_literals(dtype, 1.0, -1.0), scores)
    return transformed(call, scores)


def _kernels(call: Call, x: Value, vectors: np.ndarray) -> Value:
    """The kernel of every row of x with every support vector: [N, S]."""
    build, kind = call.build, call.text("kernel_type", "LINEAR")
    gamma, shift, degree = [*(call.numbers("kernel_params") or []), 0.0, 0.0, 0.0][:3]
    table = build.constant(vectors, x.dtype, "vectors")
    if kind == "RBF":
        rows = build.reshape(x, (x.shape[0], 1, x.shape[1]), "rows")
        squares = build.map(lambda a, b: wide_square(a - b), rows, table, hint="squares")
        far = build.reduce(Reduction.SUM, squares, [2], False, "distance")
        return build.map(lambda d: (d * -gamma).exp(), far, hint="kernel")
    dots = build.contract(x, table, "n k", "s k", "n s", "dots")
    if kind == "LINEAR":
        return dots
    if kind == "POLY":
        return build.map(lambda d: (d * gamma + shift).op("pow", degree), dots, hint="kernel")
    require(kind == "SIGMOID", f"kernel {kind!r}")
    return build.map(lambda d: (d * gamma + shift).tanh(), dots, hint="kernel")


# --- features -----------------------------------------------------------------------------


@lowering("Binarizer", domain=DOMAIN)
def binarizer(call: Call) -> Value:
    """1 where x is above a threshold, else 0."""
    x, limit = call.arg(0), call.number("threshold", 0.0)
    dtype = x.dtype
    if not dtype.is_float:
        return call.build.map(lambda v: v > math.floor(limit), x)
    return call.build.map(lambda v: (v > limit).select_literals(dtype, 1.0, 0.0), x)


@lowering("Scaler", domain=DOMAIN)
def scaler(call: Call) -> Value:
    """(x - offset) * scale, of each feature or of all."""
    build, x = call.build, floats(call, call.arg(0))
    parts = [
        np.array(call.numbers(name) or [default], np.float32)
        for name, default in (("offset", 0.0), ("scale", 1.0))
    ]
    require(all(part.size in (1, x.shape[-1]) for part in parts), "one value a feature, or one")
    offset, scale = (build.constant(part, x.dtype, "scaler") for part in parts)
    return build.map(lambda v, o, s: (v - o) * s, x, offset, scale)


@lowering("Normalizer", domain=DOMAIN)
def normalizer(call: Call) -> Value:
    """Each row divided by its largest magnitude, sum of magnitudes or length."""
    build, x, kind = call.build, floats(call, call.arg(0)), call.text("norm", "MAX")
    require(kind in ("MAX", "L1", "L2"), f"norm {kind!r}")
    axis = x.rank - 1
    each = build.map(lambda v: wide_square(v) if kind == "L2" else v.abs(), x, hint="each")
    how = Reduction.MAX if kind == "MAX" else Reduction.SUM
    total = build.reduce(how, each, [axis], True, "norm")

    def body(v: Term, t: Term) -> Term:
        return v / (t.sqrt() if kind == "L2" else t).max(1e-30)

    return build.map_wide(body, x, total)


@lowering("Imputer", domain=DOMAIN)
def imputer(call: Call) -> Value:
    """A value for each feature in the place of what is missing."""
    build, x = call.build, call.arg(0)
    if x.dtype.is_float:
        values, missing = (
            call.numbers("imputed_value_floats"),
            call.number("replaced_value_float", 0.0),
        )
    else:
        values, missing = (
            call.integers("imputed_value_int64s"),
            call.integer("replaced_value_int64", 0),
        )
    require(bool(values), "no values to impute")
    require(len(values or []) in (1, x.shape[-1]), "one value a feature, or one")
    table = build.constant(np.array(values), x.dtype, "imputed")

    def body(v: Term, new: Term) -> Term:
        gone = v.op("isnan") if math.isnan(missing) else v.eq(missing)
        return gone.select(new, v)

    return build.map(body, x, table)


@lowering("FeatureVectorizer", domain=DOMAIN)
def feature_vectorizer(call: Call) -> Value:
    """Rows of all inputs, each cut or filled to its size, side by side."""
    build, sizes = call.build, call.integers("inputdimensions") or []
    values = [floats(call, value) for value in call.args()]
    require(len(sizes) == len(values), f"{len(sizes)} sizes for {len(values)} inputs")
    parts: list[Value] = []
    for value, size in zip(values, sizes, strict=True):
        rows = value if value.rank == 2 else build.reshape(value, (value.type.size, 1))
        rows = build.slice_axis(rows, 1, 0, min(size, rows.shape[1]), hint="cut")
        parts.append(build.move(rows, Pad((0, 0), (0, size - rows.shape[1])), hint="fill"))
    return build.concat(parts, 1)


@lowering("ArrayFeatureExtractor", domain=DOMAIN)
def array_feature_extractor(call: Call) -> Value:
    """Positions of the last axis."""
    build, x, indices = call.build, call.arg(0), call.arg(1)
    x = build.reshape(x, (1, x.shape[0])) if x.rank == 1 else x
    flat = build.reshape(indices, (indices.type.size,), "indices")
    return build.gather(x, flat, x.rank - 1)


@lowering(
    "LabelEncoder",
    domain=DOMAIN,
    since=2,
    quiet=(
        "default_float",
        "default_int64",
        "default_string",
    ),
)
def label_encoder(call: Call) -> Value:
    """Numbers for numbers, by a table; a default for those that it lacks."""
    build, x = call.build, call.arg(0)
    keys, values = (_table(call, side) for side in ("keys", "values"))
    require(keys.shape == values.shape and keys.ndim == 1, "keys and values that do not pair")
    whole = values.dtype.kind in "iu"
    dtype = DType.I32 if whole else call.float_type
    default = call.tensor("default_tensor")
    if default is None:
        number = call.integer("default_int64", -1) if whole else call.number("default_float", -0.0)
        default = np.array(number)
    wide = build.reshape(x, (*x.shape, 1), "wide")
    table = build.constant(keys, x.dtype, "keys")
    hits = build.map(lambda v, k: v.eq(k), wide, table, hint="hits")
    results = build.constant(values, dtype, "values")
    each = build.map(lambda h, v: h.select(v, 0), hits, results, hint="each")
    found = build.reduce(Reduction.MAX, hits, [x.rank], False, "found")
    picked = build.reduce(Reduction.SUM, each, [x.rank], False, "picked")
    fallback = default.reshape(()).item()
    return build.map(
        lambda f, v: f.select(v, fallback),
        found,
        build.cast(picked, dtype) if dtype.is_float else picked,
    )


def _table(call: Call, side: str) -> np.ndarray:
    """The numbers of one side of the encoder's table."""
    tensor = call.tensor(f"{side}_tensor")
    whole, real = call.integers(f"{side}_int64s"), call.numbers(f"{side}_floats")
    if tensor is None and whole is None and real is None:
        raise Unsupported(f"{side} that are strings")
    if tensor is None:
        tensor = np.array(whole, np.int64) if whole is not None else np.array(real, np.float32)
    require(tensor.dtype.kind in "fiu", f"{side} that are strings")
    return tensor


def columns(build: GraphBuilder, x: Value, index: np.ndarray, hint: str) -> Value:
    """Columns of x [N, F] at constant positions of any shape."""
    return build.gather(x, build.constant(index, DType.I32, "columns"), 1, hint)
