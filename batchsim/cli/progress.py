"""Progress of long runs on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from batchsim.cli.output import console, note
from batchsim.units import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress

_BAR_AFTER_S = 0.5
_BAR_EVERY_S = 0.1
_LINE_EVERY_S = 10.0


class RunProgress:
    """Called by a run now and then with (replication, simulated us, jobs ended, jobs)."""

    def __init__(self, replications: int) -> None:
        self._replications = replications
        self._on_terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (_BAR_AFTER_S if self._on_terminal else _LINE_EVERY_S)
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, replication: int, now_us: int, ended: int, jobs: int) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        which = f"replication {replication + 1} of {self._replications}: " if self._replications > 1 else ""
        told = f"{ended:,} of {jobs:,} jobs ended, simulated {format_duration(now_us)}"
        if not self._on_terminal:
            self._next_s = now_s + _LINE_EVERY_S
            note(which + told)
            return
        self._next_s = now_s + _BAR_EVERY_S
        if self._bar is None:
            self._bar = _new_bar()
        done = replication * jobs + ended
        (task,) = self._bar.task_ids
        self._bar.update(
            task, completed=done, total=self._replications * jobs, description=which + told, refresh=True
        )


class TaskProgress:
    """Called now and then with (done, all) of pieces of work called `what`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._on_terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (_BAR_AFTER_S if self._on_terminal else _LINE_EVERY_S)
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, of: int) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        told = f"{done:,} of {of:,} {self._what}"
        if not self._on_terminal:
            self._next_s = now_s + _LINE_EVERY_S
            note(told)
            return
        self._next_s = now_s + _BAR_EVERY_S
        if self._bar is None:
            self._bar = _new_bar()
        (task,) = self._bar.task_ids
        self._bar.update(task, completed=done, total=of, description=told, refresh=True)


def _new_bar() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    bar = Progress(
        BarColumn(bar_width=10),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        TimeRemainingColumn(),
        console=console(sys.stderr),
        auto_refresh=False,
        transient=True,
    )
    bar.add_task("")
    bar.start()
    return bar
