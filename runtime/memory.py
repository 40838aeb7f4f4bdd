"""How much memory there is; what would take more is refused before it is taken."""

from __future__ import annotations

import os
from pathlib import Path

from wsc.runtime.errors import MemoryLimit

_GIB = 1 << 30


def require_memory(needed: dict[str, int], limit: int | None) -> None:
    """Refuse what would not fit.

    needed: bytes by what they are for. limit: bytes; None stands for what the machine has free.

    Raises:
        MemoryLimit: it is more, with the numbers.
    """
    room = available_bytes() if limit is None else limit
    total = sum(needed.values())
    if room is None or total <= room:
        return
    parts = ", ".join(f"{_text(count)} for {what}" for what, count in needed.items() if count)
    whose = "may be taken" if limit is not None else "are free on this machine"
    raise MemoryLimit(
        f"the run would take {_text(total)} of memory ({parts}); {_text(room)} {whose}",
        total,
        room,
    )


def available_bytes() -> int | None:
    """Memory that can still be had, or None where the system does not say."""
    found: list[int] = []
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    group = Path("/sys/fs/cgroup")
    most, used = (_lines(group / name) for name in ("memory.max", "memory.current"))
    if most and used and most[0].isdigit() and used[0].isdigit():
        found.append(max(int(most[0]) - int(used[0]), 0))
    if not found and "SC_AVPHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def addressable_bytes() -> int | None:
    """Addresses that the process may still take (``ulimit -v``), or None where that is open."""
    try:
        import resource
    except ImportError:  # not a Unix
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    sizes = [line.split()[1] for line in _lines(Path("/proc/self/status")) if "VmSize:" in line]
    if most == resource.RLIM_INFINITY or not sizes:
        return None
    return max(most - int(sizes[0]) * 1024, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _text(count: int) -> str:
    for unit, name in ((_GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count} bytes"
