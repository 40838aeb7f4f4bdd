"""Layers: stretches of a graph that repeat but for their weights.

A language model is the same layer many times over. What a layer does stands in its nodes; what
differs from layer to layer are the weights (and inputs) that they name, and the values that one
layer hands to the next. Placement lays such layers out alike, so that one of them in a loop can
stand for all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np

from wsc.ir.graph import Contract, Graph, Node
from wsc.isa.turns import PLACE, common
from wsc.passes.periods import numbered

LEAST = 2  # layers
SAVED = 8  # nodes that a loop stands for beside those of its first turn, at least


@dataclass(frozen=True, slots=True)
class Layers:
    """``count`` layers of ``period`` nodes each, from node ``start`` on.

    carried: for each value that a layer hands to the next, the value that the first one gets, and
    the place within a layer of the node that gives it. own: the constants and graph inputs that
    are one layer's alone. kept: the values that each layer has for itself from nodes before all of
    them: those of its forward pass, where a layer is one of the backward pass.
    """

    start: int
    period: int
    count: int
    carried: tuple[tuple[str, int], ...]
    own: frozenset[str]
    kept: frozenset[str] = frozenset()

    @property
    def end(self) -> int:
        """The first node behind them."""
        return self.start + self.period * self.count


@dataclass(slots=True)
class _Links:
    """What binds layers, as far as they are known.

    carried: place of the node in a layer that gives what it hands on -> what the first layer gets
    for it. own: what one layer has alone. apart: how many nodes there may be from what one layer
    has from before all of them to what the next one has; empty: they have nothing from there.
    """

    carried: dict[int, str] = field(default_factory=dict[int, str])
    own: set[str] = field(default_factory=set[str])
    apart: set[int] = field(default_factory=set[int])


def find_layers(graph: Graph) -> list[Layers]:
    """The layers of a graph, stack by stack, none within another."""
    search = _Search(graph)
    found = search.within(0, len(graph.nodes))
    # What the first layer of a stack is handed is to it what the others have from the one before:
    # also to a backward pass, which has it from there for each of them.
    for layers in found:
        for name, place in layers.carried:
            search.entries[name] = layers.start - layers.period + place
    return search.within(0, len(graph.nodes)) if search.entries else found


class _Search:
    """What is asked of a graph over and over."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        self.made = {node.output: number for number, node in enumerate(graph.nodes)}
        self.types = graph.types()
        self.constants = {constant.name for constant in graph.constants}
        self.entries: dict[str, int] = {}  # as if the layer before the first one had made it
        self.ids = numbered(self._form(node) for node in graph.nodes)

    def _form(self, node: Node) -> Hashable:
        inputs = tuple((name in self.constants, self.types[name]) for name in node.inputs)
        return (node.op, node.type, inputs)

    def within(self, first: int, last: int) -> list[Layers]:
        """The stacks among nodes first .. last - 1: the one that saves the most, then the rest."""
        best: Layers | None = None
        for bound, period in self._candidates(first, last):
            if best is not None and bound <= (best.count - 1) * best.period:
                break
            for found in self._stacks(first, last, period):
                if best is None or _saved(found) > _saved(best):
                    best = found
        if best is None:
            return []
        return [*self.within(first, best.start), best, *self.within(best.end, last)]

    def _candidates(self, first: int, last: int) -> list[tuple[int, int]]:
        """(nodes that it would save at most, period) of all periods, the best first."""
        ids = self.ids[first:last]
        found = [
            (int(np.count_nonzero(ids[:-period] == ids[period:])), period)
            for period in range(1, len(ids) // LEAST + 1)
        ]
        return sorted(((bound, p) for bound, p in found if bound >= p), key=lambda i: (-i[0], i[1]))

    def _stacks(self, first: int, last: int, period: int) -> Iterator[Layers]:
        """For each stretch of nodes that go on as those a period before, its best stack."""
        ids = self.ids[first:last]
        same = np.concatenate([[0], (ids[:-period] == ids[period:]).astype(np.int8), [0]])
        edges = np.flatnonzero(np.diff(same))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - begin < period:
                continue
            # Of the starts that give as many layers, those at which the fewest bytes are handed
            # on, and of these the one from which names say that a layer begins: what comes before
            # the layers may look like the end of one (the normalisation of an embedding).
            slack = (end - begin) % period
            starts = range(first + begin, first + begin + slack + 1)
            count = (end - begin) // period + 1
            found = [self._stack(start, period, count) for start in starts]
            stacks = [item for item in found if item is not None]
            if stacks:
                most = max((item.count, -self._bytes(item)) for item in stacks)
                ties = [item for item in stacks if (item.count, -self._bytes(item)) == most]
                yield min(ties, key=self._unlike)

    def _bytes(self, layers: Layers) -> int:
        """What is handed on from one layer to the next."""
        types = [self.types[name] for name, _ in layers.carried]
        return sum(type_.size * type_.dtype.bytes for type_ in types)

    def _unlike(self, layers: Layers) -> tuple[int, int]:
        """How little names go with layers: nodes whose names do not go on, numbers within one.

        The first two and the last two layers are looked at: so layers begin at the same node where
        those in the middle were left out.
        """
        irregular, numbers = 0, set[str]()
        for first in range(layers.start, layers.start + layers.period):
            names = [",".join(n.origin) for n in self.nodes[first : layers.end : layers.period]]
            text = common(names[:LEAST], "layer")
            if text is None or common(names[-LEAST:], "layer") is None:
                irregular += 1
            else:
                numbers.update(PLACE.findall(text))
        return irregular, len(numbers)

    def _stack(self, start: int, period: int, count: int) -> Layers | None:
        """As many layers from a node on as their links allow; None if there is no second."""
        body = self.nodes[start : start + period]
        if not any(isinstance(node.op, Contract) for node in body):
            return None
        links = _Links()
        turns = 1
        while turns < count:
            found = self._follows(start, period, turns, links)
            if found is None:
                break
            links.own |= found
            turns += 1
        # Without weights of their own they are the steps of a recurrence.
        if turns < LEAST or not links.own & self.constants or (turns - 1) * period < SAVED:
            return None
        handed = tuple((name, place) for place, name in links.carried.items())
        own, kept = (
            frozenset(name for name in links.own if (name in self.made) is inside)
            for inside in (False, True)
        )
        return Layers(start, period, turns, handed, own, kept)

    def _follows(self, start: int, period: int, turn: int, links: _Links) -> set[str] | None:
        """Whether layer ``turn`` is to the one before as a layer must be: what both have of their
        own, or None. In layer 1, ``links`` learns what is handed on, and how far apart are the
        nodes of what each layer has from before.
        """
        here = start + turn * period
        own: set[str] = set()
        for place in range(period):
            pairs = zip(
                self.nodes[here - period + place].inputs,
                self.nodes[here + place].inputs,
                strict=True,
            )
            for before, now in pairs:
                made, earlier = self.made.get(now), self.made.get(before)
                if made is None or made < start:
                    # From outside: all have the same, or each its own, from outside the fabric or
                    # from nodes that are as far apart in layer after layer.
                    if now == before:
                        continue
                    if made is not None or earlier is not None:
                        apart = self._apart(before, now)
                        links.apart = apart & (links.apart or apart)
                        if not links.apart:
                            return None
                    own |= {before, now}
                elif earlier is not None and made - earlier == period and earlier >= start:
                    # From this layer or the one before, as there.
                    if made < here - period:
                        return None
                elif turn == 1 and made < here and (earlier is None or earlier < start):
                    # From the first layer; what that one had in its place is where it begins.
                    if links.carried.setdefault(made - start, before) != before:
                        return None
                else:
                    return None
        return own

    def _apart(self, before: str, now: str) -> set[int]:
        """How many nodes there may be from one value to another: none if one is from outside."""
        places = (
            {place for place in (self.made.get(name), self.entries.get(name)) if place is not None}
            for name in (before, now)
        )
        first, second = places
        return {there - here for here in first for there in second}


def _saved(layers: Layers) -> int:
    return (layers.count - 1) * layers.period
