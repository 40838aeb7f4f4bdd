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
    names, tails, heads = _compact(nodes, tails, heads)
    order = np.argsort(tails, kind="stable")
    tails, heads = tails[order], heads[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(tails, minlength=names.size))])
    into = np.bincount(heads, minlength=names.size)
    removed = np.zeros(names.size, dtype=bool)
    place = np.zeros(names.size, dtype=np.int64)
    front = np.flatnonzero(into == 0)
    while front.size:
        removed[front] = True
        lengths = starts[front + 1] - starts[front]
        offsets = np.repeat(starts[front + 1] - np.cumsum(lengths), lengths)
        targets = heads[offsets + np.arange(lengths.sum())]
        np.subtract.at(into, targets, 1)
        free = targets[into[targets] == 0]
        # Each node once: of its entries, the one whose number was written last stays.
        place[free] = np.arange(free.size)
        front = free[place[free] == np.arange(free.size)]
    if removed.all():
        return []
    return names[_trace(np.flatnonzero(~removed), tails, heads, removed)].tolist()


def _compact(nodes: int, tails: Indices, heads: Indices) -> tuple[Indices, Indices, Indices]:
    """The nodes that have edges, and the edges in terms of their positions in that list."""
    used = np.zeros(nodes, dtype=bool)
    used[tails] = True
    used[heads] = True
    number = np.cumsum(used) - 1
    return np.flatnonzero(used), number[tails], number[heads]


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
