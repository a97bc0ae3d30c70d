"""What the kernel's log says of a container that has ended with 137."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from batchsim.drivers import kernel

NOW_NS = 1_800_000_000 * 10**9
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
    assert asked(monkeypatch, line, pid, others, ran_s, up_s=10) is told


@pytest.mark.parametrize(("ran_s", "told"), [((5.08, 6), True), ((5.12, 6), False), ((4, 4.92), True)])
def test_the_clock_of_the_log_goes_astray_while_the_host_is_up(monkeypatch, ran_s, told):
    assert asked(monkeypatch, VICTIM, 0, (), ran_s, up_s=100_000) is told


def asked(monkeypatch, line, pid, others, ran_s, *, up_s) -> bool:
    monkeypatch.setattr(kernel, "_kernel_log", lambda: iter([line.encode()]))
    monkeypatch.setattr(
        kernel, "time", SimpleNamespace(time_ns=lambda: NOW_NS, monotonic_ns=lambda: up_s * 10**9)
    )
    since, until = (NOW_NS - up_s * 10**9 + round(second * 1e9) for second in ran_s)
    return kernel.killed_for_memory(CGROUP, pid, (since, until), others)
