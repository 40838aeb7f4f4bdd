"""Measurements in processes of their own, so that peak memory is that of one task alone."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def peak_bytes() -> int:
    """Largest resident memory of this process so far.

    Linux carries ``ru_maxrss`` over from the process that started this one; ``VmHWM``
    is this program's own.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def measured(
    task: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a task of ``benchmarks.tasks`` in a fresh process.

    What it returned, with ``process_seconds`` (start of Python and imports included) and
    ``peak_bytes``.

    Raises:
        RuntimeError: the task failed; with what it wrote on standard error.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", task, json.dumps(arguments)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"benchmark task '{task}' failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "process_seconds": time.perf_counter() - start}
