"""What this host's kernel says of the containers that it has killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_KERNEL_LOG: Final = "/dev/kmsg"
_LONGEST_LINE: Final = 8192
_OOM: Final = b"oom-kill:"
_OOM_VICTIM: Final = b"Killed process %d "


def killed_for_memory(container: str, pid: int | None) -> bool:
    """Whether the kernel has killed something in a container for its memory; `pid` is its first process.

    Engines miss one in ten such ends, those in which the container's cgroup is gone before they look. The
    kernel names the cgroup of ten victims in five seconds at most, but the process of each. False where the
    log cannot be read.
    """
    cgroup, victim = container.encode(), _OOM_VICTIM % pid if pid else None
    return any(
        (_OOM in line and cgroup in line) or (victim is not None and victim in line) for line in _kernel_log()
    )


def _kernel_log() -> Iterator[bytes]:
    """What the kernel has said of late; nothing where we may not know."""
    try:
        log = os.open(_KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        while True:
            try:
                yield os.read(log, _LONGEST_LINE)
            except BrokenPipeError:
                continue  # lines were lost while we read
            except OSError:
                return  # that was all
    finally:
        os.close(log)
