"""What a network of a few layers says of a deep one: the turns, and the names in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wsc.ir.forms import Noted, Weighed
from wsc.ir.graph import Constant, Graph, Node

BEFORE = 2  # layers that are kept before those that are left out

Families = Mapping[str, tuple[str, ...]]
_NAME = re.compile(r"[^\s(),%]+")


class NotAlike(Exception):
    """The layers that are there do not say what those between them are."""


@dataclass(frozen=True, slots=True)
class Cut:
    """``left`` layers that were left out, behind the first ``BEFORE`` ones.

    families: the name of a node, a value or a constant of one layer -> those of all layers.
    constants: all of the graph. edge: the same of edge tensors, once they have names.
    """

    left: int
    families: Families
    constants: tuple[Constant, ...]
    edge: Families = field(default_factory=dict)

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

    def at_edge(self, names: Mapping[str, str]) -> Cut:
        """The same, with what the edge tensors are called.

        names: edge tensor of each constant and graph input.
        """
        edge = {
            names[name]: tuple(names[other] for other in self.families[name])
            for name in names
            if name in self.families
        }
        return replace(self, edge=edge)

    def used(self, edge: set[str]) -> set[str]:
        """Edge tensors, with those that the layers left out use in their place."""
        return edge.union(*(self.edge.get(name, ()) for name in edge))

    def turns(self, together: int) -> int:
        """How many turns of a loop the layers left out are. together: layers in one turn.

        Raises:
            NotAlike: they are no whole number of turns.
        """
        if self.left % together:
            raise NotAlike
        return self.left // together

    def all_turns(
        self, families: Families, texts: Sequence[str], begin: int, layer: int, together: int
    ) -> list[str]:
        """The names in all turns of a loop over layers.

        families: those of ``families`` or of ``edge``. texts: in the turns of the layers that are
            there. begin: the layer with which the loop begins. layer: which one of a turn has
            these names. together: layers in one turn.

        Raises:
            NotAlike: they do not follow from these.
        """
        count = len(texts) + self.turns(together)
        if begin > BEFORE or (BEFORE - begin) % together:
            raise NotAlike
        if texts[0] not in families:  # what all layers share
            if len(set(texts)) > 1:
                raise NotAlike
            return [texts[0]] * count
        family = families[texts[0]]
        found = family[begin + layer :: together][:count]
        there = [self._place(begin + turn * together + layer) for turn in range(len(texts))]
        if len(found) < count or [family[place] for place in there] != [*texts]:
            raise NotAlike
        return [*found]

    def _place(self, layer: int) -> int:
        """The number in the whole network of a layer that is there."""
        return layer if layer < BEFORE else layer + self.left

    def all_noted(self, noted: Mapping[str, Noted], graph: Graph) -> tuple[Noted, ...]:
        """How nodes got their forms: those of the layers left out as the one before them, and so
        those of the layer behind these, which has taken over what that one hands on.

        noted: by the value that the node gives.
        """
        found: list[Noted] = []
        for node in graph.nodes:
            layer = self._layer(node)
            if node.output in noted and layer != BEFORE + self.left:
                found.append(noted[node.output])
            if node.output in noted and layer == BEFORE - 1:
                layers = range(BEFORE, BEFORE + self.left + 1)
                found += [_Elsewhere(noted[node.output], self.families, n) for n in layers]
        return tuple(found)

    def _layer(self, node: Node) -> int | None:
        """The layer that a node is of; None if it is of none."""
        for name in (*node.origin, node.output):
            if name in self.families:
                return self.families[name].index(name)
        return None


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """How a node got its form, of another layer than the one that went through the passes."""

    note: Noted
    families: Families
    layer: int

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
        """The name in this layer; that of a part of something begins with that of the whole."""
        known, dot, part = name, "", ""
        while known not in self.families:
            known, dot, more = known.rpartition(".")
            if not dot:
                return name
            part = f".{more}{part}"
        family = self.families[known]  # of the layer itself, or of the one before it
        return family[family.index(known) + self.layer - (BEFORE - 1)] + part
