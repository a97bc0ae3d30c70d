"""Job states as a table: the table is the rule, the documentation and the source of the tests.

Everything that may change a job's state looks here. States are small integers because one byte a job
is stored and compared a million times; `STATE_NAMES` gives AWS's words.

    SUBMITTED ──► PENDING ──► RUNNABLE ──► STARTING ──► RUNNING ──► SUCCEEDED
        │            │         ▲  │          │  │         │  │
        └────────────┼────────►┘  │          │  └────►┐   │  └────► FAILED
                     ▼            ▼          ▼        RUNNABLE (a further attempt)
                   FAILED       FAILED     FAILED

Source: [spec 1.1, 1.2], [UG: job_states].
"""

from __future__ import annotations

from typing import Final

SUBMITTED: Final = 0
PENDING: Final = 1
RUNNABLE: Final = 2
STARTING: Final = 3
RUNNING: Final = 4
SUCCEEDED: Final = 5
FAILED: Final = 6

STATE_NAMES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")

# From each state, the states a job may enter next. Terminal states have none.
LEGAL: Final[dict[int, tuple[int, ...]]] = {
    SUBMITTED: (PENDING, RUNNABLE, FAILED),
    PENDING: (RUNNABLE, SUCCEEDED, FAILED),
    RUNNABLE: (STARTING, FAILED),
    STARTING: (RUNNING, RUNNABLE, FAILED),
    RUNNING: (SUCCEEDED, RUNNABLE, FAILED),
    SUCCEEDED: (),
    FAILED: (),
}
