"""Scenarios as files, and the command line called in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from batchsim.cli.app import app
from tests.studies.scenarios import definition, jobs, managed, unmanaged, world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a scenario's data and give its path."""

    def write_file(data: dict[str, Any], name: str = "small.json") -> str:
        path = tmp_path / name
        path.write_text(json.dumps(data))
        return str(path)

    return write_file


@pytest.fixture
def good(write: Callable[..., str]) -> str:
    """A scenario of two queues, one on a managed and one on an unmanaged environment."""
    runtime = {"exponential": {"mean": "5m"}}
    return write(
        world(
            [
                managed("cloud", 16, "c6i", "m6i.large"),
                unmanaged("lab", {"vcpus": 4, "memory": "8GiB", "usdPerHour": 0.1}),
            ],
            [jobs("big", "q0", "d", 12, runtime=runtime), jobs("small", "q1", "d", 6, runtime=runtime)],
            definition("d", 2, 2000),
        )
    )


@pytest.fixture
def stuck(write: Callable[..., str]) -> str:
    """A scenario with a job that asks for more memory than its environment has."""
    return write(
        world(
            [managed("cloud", 16, "c6i.large", "m6i.large")],
            [jobs("fine", "q0", "fine", 2), jobs("big", "q0", "big", 3), jobs("late", "q0", "fine", 4)],
            definition("big", 2, 8192),
            definition("fine", 2, 1000),
        ),
        "stuck.json",
    )


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Call the command in this process; an exception that is no exit fails the test."""

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments, prog_name="batchsim")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def batchsim() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the command in a process of its own."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS"}}
        return subprocess.run(
            [sys.executable, "-m", "batchsim", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**clean, "TERM": "xterm-256color", **environment},
        )

    return call
