"""The errors batchsim raises.

    BatchsimError
    ├── InputError           the user's input is wrong: one line, exit code 2, never a traceback
    │   ├── ScenarioError    a scenario file or a --set override
    │   ├── TraceError       a workload trace or a sample file
    │   ├── CatalogError     an instance-type catalogue or a price that is not known
    │   ├── ResultError      a result folder that cannot be read or written
    │   ├── EngineError      a container engine that cannot be used as asked
    │   └── UsageError       a combination of options that makes no sense
    ├── AuditError           a result breaks a law that every result must obey
    ├── ContractError        a driver told the scheduler something impossible: a bug in batchsim
    └── StallError           the simulation does not advance: a bug in batchsim

Any other exception that escapes is a bug in batchsim.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_VIOLATIONS = 20


class BatchsimError(Exception):
    """Base of every error raised on purpose."""


class InputError(BatchsimError):
    """Something the user gave is wrong, and the user can mend it.

    `str(error)` is always one line: `file:line:column: path: expected ..., found ...; hint`, with
    the parts that are unknown left out.

    message   what is wrong when `expected`/`found` do not say it all
    file      as the user named it
    line, column  1-based; None when unknown
    path      the place inside the file, in `--set` notation (`computeEnvironments.0.type`)
    expected, found  short texts; `found` is cut to 80 characters
    hint      what to do about it

    Of a file that a scenario names (see `at_path`):

    named_in  the path of the scenario at which it is named
    named_at  where that stands: `file:line:column`
    """

    named_in: str | None = None
    named_at: str | None = None

    def __init__(
        self,
        message: str = "",
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.path = path
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(self.one_line())

    def __str__(self) -> str:
        return self.one_line()

    def one_line(self) -> str:
        place = place_text(self.file, self.line, self.column)
        said = self.message
        if self.expected is not None:
            said += f"{': ' if said else ''}expected {self.expected}"
        if self.found is not None:
            said += f"{', ' if self.expected is not None else ': ' if said else ''}found {_cut(self.found)}"
        text = ": ".join(part for part in (place, self.path, said) if part)
        if self.hint:
            text += f"; {self.hint}"
        if self.named_in:
            text += f" (named in {', '.join(filter(None, [self.named_at, self.named_in]))})"
        return " ".join(text.split())


class ScenarioError(InputError):
    """A scenario file, or a `--set` override of it, cannot be used."""


class TraceError(InputError):
    """A workload trace or a sample file cannot be used; `line` is the offending row."""


class CatalogError(InputError):
    """An instance type, a price or a user's catalogue cannot be used."""


class ResultError(InputError):
    """A result folder cannot be read or written."""


class EngineError(InputError):
    """A container engine cannot be reached, or cannot do what was asked; `path` is its address."""


class UsageError(InputError):
    """The command line or a function call makes no sense as a whole."""


class AuditError(BatchsimError):
    """A result breaks a law; the message names the law and the first guilty rows."""

    @classmethod
    def about(cls, broken: Sequence[str], whose: str = "the result") -> AuditError:
        """Of violations in words; the first of them are told."""
        cut = len(broken) - _MOST_VIOLATIONS
        lines = [*broken[:_MOST_VIOLATIONS], *([f"... and {cut} more"] if cut > 0 else [])]
        return cls(f"{whose} breaks a law, which is a bug in batchsim:\n" + "\n".join(lines))


class ContractError(BatchsimError):
    """A driver told the scheduler something impossible. The run must stop: it is a bug in batchsim."""


class StallError(BatchsimError):
    """More than 1,000 decisions at one instant (law L17). It is a bug in batchsim."""


def place_text(file: str | None, line: int | None, column: int | None) -> str:
    """`file:line:column`, as far as they are known."""
    known = [file or "", line, column if line is not None else None]
    return ":".join(str(part) for part in known if part is not None)


@contextmanager
def at_path(path: str) -> Iterator[None]:
    """Say of an InputError which part of the scenario is wrong, or names the file that is.

    path   in `--set` notation. An error that already names a part of the scenario keeps it.
    """
    try:
        yield
    except InputError as error:
        if error.file is not None:
            error.named_in = error.named_in or path
        else:
            error.path = error.path or path
        raise


def _cut(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
