"""What the kernel's log says of a container that has ended with 137."""

from __future__ import annotations

import time

import pytest

from batchsim.drivers import kernel

CGROUP = "ab" * 32
NAMED = f"6,1,5000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/docker/{CGROUP},task=sh,pid=9"
VICTIM = "3,2,5000000,-;Memory cgroup out of memory: Killed process 77 (sh) total-vm:1kB"
GLOBAL = "3,2,5000000,-;Out of memory: Killed process 77 (sh) total-vm:1kB"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((NAMED, 5, (), (0, 1), True), id="its cgroup is named"),
        pytest.param((VICTIM, 77, (), (0, 1), True), id="its process was killed"),
        pytest.param((VICTIM, 78, (), (4, 6), False), id="another process was killed"),
        pytest.param(
            (VICTIM, 0, (), (4.9, 5.1), True), id="its process is unknown, somebody was killed then"
        ),
        pytest.param((VICTIM, 0, (), (5.1, 6), False), id="before it ran"),
        pytest.param((VICTIM, 0, (), (4, 4.9), False), id="after it ran"),
        pytest.param((VICTIM, 0, (77,), (4.9, 5.1), False), id="it was a container that is known"),
        pytest.param((GLOBAL, 77, (), (4, 6), False), id="for the memory of the host"),
        pytest.param(("", 77, (), (4, 6), False), id="nothing"),
    ],
)
def test_who_was_killed_for_memory(monkeypatch, case):
    line, pid, others, ran_s, told = case
    monkeypatch.setattr(kernel, "_kernel_log", lambda: iter([line.encode()]))
    boot_ns = time.time_ns() - time.monotonic_ns()
    since, until = (boot_ns + round(second * 1e9) for second in ran_s)
    assert kernel.killed_for_memory(CGROUP, pid, (since, until), others) is told
