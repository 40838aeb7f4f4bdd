"""Cycles in large directed graphs, as flat arrays of edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def find_cycle(nodes: int, tails: Indices, heads: Indices) -> list[int]:
    """The nodes of one cycle in the order of its edges; empty if there is none.

    Nodes without edges into them are removed in rounds until none is left, or until
    every remaining node has one from another that remains. Time O(nodes + edges).
    """
    order = np.argsort(tails, kind="stable")
    heads = heads[order]
    starts = np.searchsorted(tails[order], np.arange(nodes + 1))
    into = np.bincount(heads, minlength=nodes)
    removed = np.zeros(nodes, dtype=bool)
    front = np.flatnonzero(into == 0)
    while front.size:
        removed[front] = True
        lengths = starts[front + 1] - starts[front]
        offsets = np.repeat(starts[front + 1] - np.cumsum(lengths), lengths)
        targets = heads[offsets + np.arange(lengths.sum())]
        np.subtract.at(into, targets, 1)
        front = np.unique(targets[into[targets] == 0])
    if removed.all():
        return []
    return _trace(np.flatnonzero(~removed), tails[order], heads, removed)


def _trace(
    left: Indices, tails: Indices, heads: Indices, removed: npt.NDArray[np.bool_]
) -> list[int]:
    """Walk backwards among the remaining nodes until one comes again."""
    keep = ~removed[tails] & ~removed[heads]
    before = dict(zip(heads[keep].tolist(), tails[keep].tolist(), strict=True))
    node, path, seen = int(left[0]), list[int](), dict[int, int]()
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = before[node]
    return path[seen[node] :][::-1]
