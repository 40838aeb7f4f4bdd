"""Programs as text that several tests run."""

from __future__ import annotations

from dataclasses import replace

from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Program


def program(
    body: str, size: str, fabric: str = "wse2", consts: dict[str, int] | None = None
) -> Program:
    """Parse a program with one region ``all`` over the whole rectangle."""
    lines = [f'wsc 1\nfabric "{fabric}" {size}\nprecision f32\n']
    lines += [f"const {name} = {value}" for name, value in (consts or {}).items()]
    return parse("\n".join(lines) + "\n" + body)


def with_io(rate: int) -> Fabric:
    """The WSE-2 with ``rate`` bytes a cycle at the edge."""
    return replace(find_fabric("wse2"), io_bytes_per_cycle=rate)


def wide_io() -> Fabric:
    """The WSE-2 with so much bandwidth at the edge that it never limits."""
    return with_io(1 << 20)


def broadcast(tiles: int, count: int) -> Program:
    """The first tile makes ``count`` wavelets and sends them along the row."""
    ramp = "route row in all when x == W - 1 : W -> RAMP\n"
    if tiles > 2:
        ramp += "route row in all when x * (W - 1 - x) > 0 : W -> RAMP, E\n"
    body = f"""
output r : f32[{tiles}] "float32"
color row = 0
color out = 1
tensor buf : f32[1] at 0 size 4
region all at 0,0 size {tiles}x1
route row in all when x == 0 : RAMP -> E
{ramp}
route out in all : RAMP -> S
main all
  if x == 0
    mov.f32 <row>, 2.0 for i:{count}
    mov.f32 [buf], 2.0
  else
    mov.f32 [buf], <row> for i:{count}
  end
  mov.f32 <out>, [buf]
end
drain out in all side S from r[x]
"""
    return program(body, f"{tiles}x1")


def chain(tiles: int, count: int) -> Program:
    """Every tile adds its column number to what comes from the east, and passes it on west."""
    body = f"""
output r : f32[{count}] "float32"
color even = 0
color odd = 1
color out = 2
tensor acc : f32[{count}] at 0 size {4 * count}
region all at 0,0 size {tiles}x1
route even in all when x % 2 == 0 : E -> RAMP
route even in all when x % 2 == 1 : RAMP -> W
route odd in all when x % 2 == 1 : E -> RAMP
route odd in all when (x % 2 == 0) * (x > 0) : RAMP -> W
route out in all when x == 0 : RAMP -> W
main all
  if x == W - 1
    if x % 2 == 1
      mov.f32 <even>, {{x}} for i:{count}
    else
      mov.f32 <odd>, {{x}} for i:{count}
    end
  else
    if x == 0
      add.f32 [acc + 4*i], <even>, {{x}} for i:{count}
      mov.f32 <out>, [acc + 4*i] for i:{count}
    else
      if x % 2 == 0
        add.f32 <odd>, <even>, {{x}} for i:{count}
      else
        add.f32 <even>, <odd>, {{x}} for i:{count}
      end
    end
  end
end
drain out in all side W from r[i] for i:{count}
"""
    return program(body, f"{tiles}x1")
