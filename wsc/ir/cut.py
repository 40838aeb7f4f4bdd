"""What a network of a few layers says of a deep one: the turns, and the names in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from wsc.ir.forms import Noted, Weighed
from wsc.ir.graph import Constant, Graph, GraphOutput, Node

BEFORE = 2  # layers that are kept in front of those that are left out, usually

Families = Mapping[str, tuple[str, ...]]
_NAME = re.compile(r"[^\s(),%]+")


class NotAlike(Exception):
    """The layers that are there do not say what those between them are."""


@dataclass(frozen=True, slots=True)
class Cut:
    """``left`` layers that were left out, behind the first ``before`` ones.

    families: the name of a node, a value, a constant or an output of one layer -> those of all
    layers. constants: all of the graph. shown: the names of all its outputs, each with that of one
    like it that is there; empty where none was left out. edge: the families of edge tensors, once
    they have names.
    """

    left: int
    families: Families
    constants: tuple[Constant, ...]
    shown: tuple[tuple[str, str], ...] = ()
    edge: Families = field(default_factory=dict)
    before: int = BEFORE

    @property
    def layers(self) -> int:
        """How many there are in the whole network."""
        return len(next(iter(self.families.values())))

    def with_constants(self, graph: Graph) -> Graph:
        """A graph that was made of the short one, with the constants of the layers left out."""
        there = {constant.name: constant for constant in graph.constants}
        wanted = set(there)
        for name in there:
            wanted.update(self.families.get(name, ()))
        known = {constant.name for constant in self.constants}
        whole = [there.get(c.name, c) for c in self.constants if c.name in wanted]
        return graph.with_(
            constants=(*whole, *(c for name, c in there.items() if name not in known))
        )

    def all_outputs(self, outputs: Sequence[GraphOutput]) -> list[GraphOutput]:
        """The outputs of all layers, where each has some: those left out with the value of one
        that is there, whose type they have."""
        there = {output.name: output for output in outputs}
        if not self.shown:
            return [*outputs]
        return [replace(there[like], name=name) for name, like in self.shown]

    def at_edge(self, names: Mapping[str, str], own: Iterable[str]) -> Cut:
        """The same, with what the edge tensors are called.

        names: edge tensor of each constant and graph input. own: edge tensors that have the names
        of outputs, or of values that leave and come back.
        """
        edge = {
            names[name]: tuple(names[other] for other in self.families[name])
            for name in names
            if all(other in names for other in self.families.get(name, ("",)))
        }
        edge |= {name: self.families[name] for name in own if name in self.families}
        return replace(self, edge=edge)

    def used(self, edge: set[str]) -> set[str]:
        """Edge tensors, with those that the layers left out use in their place."""
        return edge.union(*(self.edge.get(name, ()) for name in edge))

    # --- turns of loops -------------------------------------------------------------

    def turns(self, together: int) -> int:
        """How many turns of a loop the layers left out are. together: layers in one turn.

        Raises:
            NotAlike: they are no whole number of turns.
        """
        if self.left % together:
            raise NotAlike
        return self.left // together

    def all_turns(self, families: Families, texts: Sequence[str], together: int) -> list[str]:
        """The names in all turns of a loop over layers, upwards or downwards.

        families: those of ``families`` or of ``edge``. texts: in the turns of the layers that are
            there; the first and the last ones may be names of nodes that are of no layer, and the
            last one may be the one before it once more. together: layers in one turn.

        Raises:
            NotAlike: they do not follow from these.
        """
        more = self.turns(together)
        family = self._family(families, texts)
        if not family:  # what all layers share
            if len(set(texts)) > 1:
                raise NotAlike
            return [texts[0]] * (len(texts) + more)
        within = [number for number, text in enumerate(texts) if text in family]
        first, last = within[0], within[-1]
        if last > first and texts[last] == texts[last - 1]:
            last = within.pop() - 1
        layers = [family.index(texts[number]) for number in within]
        there = [self._place(layer) for layer in layers]
        step = together if layers[0] < layers[-1] else -together
        found = [*range(layers[0], layers[-1] + step, step)]
        # As many turns as there have to be: those left out are between two of these.
        steady = there == [*range(there[0], there[0] + step * (last - first + 1), step)]
        if not steady or len(found) != last - first + 1 + more:
            raise NotAlike
        return [*texts[:first], *(family[layer] for layer in found), *texts[last + 1 :]]

    def behind(self, turns: Sequence[Sequence[str]]) -> int | None:
        """The turn of a loop between which and the one before the layers were left out.

        turns: the names of the nodes that something in each turn is for, one layer a turn. None if
        these are the same in all turns, or the layers left out are not between any.
        """
        for texts in zip(*turns, strict=False):
            family = self._family(self.families, texts)
            for turn, pair in enumerate(pairwise(texts), 1):
                if all(text in family for text in pair):
                    before, layer = map(family.index, pair)
                    if abs(layer - before) == self.left + 1:
                        return turn
        return None

    @staticmethod
    def _family(families: Families, texts: Sequence[str]) -> tuple[str, ...]:
        """The names of all layers among which some of these are; none if they are no layers'.

        The name of a part of something begins with that of the whole.
        """
        for text in texts if len(set(texts)) > 1 else ():
            known, dot, part = text, ".", ""
            while known not in families and dot:
                known, dot, more = known.rpartition(".")
                part = f".{more}{part}"
            if known in families:
                return tuple(name + part for name in families[known])
        return ()

    def whole(self, place: int) -> int:
        """The number of a layer in the whole network. place: among those that are there."""
        return place if place < self.before else place + self.left

    def _place(self, layer: int) -> int:
        """The place of a layer among those that are there."""
        return layer if layer < self.before else layer - self.left

    # --- names of the layers left out -----------------------------------------------

    def named(self, name: str, further: int) -> str:
        """What a name of a layer that is there is so many layers further on in the whole network.

        Further from the place that it has among those that are there. That of a part of something
        begins with the name of the whole.
        """
        known, dot, part = name, "", ""
        while known not in self.families:
            known, dot, more = known.rpartition(".")
            if not dot:
                return name
            part = f".{more}{part}"
        family = self.families[known]
        return family[self._place(family.index(known)) + further] + part

    def stand(self, name: str) -> str:
        """A name of a layer that was left out -> that of one that is there; others as they are."""
        family = self.families.get(name, ())
        out = name in family[self.before : self.before + self.left]
        return family[self.before - 1] if out else name

    def times(self, node: Node) -> int:
        """How many nodes of the whole network one of those that are there stands for."""
        return 1 + self.left if self._layer(node) == self.before - 1 else 1

    def all_noted(self, noted: Mapping[str, Noted], graph: Graph) -> tuple[Noted, ...]:
        """How nodes got their forms: those of the layers left out, and of the two around them, as
        the layer before them. What those two hand on to each other is between all of these.

        noted: by the value that the node gives.
        """
        found: list[Noted] = []
        for node in graph.nodes:
            layer = self._layer(node)
            if node.output not in noted or layer == self.before + self.left:
                continue
            found.append(noted[node.output])
            if layer == self.before - 1:
                found[-1:] = [_Elsewhere(noted[node.output], self, n) for n in range(self.left + 2)]
        return tuple(found)

    def _layer(self, node: Node) -> int | None:
        """The layer that a node is of; None if it is of none."""
        for name in (*node.origin, node.output):
            if name in self.families:
                return self.families[name].index(name)
        return None


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """How a node got its form, of a layer further on than the one that went through the passes."""

    note: Noted
    cut: Cut
    further: int

    def __call__(self) -> Weighed:
        """What is known of the node in this layer."""
        made = self.note()
        return replace(
            made,
            nodes=tuple(map(self._named, made.nodes)),
            value=self._named(made.value),
            text=_NAME.sub(lambda match: self._named(match[0]), made.text),
        )

    def _named(self, name: str) -> str:
        return self.cut.named(name, self.further)
