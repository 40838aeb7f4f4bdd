"""Work in a process of its own, beside what this one does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager

PATIENCE = 3  # times as long as this process took, before the other is given up
LEAST_PATIENCE = 10  # seconds
PAUSE = 0.01


@contextmanager
def beside(work: Callable[[], object]) -> Generator[None]:
    """Try to do some work in another process while the block lasts, and wait for its end.

    It leaves nothing but what it writes on the disk, and nothing at all if it fails or if
    there can be no other process: whoever needs that looks whether it is there.
    """
    start = time.monotonic()
    child = _fork(work) if _can_fork() else 0
    try:
        yield
        end = time.monotonic() + max(PATIENCE * (time.monotonic() - start), LEAST_PATIENCE)
        while child and time.monotonic() < end:
            if os.waitpid(child, os.WNOHANG)[0]:
                child = 0
            else:
                time.sleep(PAUSE)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _can_fork() -> bool:
    """Whether a copy of this process could go on from here, with a processor to itself.

    A copy has none of the other threads, and would wait for ever for what they hold. On
    other systems than Linux there is no copy, or libraries that do not bear one.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    return len(os.sched_getaffinity(0)) > 1


def _fork(work: Callable[[], object]) -> int:
    """Start the work in a copy of this process; its number, 0 if there is none."""
    try:
        with warnings.catch_warnings():
            # Threads that Python knows nothing of, such as those of NumPy, hold nothing.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError:
        return 0
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)  # neither handlers nor buffers of the other process
    return child
