"""What this host's kernel says of the containers that it has killed."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_KERNEL_LOG: Final = "/dev/kmsg"
_LONGEST_LINE: Final = 8192
_OOM: Final = b"oom-kill:"
_OOM_VICTIM: Final = re.compile(
    rb"[0-9]+,[0-9]+,([0-9]+),[^;]*;Memory cgroup out of memory: Killed process ([0-9]+) "
)
_NS_PER_US: Final = 1000
_SLACK_NS: Final = 5 * 10**6
# The clock of the log is not set right by NTP: 31 ms were seen to be missing after 23 hours, a third of this.
_DRIFT: Final = 1e-6
_MOST_DRIFT_NS: Final = 10**9


def killed_for_memory(container: str, pid: int, ran: tuple[int, int], others: Collection[int]) -> bool:
    """Whether the kernel has killed something in a container for its memory.

    pid      of its first process; 0 if it was over before anybody asked
    ran      from when until when, in ns since 1970
    others   first processes of containers that are known

    Engines miss one in ten such ends, those in which the container's cgroup is gone before they look. The
    kernel names the cgroup of ten victims in five seconds at most, but the process of each. Without a
    process it has to do that somebody unknown was killed for memory while the container ran, which then was
    for milliseconds. False where the log cannot be read.
    """
    cgroup = container.encode()
    up_ns = time.monotonic_ns()
    since_boot = time.time_ns() - up_ns
    slack_ns = _SLACK_NS + min(round(up_ns * _DRIFT), _MOST_DRIFT_NS)
    for line in _kernel_log():
        if _OOM in line and cgroup in line:
            return True
        victim = _OOM_VICTIM.match(line)
        if victim is None:
            continue
        killed, at_ns = int(victim[2]), int(victim[1]) * _NS_PER_US + since_boot
        if killed == pid:
            return True
        if not pid and killed not in others and ran[0] - slack_ns <= at_ns <= ran[1] + slack_ns:
            return True
    return False


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
