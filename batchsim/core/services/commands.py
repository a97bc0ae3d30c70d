"""What the scheduler of service jobs asks a driver to do: tuples whose first item is their kind.

(SCHEDULE, job)                  send the job to SageMaker; its capacity is counted from now on
(STOP, job, status_reason)       stop its training job; an exit must follow, and the job will be FAILED
(PREEMPT, job, status_reason)    likewise; the job becomes RUNNABLE again unless it was preempted too often
(FAIL, job, status_reason)       the job is FAILED at this instant; nothing of it runs
"""

from __future__ import annotations

from typing import Any, Final

SCHEDULE: Final = 0
STOP: Final = 1
PREEMPT: Final = 2
FAIL: Final = 3

Command = tuple[Any, ...]

_WORDS: Final = ("Schedule", "Stop", "Preempt", "Fail")
_FIELDS: Final = ("job", "status_reason")


def describe(command: Command) -> str:
    """`Stop(job=7, status_reason='no longer needed')`."""
    fields = ", ".join(f"{name}={value!r}" for name, value in zip(_FIELDS, command[1:], strict=False))
    return f"{_WORDS[command[0]]}({fields})"
