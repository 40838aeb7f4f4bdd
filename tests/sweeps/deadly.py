"""Points that end their process; workers import this module, and little else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from wsc.sweeps import point
from wsc.sweeps.points import Point

DEADLY = 2  # the value of a setting


def deadly(item: Point) -> point.Row:
    """A row, unless the first setting is ``DEADLY``: that ends the process."""
    if item.settings[0][1] == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return point.stopped(item, point.OK, "")


def deadly_pair(item: Point) -> tuple[Point, point.Row]:
    """The same, with the point."""
    return item, deadly(item)


def deadly_once(item: Point) -> point.Row:
    """A row; the first process that comes to it ends. The model's name is a folder."""
    mark = Path(item.model.name) / "killed"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return point.stopped(item, point.OK, "")
