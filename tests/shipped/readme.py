"""What README.md shows of terminal sessions and assumptions: found, compared, and written anew.

A session is a command and what it prints: in a fenced block marked `console`, a line that begins with `$ `
and the lines up to the next one; stdout, then stderr. A line `...` stands for any lines. Exit codes are not
shown.

    python tests/shipped/readme.py        writes into README.md what is true now
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from batchsim.scenario import Assumption, assumption_table

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
ANY = "..."
# What long runs tell of their progress now and then, which depends on the machine.
PROGRESS = re.compile(r"^(replication .*: )?[\d,]+ of [\d,]+ (runs|jobs ended, simulated .*)\n", re.MULTILINE)


class Session(NamedTuple):
    """A command, what is shown of its output, and the position of that in the text."""

    command: str
    shown: str
    start: int
    end: int

    def agrees_with(self, printed: str) -> bool:
        """Whether `printed` is what is shown, but for white space and the lengths of rules."""
        pattern = "".join(
            r"(?:.*\n)*" if line == ANY else re.escape(line) + r"\n" for line in normal(self.shown)
        )
        return re.fullmatch(pattern, "".join(f"{line}\n" for line in normal(printed))) is not None

    def renewed(self, printed: str) -> str:
        """`printed`; of a session that is cut, the lines that begin with the words of those shown now."""
        lines = [line.rstrip() for line in printed.splitlines()]
        shown = self.shown.splitlines()
        if ANY in shown:
            rest = iter(lines)
            lines = [
                each if each == ANY else next(line for line in rest if first(line) == first(each))
                for each in shown
            ]
        return "".join(f"{line}\n" for line in lines)


def first(line: str) -> str:
    """The first word of a line, a rule of any length being one word."""
    return next(iter(re.sub("─+", "─", line).split()), "")


def normal(text: str) -> list[str]:
    return [re.sub(r"\s+", " ", re.sub("─+", "─", line)).strip() for line in text.strip().splitlines()]


def sessions(text: str) -> list[Session]:
    """All sessions of a Markdown text, in order."""
    found = []
    for block in re.finditer(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        inside = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
        found += [
            Session(match.group(1), match.group(2), match.start(2), match.end(2))
            for match in inside.finditer(text, block.start(1), block.end(1))
        ]
    return found


def run(command: str, folder: Path) -> tuple[int, str]:
    """The exit code and the output of a `batchsim` command in a folder that has the shipped scenarios."""
    link = folder / "scenarios"
    if not link.exists():
        link.symlink_to(ROOT / "scenarios", target_is_directory=True)
    words = shlex.split(command)
    assert words[0] == "batchsim", command
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return ran.returncode, ran.stdout + PROGRESS.sub("", ran.stderr)


ASSUMPTIONS = re.compile(r"(<!-- assumptions: .* -->\n)(.*?)(<!-- end of assumptions -->)", re.DOTALL)


def assumptions() -> str:
    """The table of all assumptions."""
    rows = ["| assumption | `aws` | `measured` | `ideal` | what it is |", "|---|---|---|---|---|"]
    rows += [
        f"| `{each.name}` | {value(each.aws, each.unit)} | {measured(each)} |"
        f" {value(each.ideal, each.unit)} | {each.sentence} |"
        for each in assumption_table()
    ]
    return "\n".join(rows) + "\n"


def measured(each: Assumption) -> str:
    """Empty where it is as in preset `aws`."""
    return "" if each.measured == each.aws else value(each.measured, each.unit)


def value(given: Any, unit: str) -> str:
    """A value as a scenario file has it: `lognormal, median 20s, p95 60s`, `100 MB/s`."""
    if given in ([], {}):
        return "none"
    if isinstance(given, dict):
        ((kind, parameters),) = given.items()
        return ", ".join([kind, *(f"{name} {amount}" for name, amount in parameters.items())])
    return f"{given} {unit}" if unit == "MB/s" and given else str(given)


def renewed(text: str) -> str:
    """The text with what its sessions print now, and with the assumptions of now."""
    text = ASSUMPTIONS.sub(lambda match: match[1] + assumptions() + match[3], text)
    with tempfile.TemporaryDirectory() as folder:
        pieces, position = [], 0
        for session in sessions(text):
            pieces += [text[position : session.start], session.renewed(run(session.command, Path(folder))[1])]
            position = session.end
    return "".join([*pieces, text[position:]])


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
