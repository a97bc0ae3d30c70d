"""The command line: one module a verb, each of which reads arguments, calls the library and prints.

Data goes to stdout; notes, progress and errors to stderr. Exit codes: 0 good, 1 a check or an audit
failed, 2 bad scenario or usage, 3 the run stalled with jobs that can never start, 130 interrupted.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The `batchsim` command; ends the process with its exit code."""
    try:
        from batchsim.cli import output
        from batchsim.cli.app import app

        output.prepare_streams()
        try:
            app(prog_name="batchsim")
        finally:
            output.flush()
    except KeyboardInterrupt:
        sys.exit(130)
