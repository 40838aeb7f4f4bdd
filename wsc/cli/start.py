"""Where the ``wsc`` script begins. An interrupt ends it with one line, whatever it meets.

Python raises an interrupt wherever the program is, and most of the first second it is in the
imports of others: there it may become an ImportError, a traceback that a C extension prints, or
be taken for a missing package. So it is raised only in code of our own, and ends the process at
once while a module is being imported.
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper

TYPE_CHECKING = False  # typing takes longer to import than all that this needs
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

INTERRUPTED = 130  # the exit code that a shell gives a process which SIGINT has ended


def leave(*_: Any) -> NoReturn:
    """End the process at once, with one line: a handler for times in which nothing can be lost."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported in a frame or one of its callers."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def main() -> NoReturn:
    """Entry point of the ``wsc`` script."""
    signal.signal(signal.SIGINT, leave)
    from wsc.cli.main import Interrupts, cli

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of a model may not be in its encoding
            stream.reconfigure(errors="backslashreplace")
    interrupts = Interrupts()
    interrupts.watch()
    code: object = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    signal.signal(signal.SIGINT, leave)
    if interrupts.seen:
        interrupts.leave()
    sys.exit(code)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
