"""What scripts rely on: exit codes, what goes to stdout and stderr, what is imported."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchsim.drivers.compiled import compiled_modules

FULL = Path("/dev/full")
HEAVY = {"pandas", "matplotlib", "scipy", "pyarrow"}


def imported(*arguments: str) -> set[str]:
    """Top-level packages that a call of the command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "batchsim", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line)
    return {module.partition(".")[0] for module in modules}


def test_help_imports_nothing_heavy():
    assert not imported("--help") & {*HEAVY, "numpy", "pydantic", "rich", "simpy"}


def test_check_imports_nothing_heavy(good):
    packages = imported("check", good)
    assert {"pydantic", "numpy"} <= packages
    assert not packages & {*HEAVY, "simpy"}


def test_version(batchsim):
    done = batchsim("--version")
    compiled = "compiled" if compiled_modules() else "not compiled"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"batchsim 0.1.0, {compiled}\n", "")


def test_a_good_run(batchsim, good):
    done = batchsim("run", good)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("small: finished after ")
    assert "\x1b" not in done.stdout


def test_a_stalled_run(batchsim, stuck):
    done = batchsim("run", stuck)
    assert done.returncode == 3
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "absent.yaml"], "absent.yaml: cannot read this file: No such file or directory"),
        (["check", "absent.yaml"], "absent.yaml: cannot read this file: No such file or directory"),
        (["audit", "absent"], "absent: expected a result folder with manifest.json, found no such folder"),
        (["instances", "--region", "mars"], "region: no price list for this region"),
        (["instances", "--memory", "lots"], "--memory: expected a size such as '900MiB'"),
        (["instances", "--catalog", "absent.csv"], "absent.csv: the catalogue cannot be read"),
        (["instances", "c6x"], "'c6x' is not an instance type that this catalogue knows"),
    ],
)
def test_a_mistake_is_one_line(batchsim, arguments, said):
    done = batchsim(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["run"],
        ["run", "x", "-n", "0"],
        ["run", "x", "-n", "10001"],
        ["run", "x", "--seed", "-1"],
        ["run", "x", "--format", "xml"],
        ["check", "x", "--verbose"],
        ["columns", "--frame", "events"],
        ["instances", "--vcpus", "many"],
    ],
)
def test_wrong_usage(batchsim, arguments):
    done = batchsim(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Usage: batchsim" in done.stderr


def test_all_problems_of_a_scenario_up_to_twenty(batchsim, good, tmp_path):
    data = json.loads(Path(good).read_text())
    data.update({f"unknown{i}": 1 for i in range(25)})
    path = tmp_path / "many.json"
    path.write_text(json.dumps(data, indent=1))
    done = batchsim("run", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    *problems, last = done.stderr.splitlines()
    assert len(problems) == 20
    assert all(each.startswith(f"error: {path}:") and "unknown key" in each for each in problems)
    assert last == "... and 5 more"


def test_texts_of_a_user_cannot_steer_the_terminal(batchsim):
    done = batchsim("run", "\x1b[31mred\x07.yaml")
    assert "\x1b" not in done.stderr
    assert "\\x1b[31mred\\x07.yaml" in done.stderr


def test_a_name_that_is_no_text(batchsim):
    done = batchsim("run", os.fsdecode(b"\xff.yaml"))
    assert done.returncode == 2
    assert "\\udcff.yaml: cannot read this file" in done.stderr


def test_output_in_an_encoding_that_lacks_letters(batchsim, good):
    done = batchsim("run", good, "-n", "2", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


@pytest.mark.parametrize("arguments", [["instances", "--limit", "0"], ["schema"]])
def test_a_reader_that_goes_away_is_no_error(arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "batchsim", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line():
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "batchsim", "columns"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "error: cannot write the output: No space left on device\n"


def test_a_closed_output_is_no_error():
    command = f"{sys.executable} -m batchsim columns >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode == 0


def test_an_interrupt(write, tmp_path):
    """A run of hours of work, stopped after a moment."""
    from tests.studies.scenarios import definition, jobs, unmanaged, world

    workload = jobs("j", "q0", "d", 1_000_000)
    scenario = write(
        world([unmanaged("lab", {"vcpus": 2, "memory": "4GiB"})], [workload], definition("d", 1, 1000))
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "batchsim", "run", scenario, "-o", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr in ("interrupted: nothing was written\n", "")
    assert not (tmp_path / "out").exists()


# --- terminals ----------------------------------------------------------------------------------


def on_terminal(columns: int, *arguments: str, **environment: str) -> str:
    """What the command prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "batchsim", *arguments],
        stdout=theirs,
        stderr=subprocess.DEVNULL,  # what is told of the progress overwrites itself
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment},
    )
    os.close(theirs)
    printed = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        printed += chunk
    os.close(ours)
    process.wait(60)
    return printed.decode().replace("\r\n", "\n")


def test_colour_on_a_terminal_unless_refused(stuck):
    assert "\x1b[" in on_terminal(80, "check", stuck)
    assert "\x1b" not in on_terminal(80, "check", stuck, NO_COLOR="1")


COMPARE = (
    "compare -n 2 --vary computeEnvironments.cloud.computeResources.instanceTypes=[c6i.large],[r6i],[x2idn]"
)
NUMBER = re.compile(r"(?<![\w.,])[0-9][0-9.,]*(?![\w.])")


@pytest.mark.parametrize("columns", [40, 50, 60, 80, 120])
@pytest.mark.parametrize("verb", ["run", "run -n 2", COMPARE, "check", "instances", "columns"])
def test_tables_fit_the_terminal_and_no_number_is_cut(verb, columns, stuck):
    arguments = [*verb.split(), *([stuck] if verb[:3] in {"run", "com", "che"} else [])]
    printed = on_terminal(columns, *arguments, NO_COLOR="1")
    lines = [line.rstrip() for line in printed.splitlines() if "--set" not in line]
    assert len(lines) > 10
    assert max(map(len, lines)) <= columns
    assert "…" not in printed
    whole = set(NUMBER.findall(on_terminal(200, *arguments, NO_COLOR="1")))
    assert len(whole) > 2
    assert set(NUMBER.findall(printed)) <= whole


def test_off_a_terminal_nothing_is_wrapped(batchsim, stuck):
    reason = (
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is"
        " higher than that can be met by the CE(s) attached to the job queue."
    )
    for verb in ("run", "check"):
        done = batchsim(verb, stuck, COLUMNS="40")
        assert any(reason in line for line in done.stdout.splitlines())
        assert all(line == line.rstrip() for line in done.stdout.splitlines())
