"""Cycles against the published models, and arbitration on shared links."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.programs import broadcast, chain, program, wide_io, with_io
from wsc import runtime

RAMP = 2


@pytest.mark.parametrize(("tiles", "count"), [(4, 1), (8, 64), (64, 64), (512, 64), (32, 4096)])
def test_broadcast_takes_what_was_published(tiles: int, count: int) -> None:
    result = runtime.run(broadcast(tiles, count), {}, fabric=wide_io())
    assert (result.outputs["r"] == 2).all()
    rows = [row for row in result.counters.statements if row.statement.text == "mov"]
    took = rows[2].end - rows[0].start - 2
    model = count + tiles + 2 * RAMP
    assert abs(took - model) <= max(5, 0.04 * model)


@pytest.mark.parametrize(("tiles", "count"), [(4, 1), (8, 64), (64, 64), (512, 64), (32, 1024)])
def test_chain_reduce_takes_what_was_published(tiles: int, count: int) -> None:
    result = runtime.run(chain(tiles, count), {}, fabric=wide_io())
    assert (result.outputs["r"] == tiles * (tiles - 1) / 2).all()
    rows = [row for row in result.counters.statements if row.statement.text in ("add", "mov")]
    took = max(row.end for row in rows if row.statement.text == "add") - rows[0].start - 2
    model = count + (2 * RAMP + 2) * (tiles - 1)
    assert abs(took - model) <= max(5, 0.04 * model)


def merge(count: int) -> str:
    """Two colors meet on the link from tile 1 to tile 2."""
    return f"""
output r : f32[2, {count}] "float32"
color a = 0
color b = 1
color oa = 2
color ob = 3
tensor ta : f32[{count}] at 0 size {4 * count}
tensor tb : f32[{count}] at {4 * count} size {4 * count}
region all at 0,0 size 3x1
route a in all when x == 0 : RAMP -> E
route a in all when x == 1 : W -> E
route a in all when x == 2 : W -> RAMP
route b in all when x == 1 : RAMP -> E
route b in all when x == 2 : W -> RAMP
route oa in all when x == 2 : RAMP -> E
main all
  if x == 0
    mov.f32 <a>, 1.0 for i:{count}
  end
  if x == 1
    mov.f32 <b>, 2.0 for i:{count}
  end
  if x == 2
    async 0 -> s0: mov.f32 [ta + 4*i], <a> for i:{count}
    async 1 -> s0: mov.f32 [tb + 4*i], <b> for i:{count}
    wait s0, 2
    mov.f32 <oa>, [ta + 4*i] for i:{2 * count}
  end
end
drain oa in all side E from r[i] for i:{2 * count}
"""


def test_a_shared_link_is_served_in_turn() -> None:
    count = 200
    result = runtime.run(program(merge(count), "3x1"), {}, fabric=wide_io())
    assert (result.outputs["r"][0] == 1).all()
    assert (result.outputs["r"][1] == 2).all()
    waited = next(row for row in result.counters.statements if row.statement.text == "wait")
    # Both streams need 2 * count cycles on the link and end together.
    assert 2 * count <= waited.end <= 2 * count + 20
    assert result.counters.links[0, 1, 1] == 2 * count


def test_backpressure_holds_the_sender() -> None:
    body = """
output r : f32[64] "float32"
color a = 0
color o = 1
tensor t : f32[64] at 0 size 256
region all at 0,0 size 2x1
route a in all when x == 0 : RAMP -> E
route a in all when x == 1 : W -> RAMP
route o in all when x == 1 : RAMP -> E
main all
  if x == 0
    mov.f32 <a>, {i} for i:64
  else
    loop k: 64
      i.div q, 100, 3
      i.div q, q, 3
      i.mul at, k, 4
      mov.f32 [t + at], <a>
    end
    mov.f32 <o>, [t + 4*i] for i:64
  end
end
drain o in all side E from r[i] for i:64
"""
    result = runtime.run(program(body.replace("{i}", "3.5"), "2x1"), {}, fabric=wide_io())
    assert (result.outputs["r"] == 3.5).all()
    assert result.counters.stalled_output[0, 0] > 500
    assert result.counters.stalled_input[0, 1] < 20


def test_edge_bandwidth_is_shared() -> None:
    body = """
input a : f32[8, 100] "float32"
output r : f32[8, 100] "float32"
color c = 0
region all at 0,0 size 8x1
route c in all : N -> S
main all
end
feed c in all side N from a[x*100 + i] for i:100
drain c in all side S from r[x*100 + i] for i:100
"""
    a = np.arange(800, dtype=np.float32).reshape(8, 100)
    narrow = runtime.run(program(body, "8x1"), {"a": a}, fabric=with_io(8))
    wide = runtime.run(program(body, "8x1"), {"a": a}, fabric=wide_io())
    assert (narrow.outputs["r"] == a).all()
    assert (wide.outputs["r"] == a).all()
    assert wide.cycles <= 105
    assert 400 <= narrow.cycles <= 405
    assert wide.counters.io_bytes_in == wide.counters.io_bytes_out == 3200
