"""Kinds of traffic for random programs. Each claims its routes, and returns its pieces in order.

A piece is a function that appends the instructions of all tiles that take part in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from tests.runtime.plan import (
    BYTES,
    CONSTANTS,
    OPPOSITE,
    ROWS,
    UNITS,
    WIDE,
    Plan,
    Position,
    Spot,
    Tile,
    side_of,
)

Piece = Callable[[], None]


def cut(rng: random.Random, count: int, most: int) -> list[int]:
    """Some parts that make up a count."""
    parts = [1] * rng.randint(1, min(most, count))
    for _ in range(count - len(parts)):
        parts[rng.randrange(len(parts))] += 1
    return parts


def _factors(rng: random.Random, count: int) -> tuple[int, int]:
    return rng.choice([(n, count // n) for n in range(1, count + 1) if count % n == 0])


def produce(plan: Plan, tile: Tile, color: str, count: int, dtype: str) -> None:
    """The tile sends ``count`` wavelets, in one of the ways in which an instruction can."""
    rng, thread = plan.rng, tile.thread(color, "out")
    outer, inner = _factors(rng, count)
    step, base = BYTES[dtype], CONSTANTS[dtype]
    literal = "{x*3 + y}" if dtype == "i32" else "1.625"
    if inner > 32:
        outer, inner = count, 1
    ways = [
        f"mov.{dtype} <{color}>, [{base} + {step}*i] for j:{outer}, i:{inner}",
        f"mov.{dtype} <{color}>, {literal} for i:{count}",
        f"mov.{dtype} <{color}>, {{{rng.randint(1, 9)}}} for i:{count}",
        f"add.{dtype} <{color}>, [{base} + {step}*i], [{base}] for j:{outer}, i:{inner}",
        f"mov.{dtype} <{color}: k>, [{base} + {step}*i] for k:{count}, i:{rng.randint(1, 9)}",
    ]
    if thread == 0:
        ways += [
            f"mul.{dtype} <{color}>, [{base} + {step}*i], {literal} for j:{outer}, i:{inner}",
            f"loop q: {outer}\n mov.{dtype} <{color}>, [{base} + {step}*i] for i:{inner}\nend",
            f"loop q: {count}\n mov.{dtype} <{color}>, {{q}}\nend",
        ]
        if dtype != "i32":
            ways.append(f"recip.{dtype} <{color}>, {literal} for i:{count}")
    tile.issue(thread, rng.choice(ways))


def consume(plan: Plan, tile: Tile, color: str, count: int, dtype: str) -> None:
    """The tile takes ``count`` wavelets, in one or more of the ways in which it can."""
    rng, thread, step = plan.rng, tile.thread(color, "in"), BYTES[dtype]
    for part in cut(rng, count, rng.choice((1, 1, 2, 3))):
        outer, inner = _factors(rng, part)
        wide = rng.choice((1, 3, 8, 20))
        at = tile.take(step * max(part, wide))
        held = f"[{at} + {step}*i]"
        ways = [
            f"mov.{dtype} {held}, <{color}> for i:{part}",
            f"mov.{dtype} [{at} + {step * inner}*j + {step}*i], <{color}> for j:{outer}, i:{inner}",
            f"add.{dtype} [{at}], [{at}], <{color}> for i:{part}",
            f"add.{dtype} {held}, {held}, <{color}: k> for k:{part}, i:{wide}",
            f"max.{dtype} {held}, {held}, <{color}> for i:{part}",
        ]
        if thread == 0:
            ways += [
                f"loop q: {outer}\n mov.{dtype} {held}, <{color}> for i:{inner}\nend",
                f"loop q: {part}\n i.mul o, q, {step}\n mov.{dtype} [{at} + o], <{color}>\nend",
                _called(plan, color, dtype, at, part),
            ]
        if thread == 0 and dtype != "i32":
            near = tile.take(4 * wide)
            source = f"[{CONSTANTS[dtype]} + {step}*i]"
            sums = f"fmac.{dtype} [{near} + 4*i], {source}, <{color}: k>"
            ways.append(f"{sums} for k:{part}, i:{wide}")
            ways.append(f"exp.{dtype} {held}, <{color}> for i:{part}")
        tile.issue(thread, rng.choice(ways), at)


def _called(plan: Plan, color: str, dtype: str, at: int, count: int) -> str:
    """A call of a procedure that takes wavelets of one color."""
    name = f"take_{color}_{dtype}"
    plan.procedures[name] = (
        f"proc {name}(at, count)\n  mov.{dtype} [at + {BYTES[dtype]}*i], <{color}> for i:count\nend"
    )
    return f"call {name}(at = {at}, count = {count})"


# --- streams ---------------------------------------------------------------------------


def cast(plan: Plan) -> list[Piece]:
    """From a core or a port to cores and ports, over a tree."""
    rng, color, dtype = plan.rng, plan.color(), plan.rng.choice(tuple(BYTES))
    root, receive = (plan.spot(), "RAMP") if rng.random() < 0.6 else plan.boundary()
    leaves = [(plan.spot(), "RAMP") for _ in range(rng.choice((1, 1, 2, 3, 6)))]
    leaves = [leaf for leaf in leaves if leaf != (root, "RAMP") or receive != "RAMP"]
    if rng.random() < 0.35:
        leaves.append(plan.boundary())
    kept = plan.tree(color, root, receive, leaves)
    if not kept:
        return []
    count = rng.choice((1, 3, 8, 16, 24, 40, 64, 90))
    for at, side in kept:
        if side != "RAMP":
            plan.drain(color, at, side, count, dtype)
    if receive != "RAMP":
        for part in cut(rng, count, 2):
            plan.feed(color, root, receive, part, dtype)

    def piece(part: int) -> Piece:
        def emit() -> None:
            if receive == "RAMP":
                produce(plan, plan.tiles[root], color, part, dtype)
            for at, side in kept:
                if side == "RAMP":
                    consume(plan, plan.tiles[at], color, part, dtype)

        return emit

    return [piece(part) for part in cut(rng, count, 3)]


def through(plan: Plan) -> list[Piece]:
    """From a port to the one across, along the crowded row or column, and past all cores."""
    rng, color, dtype = plan.rng, plan.color(), plan.rng.choice(tuple(BYTES))
    x, y = plan.crowded
    start, end = rng.choice(("NS", "SN", "WE", "EW"))
    ports = {"N": (x, 0), "S": (x, plan.height - 1), "W": (0, y), "E": (plan.width - 1, y)}
    if not plan.tree(color, ports[start], start, [(ports[end], end)]):
        return []
    count = rng.choice((5, 30, 100))
    plan.feed(color, ports[start], start, count, dtype)
    plan.drain(color, ports[end], end, count, dtype)
    return []


def chain(plan: Plan) -> list[Piece]:
    """Partial sums along a line of tiles, two colors in turn."""
    rng, line, dtype = plan.rng, plan.line(), plan.rng.choice(tuple(BYTES))
    colors = plan.color(), plan.color()
    if colors[0] == colors[1] or not line or not all(plan.free(c, line) for c in colors):
        return []
    for number, (here, there) in enumerate(pairwise(line)):
        color, side = colors[number % 2], side_of(here, there)
        if not (
            plan.claim(color, here, [("RAMP", side)])
            and plan.claim(color, there, [(OPPOSITE[side], "RAMP")])
        ):
            line = line[: number + 1]
            for at in (here, there):
                plan.routes.pop((at, color), None)
            break
    if len(line) < 2:
        return []
    count, base, step = rng.choice((1, 4, 12, 30)), CONSTANTS[dtype], BYTES[dtype]

    def emit() -> None:
        produce(plan, plan.tiles[line[0]], colors[0], count, dtype)
        for number, at in enumerate(line[1:-1], 1):
            into, out = colors[(number - 1) % 2], colors[number % 2]
            tile = plan.tiles[at]
            thread = tile.thread(into, "in")
            tile.threads[out, "out"] = thread
            operand = f"[{base} + {step}*i]"
            tile.issue(thread, f"add.{dtype} <{out}>, <{into}>, {operand} for i:{count}")
        consume(plan, plan.tiles[line[-1]], colors[len(line) % 2], count, dtype)

    return [emit]


# --- switches --------------------------------------------------------------------------


def deal(plan: Plan) -> list[Piece]:
    """Blocks along a line; ADVANCE behind each moves a switch, RESET puts all back."""
    rng, color, dtype = plan.rng, plan.color(), plan.rng.choice(tuple(BYTES))
    line = plan.line()
    at, side = plan.boundary()
    if rng.random() < 0.6 or not line:
        line = plan.path(at, plan.spot())
    edge = line[0] == at
    switches = _switches(plan, color, line, side if edge else "RAMP")
    if not switches:
        return []
    count, blocks = rng.choice((1, 2, 5, 9)), rng.randint(1, len(line) + 1)
    rounds = rng.choice((1, 2))
    items = (["data"] * count + ["advance"]) * blocks + ["reset"]
    got = dealt(switches, items * rounds)
    if edge:
        for _ in range(rounds):
            rest = f"repeat r:{blocks}|then advance final reset"
            plan.feed(color, line[0], side, count, dtype, rest)

    def emit() -> None:
        first = plan.tiles[line[0]]
        if not edge:
            first.threads[color, "out"] = 0
        for _ in range(0 if edge else rounds):
            for _ in range(blocks):
                produce(plan, first, color, count, dtype)
                first.issue(0, f"control advance <{color}>")
            first.issue(0, f"control reset <{color}>")
        for here, taken in zip(line, got, strict=True):
            if taken:
                consume(plan, plan.tiles[here], color, taken, dtype)

    return [emit]


def _switches(plan: Plan, color: str, line: list[Spot], came: str) -> list[list[Position]]:
    """Claimed routes of one to three positions along a line, which the first tile gets ``came``."""
    if not plan.free(color, line):
        return []
    switches: list[list[Position]] = []
    for number, here in enumerate(line):
        on = side_of(here, line[number + 1]) if number + 1 < len(line) else ""
        core = "" if came == "RAMP" else "RAMP"
        both = ", ".join(name for name in (core, on) if name)
        forms = [[core, on], [both, on], [core, both, on], [on, core]]
        chosen = plan.rng.choice([f for f in forms if all(f)] or [[core or on]])
        switches.append([(came, send) for send in chosen])
        came = OPPOSITE[on] if on else ""
    for here, positions in zip(line, switches, strict=True):
        if not plan.claim(color, here, positions):
            for other in line:
                plan.routes.pop((other, color), None)
            return []
    return switches


def dealt(switches: list[list[Position]], items: list[str]) -> list[int]:
    """How many wavelets each core of a line gets."""
    place, got = [0] * len(switches), [0] * len(switches)
    for item in items:
        for number, positions in enumerate(switches):
            if item == "advance" and place[number] + 1 < len(positions):
                place[number] += 1
                break
            sends = positions[place[number]][1].split(", ")
            got[number] += item == "data" and "RAMP" in sends
            if item == "reset":
                place[number] = 0
            if all(side == "RAMP" for side in sends):
                break
    return got


def gather(plan: Plan) -> list[Piece]:
    """One core after the other sends along a line that ends at a port or a core."""
    rng, color, dtype, line = plan.rng, plan.color(), plan.rng.choice(tuple(BYTES)), plan.line()
    count = rng.choice((1, 2, 7, 13))
    if not line or not plan.free(color, line):
        return []
    ends = plan.edges(line[0])
    rng.shuffle(ends)
    if not collected(plan, color, line, ends[0] if ends else "RAMP"):
        return []
    senders = line if ends else line[1:]
    if ends:
        plan.drain(color, line[0], ends[0], count * len(line), dtype)

    def emit() -> None:
        for number, at in enumerate(senders):
            tile = plan.tiles[at]
            tile.threads[color, "out"] = 0
            produce(plan, tile, color, count, dtype)
            if number + 1 < len(senders):
                tile.issue(0, f"control advance <{color}>")
        if not ends:
            consume(plan, plan.tiles[line[0]], color, count * len(senders), dtype)

    return [emit]


def collected(plan: Plan, color: str, line: list[Spot], end: str) -> bool:
    """Routes that take first a core's wavelets and then those from beyond it."""
    out = end
    for number, here in enumerate(line):
        beyond = side_of(here, line[number + 1]) if number + 1 < len(line) else ""
        positions = [("RAMP", out), (beyond, out)] if beyond else [("RAMP", out)]
        if number == 0 and end == "RAMP":
            positions = [(beyond, out)]
        if not plan.claim(color, here, positions):
            for other in line:
                plan.routes.pop((other, color), None)
            return False
        out = OPPOSITE[beyond] if beyond else ""
    return True


# --- the store and the other network ---------------------------------------------------


def lookup(plan: Plan) -> list[Piece]:
    """A core asks a port for rows of a table; another port serves them."""
    rng, ask, get = plan.rng, plan.color(), plan.color()
    asker, (port_at, port_side) = plan.spot(), plan.boundary()
    served_at, served_side = plan.boundary()
    taker = plan.spot()
    name, x, y = plan.region(served_at)
    if ask == get or plan.region(port_at)[0] != name:
        return []
    before = dict(plan.routes)
    if not plan.tree(ask, asker, "RAMP", [(port_at, port_side)]):
        return []
    if not plan.tree(get, served_at, served_side, [(taker, "RAMP")]):
        plan.routes = before
        return []
    rows, wide = rng.randint(1, 6), rng.choice((1, 4, WIDE))
    _, px, py = plan.region(port_at)
    place = px if port_side in "NS" else py
    plan.transfers.append(
        f"feed {get} in {name} side {served_side} when (x == {x})*(y == {y}) "
        f"from table[row*{WIDE} + k] lookup row:{rows} by {ask} side {port_side} port {place} "
        f"for k:{wide}"
    )

    def emit() -> None:
        tile = plan.tiles[asker]
        row = rng.randrange(ROWS) if rng.random() < 0.97 else ROWS
        text = f"mov.i32 <{ask}>, {{{row}}} for i:{rows}"
        tile.issue(tile.thread(ask, "out"), text)
        consume(plan, plan.tiles[taker], get, rows * wide, "f32")

    return [emit]


def messages(plan: Plan) -> list[Piece]:
    """Remote stores from one or several tiles to one, which waits for their count."""
    rng, dtype = plan.rng, plan.rng.choice(tuple(BYTES))
    target = plan.spot()
    name, x, y = plan.region(target)
    spots = [at for at in plan.tiles if plan.region(at)[0] == name]
    senders = rng.sample(spots, min(len(spots), rng.choice((1, 1, 2, 4, 8))))
    tile, semaphores = plan.tiles[target], rng.choice((1, 1, 2))
    if tile.semaphore + semaphores > plan.fabric.semaphores:
        return []
    first, tile.semaphore = tile.semaphore, tile.semaphore + semaphores
    shares = [(at, rng.choice((1, 2, 4)), rng.choice((1, 3, 10))) for at in senders]

    def emit() -> None:
        due, step, base = [0] * semaphores, BYTES[dtype], CONSTANTS[dtype]
        for at, outer, inner in shares:
            which, there = rng.randrange(semaphores), tile.take(step * outer * inner)
            due[which] += outer * inner
            tile.results.append(there)
            sender, units = plan.tiles[at], min(plan.fabric.stream_units, UNITS)
            thread = rng.randint(1, units) if units and rng.random() < 0.5 else 0
            sender.issue(
                thread,
                (
                    f"send.{dtype} ({x}, {y}) s{first + which}: "
                    f"[{there} + {step * inner}*j + {step}*i], [{base} + {step}*i] "
                    f"for j:{outer}, i:{inner}"
                ),
            )
        waits = [
            f"wait s{first + which}, {part}"
            for which, count in enumerate(due)
            if count
            for part in cut(rng, count, rng.choice((1, 1, 3)))
        ]
        (tile.late if rng.random() < 0.4 else tile.lines).extend(waits)

    return [emit]


def work(plan: Plan) -> list[Piece]:
    """A tile is busy on its own for a while."""
    rng, tile = plan.rng, plan.tiles[plan.spot()]
    at, n = tile.take(32), rng.randint(1, 12)
    ways = (
        f"i.set a, 0\nloop q: {n}\n i.add a, a, q\n if a > {n}\n  i.mul a, a, 2\n end\nend",
        f"mul.f32 [{at} + 4*i], [4*i], 2.5 for i:8",
        f"exp.f32 [{at} + 4*i], [4*i] for i:{min(n, 8)}",
        f"loop q: {n}\n mov.f32 [{at}], {{q}}\n i.load b, [{at}]\nend",
        f"i.mod a, {n}, 5\nif a < 3\n i.store [{at}], a\nelse\n add.f32 [{at}], [{at}], 1.0\nend",
        f"mov.f32 [{at}], 0.5 for i:0",
    )

    def emit() -> None:
        tile.issue(0, rng.choice(ways), at)

    return [emit]


KINDS: tuple[Callable[[Plan], list[Piece]], ...] = (
    *(cast,) * 6,
    *(through,) * 2,
    *(chain,) * 2,
    *(deal,) * 2,
    gather,
    lookup,
    *(messages,) * 3,
    work,
)
