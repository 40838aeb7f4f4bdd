"""The ranges of a program's numbers; ``wsc.isa.fabric`` has those of a fabric's.

They are so chosen that no sum or product that a check or an engine forms of numbers within
them can leave 64 bits, and that no single piece of work takes more than moments.
"""

from __future__ import annotations

# An operand: a register, and the value of a static expression where an operand stands.
LEAST_WORD, MOST_WORD = -(1 << 31), (1 << 31) - 1

# A number of the text, each step of a static expression, and the elements of an edge tensor:
# the magnitude. Edge tensors may be larger than words can count.
MOST_NUMBER = 1 << 48

# Iteration names of one instruction: columns of the engines' tables.
MOST_DIMENSIONS = 8

# The mean and the deviation of a weight that is drawn: its elements are numbers in f32.
MOST_DRAWN = 1e30

# Steps of one instruction. Its cycles then stay far from the end of 64 bits.
MOST_STEPS = 1 << 40

# Steps of one row, which are executed at once: an interrupt is heard after it.
MOST_ROW = 1 << 22

# Repetitions at all ports of a transfer whose repetitions differ, so that each is looked at.
MOST_CASES = 1 << 21

# Entries of the edge's schedule, those of a loop once for each turn.
MOST_TRANSFERS = 1 << 20

# Tiles times routed colors: the checks of the network hold some bytes for each.
MOST_CELLS = 1 << 26


# A word of the code of section 0; those of others have the section's number more. No address, count
# or number of a small network is one.
CODE_WORD = 0x5EC70000

# The seed of a run's delays; the cycles after which it stops, and the bytes that it may take.
MOST_DELAYS = (1 << 32) - 1
MOST_COUNT = (1 << 63) - 1


def fits_word(value: int) -> bool:
    """Whether an operand can hold a number."""
    return LEAST_WORD <= value <= MOST_WORD
