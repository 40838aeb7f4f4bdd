"""``fmac``: d += a * b, product and sum rounded to f32, in the order of the steps.

Mostly one factor has a value for each lane, and the other one for all of them: weights that a
column gets by multicast, or from one place in memory. Sums of such products are kept in registers
over all steps that add to one place.
"""

from __future__ import annotations

from wsc.isa.values import VALUES, Class
from wsc.runtime.values.compiled import NAN, Machine, kernel, of_reals
from wsc.runtime.values.records import MOST_LISTED, Held
from wsc.runtime.values.streams import allocate, release
from wsc.runtime.values.vector import F16, half_place, next_step, overlap, scratch

NEAR = 1 << 13  # words of factors that stay in the nearest cache of the host
LEAST = 512  # lanes that a part has at least, so that to begin it is little of its work

value = of_reals(VALUES["fmac", Class.FLOAT], 3)


@kernel
def one_value(total: float, a: float, b: float) -> float:
    """The sum, as the one canonical NaN if it is not a number."""
    found = value(total, a, b)
    return found if found == found else NAN


# --- sums in registers --------------------------------------------------------------------


@kernel
def sums(m: Machine, d: int, a: int, w: int, count: int, lanes: int) -> None:
    """d[lane] += a[i, lane] * w[i], for each addend i after the other; d is apart from a."""
    i, reals, addends = 0, m.reals, m.addends
    into = reals[d : d + lanes]
    # Four steps for each load and store of the sum; its additions keep their order.
    while i + 4 <= count:
        w0, w1 = reals[w + addends[i].all], reals[w + addends[i + 1].all]
        w2, w3 = reals[w + addends[i + 2].all], reals[w + addends[i + 3].all]
        at0, at1 = a + addends[i].lanes, a + addends[i + 1].lanes
        at2, at3 = a + addends[i + 2].lanes, a + addends[i + 3].lanes
        a0, a1 = reals[at0 : at0 + lanes], reals[at1 : at1 + lanes]
        a2, a3 = reals[at2 : at2 + lanes], reals[at3 : at3 + lanes]
        for lane in range(lanes):
            total = value(into[lane], a0[lane], w0)
            total = value(total, a1[lane], w1)
            total = value(total, a2[lane], w2)
            into[lane] = value(total, a3[lane], w3)
        i += 4
    while i < count:
        w0, at0 = reals[w + addends[i].all], a + addends[i].lanes
        a0 = reals[at0 : at0 + lanes]
        for lane in range(lanes):
            into[lane] = value(into[lane], a0[lane], w0)
        i += 1
    # What is not a number stays so: made the canonical one now, it is as if after each step.
    for lane in range(lanes):
        total = into[lane]
        into[lane] = total if total == total else NAN


@kernel
def add_turn(m: Machine, each: int, all_: int, d: int) -> None:
    """A dimension becomes the next outer turn."""
    turn = m.turns[m.now[0].turns]
    turn.count, turn.sum = m.count[d], m.step[0, d]
    turn.lanes, turn.all = m.step[each, d], m.step[all_, d]
    m.now[0].turns += 1


@kernel
def list_addends(m: Machine, each: int, all_: int, dims: int) -> int:
    """List the steps that add to one place, and keep the other dimensions as turns.

    Such steps have their order, and no turn is between them: for each turn all of them are done
    one after the other. Dimensions for which there is no room in the list are outermost turns.
    ``each`` and ``all_`` are the operands with a value for each lane, and with one for all. Returns
    how many steps are listed.
    """
    count, cut, addends = 1, -1, m.addends
    m.now[0].turns = 0
    addends[0].lanes = addends[0].all = 0
    for d in range(dims - 1, -1, -1):
        extent = m.count[d]
        if m.step[0, d] != 0:
            add_turn(m, each, all_, d)
        elif cut < 0 and count * extent <= MOST_LISTED:
            # All that is listed once more, for each further step of this outer dimension.
            for number in range(1, extent):
                for i in range(count):
                    further = addends[number * count + i]
                    further.lanes = addends[i].lanes + number * m.step[each, d]
                    further.all = addends[i].all + number * m.step[all_, d]
            count *= extent
        else:
            cut = max(cut, d)
    for d in range(cut, -1, -1):
        if m.step[0, d] == 0:
            add_turn(m, each, all_, d)
    return count


@kernel
def turns_part(m: Machine, lanes: int) -> bool:
    """Whether turns that move the sum write to places of their own."""
    reached, left, turns, made = lanes, 0, m.turns, m.now[0].turns
    for number in range(made):
        if turns[number].sum != 0:
            left |= 1 << number
    # From the least step up: each must step over all that the lesser ones reach.
    while left != 0:
        least, which = 1 << 40, -1
        for number in range(made):
            if (left >> number) & 1 and abs(turns[number].sum) < least:
                least, which = abs(turns[number].sum), number
        if least < reached:
            return False
        reached += least * (turns[which].count - 1)
        left &= ~(1 << which)
    return True


@kernel
def add_turns(m: Machine, d: int, a: int, w: int, count: int, lanes: int) -> None:
    """Do the listed steps for each of the turns, in so many lanes."""
    turns, made = m.turns, m.now[0].turns
    for number in range(made):
        turns[number].index = 0
    while True:
        sums(m, d, a, w, count, lanes)
        # The innermost turn goes on; one that has come to its end carries into the next outer one.
        number = 0
        while number < made:
            turn = turns[number]
            turn.index += 1
            back = 1 - turn.count if turn.index == turn.count else 1
            d += back * turn.sum
            a += back * turn.lanes
            w += back * turn.all
            if turn.index < turn.count:
                break
            turn.index = 0
            number += 1
        if number == made:
            return


@kernel
def add_up(m: Machine, each: int, all_: int, count: int, lanes: int) -> None:
    """Do the listed steps for each of the turns, in a part of the lanes after the other.

    What the lanes of a part have for themselves is read again for each turn: from the nearest
    cache, if it is not too much.
    """
    d, a, w = m.placed[0].at, m.placed[each].at, m.placed[all_].at
    part = lanes if m.now[0].turns == 0 else max(NEAR // count // LEAST * LEAST, LEAST)
    start = 0
    while start < lanes:
        some = min(part, lanes - start)
        add_turns(m, d + start, a + start, w, count, some)
        start += some


# --- one step after the other -------------------------------------------------------------


@kernel
def products(m: Machine, each: int, other: int, lanes: int, dims: int) -> None:
    """The innermost dimension: d[i, lane] += a[i, lane] * b[i, lane], for each i after the other.

    each, other: the operands a and b; the first of them has a value for each lane if one has.
    """
    last, n = max(dims - 1, 0), 1
    d, a, b = m.placed[0].at, m.placed[each].at, m.placed[other].at
    on_d = on_a = on_b = 0
    if dims > 0:
        n, on_d = m.count[last], m.step[0, last]
        on_a, on_b = m.step[each, last], m.step[other, last]
    reals = m.reals
    spread_a, spread_b = m.placed[each].spread, m.placed[other].spread
    for i in range(n):
        into = reals[d + i * on_d : d + i * on_d + lanes]
        if spread_a == 1 and spread_b == 1:
            left = reals[a + i * on_a : a + i * on_a + lanes]
            right = reals[b + i * on_b : b + i * on_b + lanes]
            for lane in range(lanes):
                into[lane] = one_value(into[lane], left[lane], right[lane])
        elif spread_a == 1:
            left, factor = reals[a + i * on_a : a + i * on_a + lanes], reals[b + i * on_b]
            for lane in range(lanes):
                into[lane] = one_value(into[lane], left[lane], factor)
        else:
            left_factor, factor = reals[a + i * on_a], reals[b + i * on_b]
            for lane in range(lanes):
                into[lane] = one_value(into[lane], left_factor, factor)


@kernel
def multiply_in_order(m: Machine, each: int, other: int, lanes: int, dims: int) -> None:
    """All steps, one after the other; see ``products``."""
    for d in range(dims):
        m.index[d] = 0
    while True:
        products(m, each, other, lanes, dims)
        if not next_step(m, dims - 1):
            return


# --- factors ------------------------------------------------------------------------------


@kernel
def widen_element(m: Machine, k: int, at: int, target: int, lanes: int) -> None:
    """Copy one element of an f16 operand, in so many lanes, as f32."""
    if m.placed[k].held == Held.HALF_MEMORY:
        source = half_place(m, at)
        for lane in range(lanes):
            m.reals[target + lane] = m.half[m.halves[source + 2 * lane]]
    else:
        spread = m.placed[k].spread
        for lane in range(lanes):
            m.reals[target + lane] = m.half[m.words[at + lane * spread] & 0xFFFF]


@kernel
def widen(m: Machine, k: int) -> tuple[int, int]:
    """Copy an f16 operand, each of its elements once, as f32; (address, words) of the copy."""
    dims, placed, size = m.job[0].dims, m.placed[k], 1
    for d in range(dims):
        if m.step[k, d] != 0:
            size *= m.count[d]
    lanes = m.job[0].lanes if placed.spread == 1 else 1
    address = allocate(m, size * lanes)
    if address < 0:
        return -1, 0
    at = placed.at
    for d in range(dims):
        m.index[d] = 0
    for i in range(size):
        widen_element(m, k, at, address + i * lanes, lanes)
        # On to the next element; dimensions in which the operand stays are left out.
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
    # The copies lie one behind the other.
    further = lanes
    for d in range(dims - 1, -1, -1):
        if m.step[k, d] != 0:
            m.step[k, d] = further
            further *= m.count[d]
    placed.at, placed.held = address, Held.WORDS
    return address, size * lanes


@kernel
def place_literal(m: Machine, k: int) -> None:
    """A factor that is a number becomes a word of scratch."""
    task, placed, cell = m.job[0].task, m.placed[k], scratch(m, k)
    m.words[cell] = m.scalars[task, k]
    if m.operands[m.rows[m.tasks[task].row].operands + k].type == F16:
        m.reals[cell] = m.half[m.scalars[task, k] & 0xFFFF]
    placed.at, placed.held, placed.spread = cell, Held.WORDS, 0


@kernel
def multiply_words(m: Machine) -> None:
    """The steps, with both factors in words."""
    lanes, dims, each, other = m.job[0].lanes, m.job[0].dims, 1, 2
    # With one lane, what stays from step to step is one value for all of them.
    if lanes == 1 and dims > 0:
        for k in range(1, 3):
            if m.step[k, dims - 1] == 0:
                m.placed[k].spread = 0
    if m.placed[1].spread < m.placed[2].spread:
        each, other = 2, 1
    one_for_all = m.placed[each].spread == 1 and m.placed[other].spread == 0
    # Where the innermost steps lie beside each other, they are lanes too.
    last = max(dims - 1, 0)
    beside = dims > 0 and m.step[0, last] == lanes and m.step[each, last] == lanes
    if beside and one_for_all and m.step[other, last] == 0:
        lanes *= m.count[last]
        dims -= 1
    # Sums are kept in registers where nothing that is written is read.
    if one_for_all and overlap(m, m.job[0].task) == 0:
        count = list_addends(m, each, other, dims)
        if count > 1 and turns_part(m, lanes):
            add_up(m, each, other, count, lanes)
            return
    multiply_in_order(m, each, other, lanes, dims)


@kernel
def multiply(m: Machine) -> None:
    """Do the steps of an ``fmac``, the job, whose operands are placed."""
    first, first_size, second, second_size = -1, 0, -1, 0
    for k in range(1, 3):
        held = m.placed[k].held
        if held == Held.LITERAL:
            place_literal(m, k)
        elif held != Held.WORDS:
            address, size = widen(m, k)
            if address < 0:
                return
            if k == 1:
                first, first_size = address, size
            else:
                second, second_size = address, size
    multiply_words(m)
    if first >= 0:
        release(m, first, first_size)
    if second >= 0:
        release(m, second, second_size)
