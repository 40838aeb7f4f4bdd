"""Messages on the dynamic network one by one: who holds which link from when to when.

A message holds each output on its way from the cycle in which its header passes to the one in
which its last wavelet does. Behind a header that waits, its wavelets fill the buffers
on the way and hold the links there; messages behind it in a buffer wait too. Of the headers that
want an output in the cycle in which it is free, the next one round robin gets it. So a message
takes a few steps for each router, whatever its length.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

RAMP = 4
ASKS = -1  # an event: a header asks for its output; stages from 0 on are left; below, the
# output that leads to stage ASKS - event is to be looked at again


@dataclass(slots=True)
class Message:
    """One message. way: outputs in order, the core's at the end. need: when the last wavelet
    will have passed each, as far as known. stage: the output that its header goes for."""

    sender: int
    way: list[int]
    wavelets: int
    need: list[float] = field(default_factory=list)
    stage: int = 0
    released: int = 0
    pushed: float = 0.0


class Mesh:
    """The routers of a width x height mesh while messages pass.

    depth: wavelets of an input buffer. hop: cycles from a router to the next one, less than one
    where a message stands for several.
    """

    def __init__(self, width: int, height: int, depth: int, hop: float = 1.0) -> None:
        self.width, self.depth, self.hop = width, depth, hop
        outputs = width * height * 5
        self.held = [False] * outputs
        self.served = [-1] * outputs
        self.waiting: list[deque[Message] | None] = [None] * outputs
        self.still = [0] * outputs  # wavelets of messages behind an output that wait for the next
        # Messages in the input buffer behind each output; those of cores stand alone.
        self.buffered: list[deque[tuple[float, Message]] | None] = [None] * outputs
        self.events: list[tuple[float, bool, int, int, Message]] = []
        self.count = 0
        self.arrived = [-1.0] * (width * height)
        self.ways: dict[tuple[int, int], list[int]] = {}

    def way(self, source: int, target: int) -> list[int]:
        """The outputs that a message passes: along x, along y, to the core."""
        known = self.ways.get((source, target))
        if known is not None:
            return known
        width = self.width
        (y, x), (to_y, to_x) = divmod(source, width), divmod(target, width)
        made: list[int] = []
        while x != to_x:
            step = 1 if to_x > x else -1
            made.append((y * width + x) * 5 + (1 if step > 0 else 3))
            x += step
        while y != to_y:
            step = 1 if to_y > y else -1
            made.append((y * width + x) * 5 + (2 if step > 0 else 0))
            y += step
        made.append(target * 5 + RAMP)
        self.ways[source, target] = made
        return made

    def request(self, message: Message, time: float) -> None:
        """The header is at the head of its buffer from ``time`` on."""
        self._push(time, ASKS, message)

    def _push(self, time: float, what: int, message: Message) -> None:
        # Who asks in a cycle, and what is left in it, comes before who is served in it.
        self.count += 1
        heapq.heappush(self.events, (time, what < ASKS, self.count, what, message))

    def run(self, sent: Callable[[Message, float], None]) -> None:
        """Until all is quiet. sent: called when the core knows the cycle of its last wavelet."""
        while self.events:
            time, _, _, left, message = heapq.heappop(self.events)
            if left >= 0:
                self._release(message, left, time)
            elif left == ASKS:
                output = message.way[message.stage]
                queue = self.waiting[output]
                if queue is None:
                    queue = self.waiting[output] = deque()
                queue.append(message)
                self._push(time, ASKS - 1 - message.stage, message)
            else:
                self._serve(message.way[ASKS - left - 1], time, sent)

    def _serve(self, output: int, time: float, sent: Callable[[Message, float], None]) -> None:
        """Let the next header that waits for an output pass, if the buffer behind has room."""
        queue = self.waiting[output]
        if self.held[output] or not queue:
            return
        still, last = self.still[output], self.served[output]
        message = min(queue, key=lambda m: (_input(m) - last - 1) % 5)  # round robin
        if still and still + min(message.wavelets, self.depth) > self.depth:
            return
        queue.remove(message)
        self.served[output] = _input(message)
        self._grant(message, output, time, sent)

    def _grant(
        self, message: Message, output: int, time: float, sent: Callable[[Message, float], None]
    ) -> None:
        self.held[output] = True
        if message.stage:  # it begins to leave the buffer before, where others may follow
            before = message.way[message.stage - 1]
            self.still[before] -= message.wavelets
            if self.waiting[before]:
                self._push(time + 1, ASKS - message.stage, message)
        stage, more, depth = message.stage, message.wavelets - 1, self.depth
        need = message.need
        need.append(time + more)
        last = stage == len(message.way) - 1
        for before in range(message.released, stage):
            bound = time + more - (depth - 1) * (stage - before)  # room is seen a cycle later
            if bound > need[before]:
                need[before] = bound
        while message.released <= stage:
            before = message.released
            if not last and depth * (stage + 1 - before) <= more:
                break
            self._push(need[before] + 1, before, message)
            message.released += 1
            if before == 0:
                sent(message, need[0])
        if last:
            tile = output // 5
            self.arrived[tile] = max(self.arrived[tile], time + more)
            return
        message.stage += 1
        queue = self.buffered[output]
        if queue is None:
            queue = self.buffered[output] = deque()
        queue.append((time + self.hop, message))
        self.still[output] += message.wavelets
        if len(queue) == 1:
            self.request(message, time + self.hop)

    def _release(self, message: Message, stage: int, time: float) -> None:
        """The last wavelet has passed an output: free it, and the buffer before it."""
        self.held[message.way[stage]] = False
        self._push(time, ASKS - 1 - stage, message)
        if stage:
            buffer = self.buffered[message.way[stage - 1]]
            assert buffer is not None
            buffer.popleft()
            if buffer:
                came, following = buffer[0]
                self.request(following, max(came, time))


def _input(message: Message) -> int:
    """The side from which the message's header comes."""
    return (message.way[message.stage - 1] % 5 + 2) % 4 if message.stage else RAMP
