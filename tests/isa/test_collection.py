"""Python's garbage collection is off while a block or a function runs, and then as before."""

from __future__ import annotations

import gc

import pytest

from wsc.isa.collection import without_collection


@without_collection()
def collects(fails: bool = False) -> bool:
    """Whether garbage is looked for in here; nested, for it may be."""
    with without_collection():
        pass
    if fails:
        raise ValueError("told")
    return gc.isenabled()


@pytest.mark.parametrize("before", [True, False])
def test_it_is_off_and_then_as_before(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled = before
    monkeypatch.setattr(gc, "isenabled", lambda: enabled)

    def switch(on: bool) -> None:
        nonlocal enabled
        enabled = on

    monkeypatch.setattr(gc, "enable", lambda: switch(True))
    monkeypatch.setattr(gc, "disable", lambda: switch(False))
    for _ in range(2):
        assert not collects()
        assert enabled is before
        with pytest.raises(ValueError, match="told"):
            collects(fails=True)
        assert enabled is before
