"""``fmac``: d += a * b, product and sum rounded to f32, in the order of the steps."""

from __future__ import annotations

from wsc.isa.values import VALUES, Class
from wsc.runtime.values.compiled import NAN, Machine, kernel, of_reals
from wsc.runtime.values.records import MOST_DIMS, MOST_LISTED
from wsc.runtime.values.streams import allocate, release
from wsc.runtime.values.vector import (
    F16,
    HALF_MEMORY,
    HALF_WORDS,
    LITERAL,
    OF_TYPE,
    OPERANDS,
    WORDS,
    overlap,
)

value = of_reals(VALUES["fmac", Class.FLOAT], 3)


@kernel
def one_value(total: float, a: float, b: float) -> float:
    """The sum, as the one canonical NaN if it is not a number."""
    found = value(total, a, b)
    return found if found == found else NAN


@kernel
def sums(m: Machine, d: int, a: int, w: int, count: int, lanes: int) -> None:
    """d[lane] += a[i, lane] * w[i], for each listed step i after the other; d is apart from a."""
    i, reals, listed = 0, m.reals, m.listed_steps
    into = reals[d : d + lanes]
    # Four steps for each load and store of the sum; its additions keep their order.
    while i + 4 <= count:
        w0, w1 = reals[w + listed[i, 1]], reals[w + listed[i + 1, 1]]
        w2, w3 = reals[w + listed[i + 2, 1]], reals[w + listed[i + 3, 1]]
        at0, at1 = a + listed[i, 0], a + listed[i + 1, 0]
        at2, at3 = a + listed[i + 2, 0], a + listed[i + 3, 0]
        a0, a1 = reals[at0 : at0 + lanes], reals[at1 : at1 + lanes]
        a2, a3 = reals[at2 : at2 + lanes], reals[at3 : at3 + lanes]
        for lane in range(lanes):
            total = value(into[lane], a0[lane], w0)
            total = value(total, a1[lane], w1)
            total = value(total, a2[lane], w2)
            into[lane] = value(total, a3[lane], w3)
        i += 4
    while i < count:
        w0, at0 = reals[w + listed[i, 1]], a + listed[i, 0]
        a0 = reals[at0 : at0 + lanes]
        for lane in range(lanes):
            into[lane] = value(into[lane], a0[lane], w0)
        i += 1
    # What is not a number stays so: made the canonical one now, it is as if after each step.
    for lane in range(lanes):
        total = into[lane]
        into[lane] = total if total == total else NAN


@kernel
def list_steps(m: Machine, i: int, j: int, dims: int) -> int:
    """List the steps that add to one place, and keep the other dimensions as turns.

    Such steps have their order, and no turn is between them: for each turn all of them are done
    one after the other. Dimensions for which there is no room in the list are outermost turns.
    ``i`` and ``j`` are the operands with a value for each lane, and with one for all. Returns how
    many steps are listed. ``m.turns`` has the innermost turn first, and their number behind them.
    """
    count, made, cut, listed = 1, 0, -1, m.listed_steps
    listed[0, 0] = listed[0, 1] = 0
    for d in range(dims - 1, -1, -1):
        extent = m.count[d]
        if m.step[0, d] == 0 and cut < 0 and count * extent <= MOST_LISTED:
            for turn in range(1, extent):
                for k in range(count):
                    listed[turn * count + k, 0] = listed[k, 0] + turn * m.step[i, d]
                    listed[turn * count + k, 1] = listed[k, 1] + turn * m.step[j, d]
            count *= extent
        elif m.step[0, d] != 0:
            made = add_turn(m, made, i, j, d)
        else:
            cut = max(cut, d)
    for d in range(cut, -1, -1):
        if m.step[0, d] == 0:
            made = add_turn(m, made, i, j, d)
    m.turns[MOST_DIMS, 0] = made
    return count


@kernel
def add_turn(m: Machine, made: int, i: int, j: int, d: int) -> int:
    """A dimension becomes a turn; how many there are now."""
    m.turns[made, 0], m.turns[made, 1] = m.count[d], m.step[0, d]
    m.turns[made, 2], m.turns[made, 3] = m.step[i, d], m.step[j, d]
    return made + 1


@kernel
def products(
    m: Machine,
    d: int,
    sd: int,
    a: int,
    sa: int,
    b: int,
    sb: int,
    count: int,
    lanes: int,
    spread_a: int,
    spread_b: int,
) -> None:
    """d[i, lane] += a[i, lane] * b[i, lane], for each i after the other."""
    reals = m.reals
    for i in range(count):
        into = reals[d + i * sd : d + i * sd + lanes]
        if spread_a == 1 and spread_b == 1:
            left = reals[a + i * sa : a + i * sa + lanes]
            right = reals[b + i * sb : b + i * sb + lanes]
            for lane in range(lanes):
                into[lane] = one_value(into[lane], left[lane], right[lane])
        elif spread_a == 1:
            left, factor = reals[a + i * sa : a + i * sa + lanes], reals[b + i * sb]
            for lane in range(lanes):
                into[lane] = one_value(into[lane], left[lane], factor)
        else:
            left_factor, factor = reals[a + i * sa], reals[b + i * sb]
            for lane in range(lanes):
                into[lane] = one_value(into[lane], left_factor, factor)


@kernel
def widen(m: Machine, k: int, column: int, lanes: int, dims: int) -> tuple[int, int]:
    """Copy an f16 operand, each of its elements once, as f32; (address, words) of the copy."""
    height, size = m.now[0].height, 1
    for d in range(dims):
        if m.step[k, d] != 0:
            size *= m.count[d]
    wide = lanes if m.spread[k] == 1 else 1
    address = allocate(m, size * wide)
    if address < 0:
        return -1, 0
    at, kind, spread = m.at[k], m.kind[k], m.spread[k]
    for d in range(dims):
        m.index[d] = 0
    for i in range(size):
        target = address + i * wide
        if kind == HALF_MEMORY:
            source = 2 * (column + (at >> 2) * height) + ((at >> 1) & 1)
            for lane in range(wide):
                m.reals[target + lane] = m.half[m.halves[source + 2 * lane]]
        else:
            for lane in range(wide):
                m.reals[target + lane] = m.half[m.words[at + lane * spread] & 0xFFFF]
        d = dims - 1
        while d >= 0:
            if m.step[k, d] != 0:
                m.index[d] += 1
                if m.index[d] < m.count[d]:
                    at += m.step[k, d]
                    break
                at -= (m.count[d] - 1) * m.step[k, d]
                m.index[d] = 0
            d -= 1
    each = wide
    for d in range(dims - 1, -1, -1):
        if m.step[k, d] != 0:
            m.step[k, d] = each
            each *= m.count[d]
    m.at[k], m.kind[k] = address, WORDS
    return address, size * wide


@kernel
def turns_part(m: Machine, lanes: int) -> bool:
    """Whether turns that move the sum write to places of their own."""
    reached, left, made = lanes, 0, m.turns[MOST_DIMS, 0]
    for turn in range(made):
        if m.turns[turn, 1] != 0:
            left |= 1 << turn
    while left != 0:
        least, which = 1 << 40, -1
        for turn in range(made):
            if (left >> turn) & 1 and abs(m.turns[turn, 1]) < least:
                least, which = abs(m.turns[turn, 1]), turn
        if least < reached:
            return False
        reached += least * (m.turns[which, 0] - 1)
        left &= ~(1 << which)
    return True


@kernel
def add_up(m: Machine, i: int, j: int, count: int, lanes: int) -> None:
    """Do the listed steps for each of the turns."""
    d, a, w, made = m.at[0], m.at[i], m.at[j], m.turns[MOST_DIMS, 0]
    for turn in range(made):
        m.index[turn] = 0
    while True:
        sums(m, d, a, w, count, lanes)
        turn = 0
        while turn < made:
            m.index[turn] += 1
            back = 1
            if m.index[turn] == m.turns[turn, 0]:
                back = 1 - m.turns[turn, 0]
            d += back * m.turns[turn, 1]
            a += back * m.turns[turn, 2]
            w += back * m.turns[turn, 3]
            if m.index[turn] < m.turns[turn, 0]:
                break
            m.index[turn] = 0
            turn += 1
        if turn == made:
            return


@kernel
def multiply_words(m: Machine, task: int, lanes: int, dims: int) -> None:
    """The same, with both factors in words."""
    i, j = 1, 2
    if lanes == 1 and dims > 0:
        for k in range(1, 3):
            if m.step[k, dims - 1] == 0:
                m.spread[k] = 0
    if m.spread[1] < m.spread[2]:
        i, j = 2, 1
    # Where the innermost steps lie beside each other, they are lanes too.
    if dims > 0 and m.step[0, dims - 1] == lanes:
        last = dims - 1
        beside = m.spread[i] == 1 and m.step[i, last] == lanes
        if beside and m.spread[j] == 0 and m.step[j, last] == 0:
            lanes *= m.count[last]
            dims -= 1
    # Sums are kept in registers where nothing that is written is read.
    if m.spread[i] == 1 and m.spread[j] == 0 and overlap(m, task) == 0:
        count = list_steps(m, i, j, dims)
        if count > 1 and turns_part(m, lanes):
            add_up(m, i, j, count, lanes)
            return
    inner = dims - 1 if dims > 0 else 0
    n = m.count[inner] if dims > 0 else 1
    sd, sa, sb = m.step[0, inner], m.step[i, inner], m.step[j, inner]
    d, a, b = m.at[0], m.at[i], m.at[j]
    for k in range(dims):
        m.index[k] = 0
    while True:
        products(m, d, sd, a, sa, b, sb, n, lanes, m.spread[i], m.spread[j])
        k = dims - 2
        while k >= 0:
            m.index[k] += 1
            back = 1
            if m.index[k] == m.count[k]:
                back = 1 - m.count[k]
            d += back * m.step[0, k]
            a += back * m.step[i, k]
            b += back * m.step[j, k]
            if m.index[k] < m.count[k]:
                break
            m.index[k] = 0
            k -= 1
        if k < 0:
            return


@kernel
def multiply(m: Machine, task: int, x: int, y: int, lanes: int, dims: int) -> None:
    """Do the steps of an ``fmac`` that the tables of operands describe."""
    row = m.tasks[task].row
    operand = m.rows[row, OPERANDS]
    column = m.now[0].memory + x * m.now[0].words * m.now[0].height + y
    first, first_size, second, second_size = -1, 0, -1, 0
    for k in range(1, 3):
        if m.kind[k] == LITERAL:
            cell = m.now[0].buffers + k * m.now[0].scratch
            m.words[cell] = m.held[task, k]
            if m.operands[operand + k, OF_TYPE] == F16:
                m.reals[cell] = m.half[m.held[task, k] & 0xFFFF]
            m.at[k], m.kind[k], m.spread[k] = cell, WORDS, 0
        elif m.kind[k] == HALF_MEMORY or m.kind[k] == HALF_WORDS:
            address, size = widen(m, k, column, lanes, dims)
            if address < 0:
                return
            if k == 1:
                first, first_size = address, size
            else:
                second, second_size = address, size
    multiply_words(m, task, lanes, dims)
    if first >= 0:
        release(m, first, first_size)
    if second >= 0:
        release(m, second, second_size)
