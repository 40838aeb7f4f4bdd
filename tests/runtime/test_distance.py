"""How far the rows of a program are from the colors that they come to."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.programs import program
from wsc import runtime
from wsc.runtime.image import Image
from wsc.runtime.tables import Col, Kind
from wsc.runtime.time.distance import distances
from wsc.runtime.time.forms import forms
from wsc.runtime.time.records import FAR

TEXT = """
color a = 0
color b = 1
color c = 2
tensor t : f32[8] at 0 size 32
region all at 0,0 size 2x1
route a in all when x == 0 : RAMP -> E
route a in all when x == 1 : W -> RAMP
route b in all when x == 1 : RAMP -> W
route b in all when x == 0 : E -> RAMP
route c in all when x == 0 : RAMP -> E
route c in all when x == 1 : W -> RAMP
proc pause(n)
  i.add n, n, 1
  {body}
end
main all
  loop k: 3
    i.add m, k, 1
    {assigned}
  end
  call pause(n = 1)
  if x == 0
    mov.f32 <a>, 1.0
    mov.f32 [t], <b>
  else
    mov.f32 [t], <a>
    mov.f32 <b>, 1.0
  end
end
"""


def tables(
    body: str = "i.add n, n, 1", assigned: str = "i.add m, m, 1"
) -> tuple[Image, np.ndarray, np.ndarray]:
    image = runtime.load(program(TEXT.format(body=body, assigned=assigned), "2x1"))
    form = forms(image)
    return image, distances(image, form), form


def test_the_shortest_way_counts() -> None:
    _, near, _ = tables()
    # The loop (1) may make no turn; the call takes 4, the body 2, the branch 1, a startup 2.
    assert near[0].tolist() == [1 + 4 + 2 + 1 + 2, 1 + 4 + 2 + 1 + 2 + 2, FAR]


def test_a_procedure_may_touch_a_color() -> None:
    _, near, _ = tables(body="if x == 9\n mov.f32 <b>, 1.0\n end")
    assert near[0].tolist() == [1 + 4 + 1 + 1 + 1 + 2, 1 + 4 + 1 + 1 + 2, FAR]


NESTED = """
color a = 0
region all at 0,0 size 2x1
route a in all when x == 0 : RAMP -> E
route a in all when x == 1 : W -> RAMP
proc inner(n)
  i.add n, n, 1
end
proc outer(n)
  loop k: 3
    call inner(n = n)
  end
  {last}
end
main all
  call inner(n = 1)
  call outer(n = 1)
end
"""


@pytest.mark.parametrize(
    ("last", "first"), [("call inner(n = n)", FAR), ("mov.f32 <a>, 1.0", 4 + 1 + 4 + 1 + 2)]
)
def test_procedures_that_stand_before_their_callers(last: str, first: int) -> None:
    """They are looked at after the rows that call them, which then know nothing of them yet."""
    image = runtime.load(program(NESTED.format(last=last), "2x1"))
    assert distances(image, forms(image))[0].tolist() == [first]


def test_an_asynchronous_row_is_issued_before_it_starts() -> None:
    image, near, form = tables(body="async 1 -> s0: mov.f32 <b>, 1.0")
    row = int((image.code.rows[:, Col.UNIT] > 0).argmax())
    assert near[row].tolist() == [FAR, 2, FAR]  # what follows the procedure is not in it
    assert form["leave"][row] == image.fabric.issue_cycles


@pytest.mark.parametrize(("assigned", "turn"), [("i.add m, m, 1", 2), ("i.set k, 2", 0)])
def test_turns_of_a_loop(assigned: str, turn: int) -> None:
    """A loop that sets its own register may end sooner than its count says."""
    image, near, form = tables(assigned=assigned)
    end = int((image.code.rows[:, Col.KIND] == Kind.NEXT).argmax())
    body = slice(image.code.rows[end, Col.BRANCH], end + 1)
    assert (form["around"][body] == end).all()
    assert form["turn"][end] == turn
    assert (near[body] == FAR).all()
    assert np.all(form["around"][end + 1 :] == -1)
