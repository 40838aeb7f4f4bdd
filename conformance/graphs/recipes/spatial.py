"""Images seen at other places or in other sizes, and boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.graphs.draft import F32, Draft
from conformance.graphs.recipes.registry import image, numeric, recipe, small, tame


@recipe("Resize", since=11)
def resize(draft: Draft, op: str) -> object:
    """To other sizes, by neighbours or by lines between them."""
    value = tame(image(draft))
    mode = draft.rng.choice(("nearest", "linear"))
    how = draft.rng.choice(("asymmetric", "half_pixel", "align_corners"))
    wanted = [*value.shape[:2], draft.rng.randrange(2, 9), draft.rng.randrange(2, 9)]
    scales = None if draft.opset >= 13 else draft.given(np.zeros(0, np.float32))
    roi = None if draft.opset >= 13 else draft.given(np.zeros(0, np.float32))
    given = [value, roi, scales, draft.ints(*wanted)]
    # Between two neighbours that are as near the rounding of a position would decide.
    near: dict[str, Any] = {"nearest_mode": "floor"} if mode == "nearest" else {}
    return draft.add(op, given, mode=mode, coordinate_transformation_mode=how, **near)


@recipe("Upsample", since=9, until=9)
def upsample(draft: Draft, op: str) -> object:
    """Whole times larger."""
    value = tame(image(draft))
    scales = draft.given(np.array([1, 1, 2, draft.rng.choice((1, 3))], np.float32))
    return draft.add(op, [value, scales], mode=draft.rng.choice(("nearest", "linear")))


@recipe("GridSample", since=16)
def sample(draft: Draft, op: str) -> object:
    """At the places of a grid."""
    grid = draft.given(np.tanh(draft.draw(F32, (1, 3, 4, 2))).astype(np.float32) * 1.25, None)
    padding = draft.rng.choice(("zeros", "border", "reflection"))
    mode = "bilinear" if draft.opset < 20 else "linear"
    given = [small(draft, 1, 2, 4, 5), numeric(grid)]
    return draft.add(
        op, given, mode=mode, padding_mode=padding, align_corners=draft.rng.randrange(2)
    )


@recipe("AffineGrid", since=20)
def grid(draft: Draft, op: str) -> object:
    """Positions that an affine map moves."""
    given = [small(draft, 2, 2, 3), draft.ints(2, 3, 4, 5)]
    return draft.add(op, given, align_corners=draft.rng.randrange(2))


@recipe("RoiAlign", since=10)
def regions(draft: Draft, op: str) -> object:
    """Means over boxes."""
    boxes = np.array([[0, 0, 3, 3], [1, 0.5, 4, 2.5]], np.float32)
    images = np.array([draft.rng.randrange(2) for _ in boxes], np.int64)
    given = [small(draft, 2, 2, 5, 6), draft.given(boxes, None), draft.given(images, None)]
    return draft.add(op, given, output_height=2, output_width=3, sampling_ratio=2)


@recipe("NonMaxSuppression", since=11)
def boxes(draft: Draft, op: str) -> object:
    """The best boxes that do not overlap a better one."""
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    corners = draws.integers(0, 8, (1, 6, 2))
    sizes = draws.integers(1, 5, (1, 6, 2))
    given = np.concatenate([corners, corners + sizes], -1).astype(np.float32)
    scores = draws.permutation(12).reshape(1, 2, 6).astype(np.float32) / 16
    bounds = [draft.given(np.array(2)), *(draft.given(np.array(x, np.float32)) for x in (0.3, 0.1))]
    return draft.add(
        op, [draft.given(given, None), draft.given(scores, None), *bounds], exact=True, ends=True
    )
