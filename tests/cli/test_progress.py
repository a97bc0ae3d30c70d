"""Progress of long runs, with a clock of our own."""

from __future__ import annotations

import io
import sys
from itertools import pairwise

import pytest

from batchsim.cli.progress import RunProgress

HOUR_US = 3600 * 10**6


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def clock(monkeypatch):
    ours = Clock()
    monkeypatch.setattr("batchsim.cli.progress.time.monotonic", ours)
    return ours


def called_each_second(clock, monkeypatch, seconds, *, terminal, replications=1):
    stream = Stream(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    with RunProgress(replications) as progress:
        for second in range(1, seconds + 1):
            clock.now_s += 1
            progress(replications - 1, second * HOUR_US, second * 100, 5_000)
    return stream.getvalue()


def test_a_line_every_ten_seconds_off_a_terminal(clock, monkeypatch):
    told = called_each_second(clock, monkeypatch, 35, terminal=False)
    assert told.splitlines() == [
        "1,000 of 5,000 jobs ended, simulated 10h 00m",
        "2,000 of 5,000 jobs ended, simulated 20h 00m",
        "3,000 of 5,000 jobs ended, simulated 30h 00m",
    ]


def test_which_replication_it_is(clock, monkeypatch):
    told = called_each_second(clock, monkeypatch, 10, terminal=False, replications=4)
    assert told == "replication 4 of 4: 1,000 of 5,000 jobs ended, simulated 10h 00m\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_short_run_shows_nothing(clock, monkeypatch, terminal):
    assert called_each_second(clock, monkeypatch, 0, terminal=terminal) == ""


def test_a_bar_on_a_terminal_is_gone_at_the_end(clock, monkeypatch):
    told = called_each_second(clock, monkeypatch, 5, terminal=True)
    seen = [told.find(f"{100 * second} of 5,000 jobs ended") for second in range(1, 6)]
    assert all(earlier < later for earlier, later in pairwise(seen))
    assert told.endswith("\x1b[2K")  # the line is erased
