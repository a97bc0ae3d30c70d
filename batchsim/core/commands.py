"""What the scheduler asks a driver to do.

A command is a plain tuple whose first item is its kind: tuples are built a million times in a run.
`describe` gives the words for logs and people.

    (START, job, instance)                  begin an attempt of `job`; its resources are reserved
    (START_NODES, job, instances)           likewise of a multi-node job; the instances in node order
    (STOP, job, status_reason)              SIGTERM now, SIGKILL after the grace; an exit must follow
    (FAIL, job, status_reason)              the job is FAILED without a further attempt; nothing runs
    (LAUNCH, instance, environment, type)   start a machine; `instance_ready` or `launch_failed` follows
    (TERMINATE, instance)                   give an empty machine back
    (EVICT, instance)                       likewise one on which jobs run; `instance_lost` must follow
"""

from __future__ import annotations

from typing import Any, Final

START: Final = 0
STOP: Final = 1
FAIL: Final = 2
LAUNCH: Final = 3
TERMINATE: Final = 4
START_NODES: Final = 5
EVICT: Final = 6

Command = tuple[Any, ...]

_FIELDS: Final = {
    START: ("Start", "job", "instance"),
    START_NODES: ("StartNodes", "job", "instances"),
    STOP: ("Stop", "job", "status_reason"),
    FAIL: ("Fail", "job", "status_reason"),
    LAUNCH: ("Launch", "instance", "environment", "type"),
    TERMINATE: ("Terminate", "instance"),
    EVICT: ("Evict", "instance"),
}


def describe(command: Command) -> str:
    """`Start(job=7, instance=3)`."""
    name, *fields = _FIELDS[command[0]]
    return f"{name}({', '.join(f'{f}={v!r}' for f, v in zip(fields, command[1:], strict=True))})"
