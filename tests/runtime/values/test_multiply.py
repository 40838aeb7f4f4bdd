"""``fmac`` in loops of any order: the sums of the reference engine, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.programs import program
from tests.runtime.values.test_engine import assert_same
from wsc import runtime

TEXT = """
input a : {type}[{height}, 32] "{host}"
input w : {type}[{weights}] "{host}"
output r : f32[{height}, 32] "float32"
color weights = 0
color bring = 1
color take = 2
tensor d : f32[32] at 0 size 128
tensor v : {type}[32] at 128 size 128
tensor u : {type}[32] at 256 size 128
region all at 0,0 size 1x{height}
route weights in all when y < H - 1 : N -> RAMP, S
route weights in all when y == H - 1 : N -> RAMP
route bring in all : W -> RAMP
route take in all : RAMP -> E
main all
  mov.{type} [v + {size}*i], <bring> for i:32
  mov.{type} [u + {size}*i], [v + {back} - {size}*i] for i:32
  mov.f32 [d + 4*i], 0.125 for i:32
  fmac.{type} {operands} for {loops}
  mov.f32 <take>, [d + 4*i] for i:32
end
feed weights in all side N from w[i] for i:{weights}
feed bring in all side W from a[32*y + i] for i:32
drain take in all side E from r[32*y + i] for i:32
"""

# Operands (strides in elements of d, and of v or u), loops, and how many weights are fed.
FORMS = {
    "dense": ("[d + 8*n + 4*m], [v + {s}*2*k + {s}*m], <weights: n, k>", "n:4, k:9, m:2", 36),
    "convolution": (
        "[d + 16*o + 4*z], [v + {s}*8*c + {s}*k + {s}*z], <weights: o, c, k>",
        "o:2, c:3, k:3, z:4",
        18,
    ),
    "planes": (
        "[d + 64*y0 + 4*y1], [v + {s}*4*k0 + {s}*k1 + {s}*4*y0 + {s}*y1], <weights: k0, k1>",
        "k0:3, k1:2, y0:2, y1:3",
        6,
    ),
    "sums around": ("[d + 8*n], [v + {s}*k + {s}*n], <weights: k>", "k:4, n:5, j:3", 4),
    "sums around, all advance": ("[d + 8*n], [v + {s}*k + {s}*j], <weights>", "k:4, n:5, j:3", 60),
    "backwards": ("[d + 120 - 8*n], [v + {s}*12 - {s}*3*k], <weights: n, k>", "n:4, k:5", 20),
    "places that overlap": (
        "[d + 4*n + 4*z], [v + {s}*k + {s}*z], <weights: k>",
        "k:3, n:3, z:4",
        3,
    ),
    "interleaved places": ("[d + 8*n + 12*z], [v + {s}*k], <weights: k>", "k:3, n:4, z:3", 3),
    "one sum": ("[d + 4], [v + {s}*k], <weights>", "k:30", 30),
    "more than is listed": ("[d + 4*n], [v + {s}*k], <weights: k>", "k:3, n:2, j:3000", 3),
    "no sum": ("[d + 4*n], [v + {s}*n], <weights: >", "n:30", 1),
    "factors in memory": ("[d + 4*n], [v + {s}*k], [u + {s}*k + {s}*n]", "n:6, k:7", 0),
    "a literal": ("[d + 4*n], [v + {s}*k + {s}*n], 0.3", "n:6, k:7", 0),
    "weights first": ("[d + 8*n], <weights: n, k>, [v + {s}*k]", "n:4, k:9", 36),
    "into its own factors": ("[d + 4*n], [d + 4*k + 8], <weights: n, k>", "n:4, k:5", 20),
}


@pytest.mark.parametrize("height", [1, 5])
@pytest.mark.parametrize("kind", ["f32", "f16"])
@pytest.mark.parametrize("form", FORMS)
def test_sums_are_those_of_the_reference(form: str, kind: str, height: int) -> None:
    operands, loops, count = FORMS[form]
    if kind == "f16" and form == "into its own factors":
        operands = operands.replace("d + 4*k", "u + 2*k")
    size, host = (4, "float32") if kind == "f32" else (2, "float16")
    text = TEXT.format(
        type=kind,
        host=host,
        height=height,
        weights=max(count, 1),
        size=size,
        back=31 * size,
        operands=operands.format(s=size),
        loops=loops,
    )
    if not count:
        text = text.replace("for i:1\n", "for i:0\n")
    rng = np.random.default_rng(len(form))
    # Magnitudes differ, so that another order of the additions would give other bits.
    shapes = {"a": (height, 32), "w": (max(count, 1),)}
    inputs = {
        name: (rng.normal(size=shape) * 2.0 ** rng.integers(-6, 7, shape)).astype(host)
        for name, shape in shapes.items()
    }
    inputs["a"][0, 3] = np.nan
    assert_same(runtime.load(program(text, f"1x{height}")), inputs)


def test_more_lanes_than_the_nearest_cache_holds() -> None:
    """Lanes are done in parts, each with all of its turns."""
    body = """
input a : f32[2, 4500] "float32"
input w : f32[18] "float32"
output r : f32[2, 1000] "float32"
color weights = 0
color bring = 1
color take = 2
tensor d : f32[1000] at 0 size 4000
tensor v : f32[4500] at 4000 size 18000
region all at 0,0 size 1x2
route weights in all when y == 0 : N -> RAMP, S
route weights in all when y == 1 : N -> RAMP
route bring in all : W -> RAMP
route take in all : RAMP -> E
main all
  mov.f32 [v + 4*i], <bring> for i:4500
  mov.f32 [d + 4*i], 0.0 for i:1000
  fmac.f32 [d + n*2000 + m*4], [v + k*2000 + m*4], <weights: n, k> for n:2, k:9, m:500
  mov.f32 <take>, [d + 4*i] for i:1000
end
feed weights in all side N from w[i] for i:18
feed bring in all side W from a[4500*y + i] for i:4500
drain take in all side E from r[1000*y + i] for i:1000
"""
    rng = np.random.default_rng(5)
    a = rng.standard_normal((2, 4500), np.float32)
    w = rng.standard_normal(18, np.float32)
    assert_same(runtime.load(program(body, "1x2")), {"a": a, "w": w})
