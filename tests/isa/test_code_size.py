"""Bytes of code, in the figures of fabric tiny: 4 scalar, 8 vector, 8 descriptor, 4, 4."""

from wsc.isa.code_size import code_bytes, tile_bytes
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse

TEXT = """wsc 1
fabric "tiny" 2x1
color a = 0
tensor buf : f32[4] at 0 size 16
region left at 0,0 size 1x1
region right at 1,0 size 1x1

proc leaf(base)
  mov.f32 [base + 4*i], 0.0 for i:4
end

proc middle()
  call leaf(base = buf)
  call leaf(base = buf)
end

main left
  loop t: 3
    call middle()
  end
  if x == 0
    signal s0, 1
  end
end

main right
  if x == 0
    signal s0, 1
  else
    control advance <a>
  end
end
"""


GUARDS = """wsc 1
fabric "tiny" 3x2
region all at 0,0 size 3x2

proc first()
  signal s0, 1
  signal s0, 1
end

proc last(n)
  if n == 0
    signal s0, 1
  else
    signal s1, 1
  end
end

main all
  if x == 0
    call first()
  else
    if y == H - 1
      call last(n = x)
    end
  end
end
"""


def test_a_tile_holds_what_it_can_run():
    program, tiny = parse(GUARDS), find_fabric("tiny")
    west = 4 + 4 + 2 * 4  # the branch, the call, the procedure
    north = 4 + 4  # both branches
    south = 4 + 4 + (4 + 4) + (8 + 4 + 4)  # a guard of a register has both blocks
    found = tile_bytes(program, program.regions[0], tiny)
    assert found.tolist() == [[west, north, north], [west, south, south]]
    assert code_bytes(program, tiny) == {"all": south}


def test_reachable_procedures_count_once():
    sizes = code_bytes(parse(TEXT), find_fabric("tiny"))
    leaf, middle = 8 + 8 + 4, 2 * (4 + 4)
    alone, chosen = 4 + 4, 4 + 4  # the branch, and the block that the one tile enters
    assert sizes == {"left": 4 + 4 + middle + leaf + alone, "right": chosen}
