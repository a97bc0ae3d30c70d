"""Shared by all tests: Hypothesis profiles, and where the large logs are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("pr", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "pr" if "CI" in os.environ else "dev"))


@pytest.fixture(scope="session")
def traces() -> Path:
    """The folder of real logs, which lies beside the project and not in it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "traces"
    if not folder.is_dir():
        pytest.skip("the real logs are not here: ../shared/data/traces beside the project")
    return folder
