"""The page and the plot of collectives: ``docs/collectives.md``, ``docs/collectives.svg``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.collectives import CYCLES, PART, Cell, agrees
from benchmarks.plot import Panel, Series, figure
from benchmarks.report import markdown_table

DOCS = Path(__file__).parent.parent / "docs"
TITLES = {
    "broadcast": "Broadcast",
    "broadcast_2d": "Broadcast over a rectangle",
    "chain": "Chain reduce",
    "tree": "Binary-tree reduce",
    "two_phase": "Two-phase reduce",
    "star": "Star reduce",
    "ring": "Ring all-reduce",
}

HEAD = """\
# Collectives

Seven collectives, simulated and by formula. Each exists twice: as a hand-written program
that is meant to be read ([collectives/](collectives)), and as a kernel that the compiler emits
(`wsc/kernels/collectives/`; `compile_collective` in its `program.py` makes a program of one).
The published formulas, with their source, are in `benchmarks/formulas.py`; the flow of each
collective, in `wsc/flows/collectives/`, has its paths and the machine's formula.

P tiles, B words of f32, T = 2 cycles of ramp latency, fabric `wse2`. The clock runs from the
first word that a core sends until the last result is in SRAM; the input is in all tiles by then.
Every run is verified, and its values compared with NumPy's. A difference is that of
the program or of the kernel, whichever is further off.

{command}

![Cycles of collectives](collectives.svg)
"""

NOTES = {
    "broadcast": """\
`B + P + 2 T`. The routers copy; no core is in the way. Program and formula agree to the
cycle.""",
    "broadcast_2d": """\
`B + M + N - 2 + 2 T + 1` on M x N tiles: 2x2, 4x2, 4x4, 8x4, ..., 32x16. The corner is M + N - 2
hops away.""",
    "chain": """\
`B + (2 T + 2)(P - 1)`. One instruction in each tile receives, adds and sends, a word a cycle. A
neighbour sees a word 2 T + 2 cycles after it was sent.""",
    "tree": """\
Published: `max(B log2 P, B P log2 P / (2 (P - 1)) + P - 1) + (2 T + 1) log2 P`: the larger of
what tile 0 must take and of distance and links, and a passage through a core for each round.
The program comes near it because a tile that sends passes its last sums on as they come: all
rounds of a long vector are under way at once.

The machine's formula adds up tile 0's rounds j = 0, 1, ...; round 0 begins after 2 T + 2 cycles,
and each other one `max(B + gap, 2 T + 1 + 2^j)` after the one before it, where the published
one takes the larger of two sums. The gap:

- Rounds 0 and 1 share a color. The control wavelet that lets round 1 pass follows after the
  start-up of the instruction that sends it, and takes a cycle to act. (In later rounds that
  share a color, words that wait in the buffers hide it.)
- Rounds 2, 4, ... have a color of their own: an instruction must start. And their first words
  come early. They fill four slots in each router on the way and the queue at the ramp, and for
  that they take turns on links from the round before: in the order of 4 * 2^(j-1) cycles,
  once. That is the price for passing on what comes, and largest where a vector is about as long
  as the way.
- A ramp's queues hold 6, 6, 4, 4, 2, ... words, and a word takes a slot for T + 1 cycles. With
  512 tiles tile 0 receives five colors; the fifth, in a queue of two, passes two words in three
  cycles.

The start-ups, distances and queues are counts. How many turns the early words take is an
approximation (those that fill the buffers, less those with which the round before has
filled them): it is what remains of the differences.""",
    "two_phase": """\
Published, for groups of sqrt P:
`max(2 B, 2 B - 2 B / sqrt P + P - 1) + (2 T + 1)(2 sqrt P - 2)`. The groups here are the divisor
of P that is nearest to the square root: 2, 2, 4, 4, 8, 8, 16, 16.

The machine's formula, for groups of S, is `(2 T + 2)(S - 1) + (2 T + 1 + S)(P / S - 1)`, a chain
within the group and one over the leaders, and

- `2 B + 5` for long vectors: each leader takes one vector after the other, with 5 cycles of
  guards and start-up between. The published formula takes the larger of contention (2 B) and
  distance (P - 1); here a leader meets both, for it sends nothing before its second vector
  comes. So they differ most where 2 B and P are alike.
- `B` for vectors of up to 2 T + 1 + S words: the last leader passes its group's sums on as they
  come, and no other waits for them. For longer ones those words would take turns on links from
  the chain of the next group, and fill 4 S slots there, which costs more than it saves.""",
    "star": """\
Published: `B (P - 1) + 2 T + 1`, for large B. From 256 words on the two agree.

The machine's formula is `B (P - 1) + 2 T + 2 + s (P - 2)`: between two vectors a control wavelet
switches a router. It follows when the core has started the instruction for it, and the router
takes a cycle to act on it, and gets the next word in the cycle after: s = 3, or 2 where a vector
fits into the tile's buffers (6 words), so that the control wavelet waits behind it. The fabric
has too few colors to give each sender one, and a reader that takes two colors in turn starts an
instruction for each vector, which costs as much.""",
    "ring": """\
Published: `2 (P - 1) B / P + 4 P - 6 + 2 (P - 1)(2 T + 1)`: 2 (P - 1) rounds, each with a chunk
of B / P words and a passage through two ramps; and the hops.

The machine's formula adds 4 cycles a round: issue (2) and start-up (2) of the instruction that
sends, which cannot begin before the chunk is complete. Passing words on as they come, as a chain
does, would avoid them, but in a ring all tiles could then wait for room in each other's queues,
in a circle; the verifier refuses such a program. And there are no parts of words: with fewer
words than tiles, a round still moves one. (With one or two chunks none passes the way back twice:
3 P - 4 hops instead of 4 P - 6.) So the published formula is met where chunks are
long: from about 100 words a tile on.""",
}


def page(cells: Sequence[Cell], command: str) -> str:
    """The whole page."""
    names = [name for name in TITLES if any(c.case.name == name for c in cells)]
    parts = [HEAD.format(command=f"Written by `{command}`."), _summary(cells, names)]
    for name in names:
        mine = [c for c in cells if c.case.name == name]
        parts += [f"## {TITLES[name]}", f"Program: [{name}.wsa](collectives/{name}.wsa)."]
        parts += [NOTES[name], _table(mine)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def worst(cells: Iterable[Cell], machine: bool) -> tuple[float, float, Cell]:
    """The largest disagreement beyond five cycles: as a part of the formula, in cycles, where.

    If all are within five cycles, the largest in cycles.
    """
    found: list[tuple[float, float, Cell]] = []
    for c in cells:
        off = c.off_machine if machine else c.off_published
        model = c.machine if machine else c.published
        found.append((off / model, off, c))
    beyond = [entry for entry in found if abs(entry[1]) > CYCLES]
    if beyond:
        return max(beyond, key=lambda entry: abs(entry[0]))
    return max(found, key=lambda entry: abs(entry[1]))


def count(cells: Iterable[Cell], machine: bool) -> int:
    """Cells that agree."""
    if machine:
        return sum(agrees(c.off_machine, c.machine) for c in cells)
    return sum(agrees(c.off_published, c.published) for c in cells)


HEADINGS = (
    "collective",
    "cases",
    "agree with published",
    "worst",
    "agree with the machine's",
    "worst",
)


def summary_rows(cells: Sequence[Cell]) -> list[list[str]]:
    """One row a collective."""
    rows: list[list[str]] = []
    for name in TITLES:
        mine = [c for c in cells if c.case.name == name]
        if mine:
            row = [TITLES[name], str(len(mine))]
            for machine in (False, True):
                part, off, c = worst(mine, machine)
                where = f"P={c.case.width * c.case.height}, B={c.case.words}"
                row.append(str(count(mine, machine)))
                row.append(f"{off:+.0f} ({part:+.1%}; {where})" if off else "exact")
            rows.append(row)
    return rows


def _summary(cells: Sequence[Cell], names: Sequence[str]) -> str:
    text = (
        f"To agree is to be within {PART:.0%} or within {CYCLES} cycles. *Worst*: of those that "
        f"are more than {CYCLES} cycles off,\nthe largest part; if there are none, the most "
        "cycles. *The machine's*: the published formula, or where the\nmachine differs one that "
        "follows from its rules, explained below."
    )
    return f"{text}\n\n{markdown_table(HEADINGS, summary_rows(cells), 1)}"


def _table(cells: Sequence[Cell]) -> str:
    words = sorted({c.case.words for c in cells})
    tiles = sorted({c.case.width * c.case.height for c in cells})
    both = any(c.written != c.kernel for c in cells)
    own = any(c.machine != c.published for c in cells)
    lines: list[tuple[str, Callable[[Cell], str]]] = [
        ("program" if both else "simulated", lambda c: f"**{c.written:,}**")
    ]
    if both:
        lines.append(("kernel", lambda c: f"**{c.kernel:,}**"))
    lines.append(("published", lambda c: f"{c.published:,.0f}"))
    lines.append(("difference", lambda c: f"{c.off_published / c.published:+.1%}"))
    if own:
        lines.append(("machine's", lambda c: f"{c.machine:,.0f}"))
        lines.append(("difference", lambda c: f"{c.off_machine / c.machine:+.1%}"))
    rows: list[list[str]] = []
    for size in tiles:
        found = {c.case.words: c for c in cells if c.case.width * c.case.height == size}
        for what, show in lines:
            rows.append([str(size) if what == lines[0][0] else "", what])
            rows[-1] += [show(found[count]) for count in words]
    return markdown_table(("P", "", *(f"B = {count:,}" for count in words)), rows, 2)


def plot(cells: Sequence[Cell]) -> str:
    """Cycles over words on the most tiles, and over tiles at a middling number of words."""
    most = max(c.case.width * c.case.height for c in cells)
    words = sorted({c.case.words for c in cells})
    middle = words[len(words) // 2 + 1 if len(words) > 2 else 0]
    first = Panel(
        f"P = {most} tiles",
        "words B",
        _series([c for c in cells if c.case.width * c.case.height == most], lambda c: c.case.words),
    )
    second = Panel(
        f"B = {middle} words",
        "tiles P",
        _series(
            [c for c in cells if c.case.words == middle], lambda c: c.case.width * c.case.height
        ),
    )
    return figure(
        (first, second),
        "cycles",
        "Cycles of collectives: dots simulated, lines published formulas, "
        "dashed lines the machine's own.",
    )


def _series(cells: Sequence[Cell], along: Callable[[Cell], int]) -> tuple[Series, ...]:
    made: list[Series] = []
    for name, title in TITLES.items():
        mine = sorted((c for c in cells if c.case.name == name), key=along)
        if mine:
            made.append(
                Series(
                    title,
                    tuple((along(c), c.kernel) for c in mine),
                    tuple((along(c), c.published) for c in mine),
                    tuple((along(c), c.machine) for c in mine if c.machine != c.published),
                )
            )
    return tuple(made)
