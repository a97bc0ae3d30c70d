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


class _Progress:
    """What both kinds have in common: when it is time to tell something, and how."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (_BAR_AFTER_S if self._on_terminal else _LINE_EVERY_S)
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _is_due(self) -> bool:
        return time.monotonic() >= self._next_s

    def _tell(self, told: str, done: int, of: int) -> None:
        self._next_s = time.monotonic() + (_BAR_EVERY_S if self._on_terminal else _LINE_EVERY_S)
        if not self._on_terminal:
            note(told)
            return
        if self._bar is None:
            self._bar = _new_bar()
        (task,) = self._bar.task_ids
        self._bar.update(task, completed=done, total=of, description=told, refresh=True)


class RunProgress(_Progress):
    """Called by a run now and then with (replication, simulated us, jobs ended, jobs)."""

    def __init__(self, replications: int) -> None:
        super().__init__()
        self._replications = replications

    def __call__(self, replication: int, now_us: int, ended: int, jobs: int) -> None:
        if not self._is_due():
            return
        which = f"replication {replication + 1} of {self._replications}: " if self._replications > 1 else ""
        told = f"{which}{ended:,} of {jobs:,} jobs ended, simulated {format_duration(now_us)}"
        self._tell(told, replication * jobs + ended, self._replications * jobs)


class TaskProgress(_Progress):
    """Called now and then with (done, all) of pieces of work called `what`."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def __call__(self, done: int, of: int) -> None:
        if self._is_due():
            self._tell(f"{done:,} of {of:,} {self._what}", done, of)


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
