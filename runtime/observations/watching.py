"""Looks at a run while it goes on: counts of windows of cycles, and the network by cycle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wsc.runtime.counters import Counters
from wsc.runtime.image import Image
from wsc.runtime.observations.records import NEVER, Network, Observations
from wsc.runtime.runs import Options

MOST_STRETCHES = 1_000_000  # of wavelets that follow each other over a link


class Watch:
    """Stops a run in the cycles in which it is to be looked at, and keeps what is seen.

    A look in cycle ``c`` shows what the machine is when ``c`` begins.
    """

    def __init__(self, image: Image, seen: Observations, options: Options) -> None:
        self._image, self._seen, self._windows = image, seen, options.windows
        self._edges = sorted({cycle for window in options.windows for cycle in window})
        self._counted: dict[int, Counters] = {}
        request = options.trace
        self._network = None
        if request is not None and request.network:
            until = NEVER if request.cycles is None else request.first + request.cycles
            self._network = _NetworkWatch(image, seen, request.first, until)

    def next(self) -> int:
        """The cycle of the next look."""
        edge = next((cycle for cycle in self._edges if cycle not in self._counted), NEVER)
        return edge if self._network is None else min(edge, self._network.next)

    def look(self, cycle: int, collect: Callable[[int], Counters]) -> None:
        """See what there is in a cycle in which the run stands. collect: counts until then."""
        if cycle in self._edges:
            self._counted[cycle] = collect(cycle)
        if self._network is not None and cycle == self._network.next:
            self._network.look(cycle)

    def end(self, cycle: int, counters: Counters) -> None:
        """The run is over: what it still had to be looked at for is as it is now."""
        for edge in self._edges:
            self._counted.setdefault(edge, counters)
        if self._network is not None and self._network.next <= cycle:
            self._network.look(cycle)

    def windows(self) -> tuple[Counters, ...]:
        """What was counted in each window; nothing in one that the run did not come to."""
        return tuple(self._counted[end].since(self._counted[begin]) for begin, end in self._windows)

    def network(self) -> Network | None:
        """What routers and semaphores did, if that was asked for."""
        return None if self._network is None else self._network.made()


class _NetworkWatch:
    """Compares the network with what it was in the cycle before."""

    def __init__(self, image: Image, seen: Observations, first: int, until: int) -> None:
        self.next, self._first, self._until = first, first, until
        self._seen = seen
        slots = int(image.routes.slot_first[-1])
        self._switched = np.nonzero(seen.slots.positions[:slots] > 1)[0]
        self._count = image.fabric.semaphores
        self._wavelets = _Stretches(lambda: seen.moves[:slots])
        self._messages = _Stretches(lambda: seen.dynamic_links)
        self._positions = np.full(len(self._switched), -1)
        self._values = np.zeros(image.tiles * self._count, np.int64)
        self._switches: list[np.ndarray] = []
        self._semaphores: list[np.ndarray] = []

    def look(self, cycle: int) -> None:
        """Note what is not as it was."""
        self._wavelets.look(cycle)
        self._messages.look(cycle)
        positions = self._seen.slots.position[self._switched]
        turned = np.nonzero(positions != self._positions)[0]
        if len(turned):
            rows = np.full(len(turned), cycle), self._switched[turned], positions[turned]
            self._switches.append(np.stack(rows, axis=1))
            self._positions = positions.copy()
        values = self._seen.semaphores["value"] + self._seen.semaphores["added"]
        other = np.nonzero(values != self._values)[0]
        if len(other):
            tiles, numbers = np.divmod(other, self._count)
            rows = np.full(len(other), cycle), tiles, numbers, values[other]
            self._semaphores.append(np.stack(rows, axis=1))
            self._values = values
        self.next = cycle + 1 if cycle < self._until else NEVER

    def made(self) -> Network:
        """All that was noted."""
        full = [part.full for part in (self._wavelets, self._messages) if part.full is not None]
        return Network(
            self._wavelets.made(),
            self._messages.made(),
            _joined(self._switches, 3),
            _joined(self._semaphores, 4),
            min(full, default=None),
        )


class _Stretches:
    """Cycles in which counters rise, one after the other without a gap, as one entry.

    full: the first cycle from which on there was no room.
    """

    def __init__(self, counts: Callable[[], np.ndarray]) -> None:
        self._counts = counts
        self._before: np.ndarray | None = None
        self._since = np.zeros(0, np.int64)  # of each counter, if it rises; else -1
        self._kept: list[np.ndarray] = []
        self._room = MOST_STRETCHES
        self._last = 0
        self.full: int | None = None

    def look(self, cycle: int) -> None:
        """Note which counters rose in the cycle before this one."""
        now = self._counts().reshape(-1).copy()
        if self._before is None:
            self._since = np.full(len(now), -1)
        elif self.full is None:
            rises = now > self._before
            self._close(np.nonzero((self._since >= 0) & ~rises)[0], cycle - 1)
            begun = rises & (self._since < 0)
            self._since[begun] = cycle - 1
        self._before, self._last = now, cycle

    def made(self) -> np.ndarray:
        """Begin, length, and row and column of the counter."""
        if self.full is None:
            self._close(np.nonzero(self._since >= 0)[0], self._last)
        made = _joined(self._kept, 4)
        return made[np.argsort(made[:, 0], kind="stable")]

    def _close(self, which: np.ndarray, end: int) -> None:
        """The counters do not rise any more."""
        if len(which) > self._room:
            self.full = end
            return
        columns = self._counts().shape[-1]
        begun = self._since[which]
        self._kept.append(np.stack([begun, end - begun, *np.divmod(which, columns)], axis=1))
        self._since[which] = -1
        self._room -= len(which)


def _joined(parts: list[np.ndarray], columns: int) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, columns), np.int64)
