"""Whose containers these are, and whether their owner is provably gone.

A run is named after its process: the boot of the host, the process id, and when the process started. The
three together belong to no other process, so that whoever reads the name can tell whether it still lives.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from pathlib import Path
from typing import Final, NamedTuple

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_START_TIME: Final = 19  # of what follows the name of the program in /proc/PID/stat
_NAME: Final = re.compile(r"([0-9a-f]{8})-([0-9]+)-([0-9]+)(-[0-9]+)?")


class Owner(NamedTuple):
    """A process that owns containers. `started` is in clock ticks since the boot, 0 where nobody says."""

    boot: str
    pid: int
    started: int

    @classmethod
    def this_process(cls) -> Owner:
        return cls(_boot(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def of_run(cls, run: str) -> Owner | None:
        """The owner of a run; None if the name is not one that we gave."""
        found = _NAME.fullmatch(run)
        return None if found is None else cls(found[1], int(found[2]), int(found[3]))

    def run_name(self, number: int) -> str:
        """The name of the owner's run of that number."""
        return f"{self.boot}-{self.pid}-{self.started}-{number}"

    def provably_gone(self) -> bool:
        """It was a process of this boot of this host, and runs no more."""
        if self.boot != _boot():
            return False
        started = _started(self.pid)
        return started is None or started != self.started


def _boot() -> str:
    """Eight hexadecimal digits that no other boot of any host shares."""
    try:
        text = _BOOT_ID.read_text(encoding="ascii")
    except OSError:
        text = str(uuid.getnode())
    return hashlib.sha256(text.strip().encode()).hexdigest()[:8]


def _started(pid: int) -> int | None:
    """When the process started; None if there is none, 0 where it cannot be told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return 0
        return 0
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[_START_TIME])
