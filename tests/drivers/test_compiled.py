"""What is compiled must be what the sources say. (`.ci/run` compiles, and runs all tests once more.)"""

import os
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from batchsim.drivers import planning
from batchsim.drivers.compiled import compiled_modules, refuse_stale
from batchsim.errors import InputError


@pytest.fixture
def checkout(tmp_path):
    """A checkout with core/line.py and core/grid.py, of which line is compiled."""
    package = tmp_path / "batchsim"
    (tmp_path / "pyproject.toml").touch()
    for folder in ("core", "drivers"):
        (package / folder).mkdir(parents=True)
    for name in ("line.py", "grid.py", f"line{EXTENSION_SUFFIXES[0]}"):
        (package / "core" / name).touch()
        os.utime(package / "core" / name, (1_000, 1_000))
    return package


def test_sources_as_old_as_what_was_compiled_are_followed(checkout):
    assert [path.name for path in compiled_modules(checkout)] == ["line.py"]
    refuse_stale(checkout)


def test_a_source_that_was_changed_after_it_was_compiled_is_refused(checkout):
    os.utime(checkout / "core" / "grid.py", (2_000, 2_000))
    refuse_stale(checkout)  # it is not compiled
    os.utime(checkout / "core" / "line.py", (2_000, 2_000))
    with pytest.raises(InputError) as caught:
        refuse_stale(checkout)
    assert str(caught.value) == (
        "batchsim/core/line.py was changed after it had been compiled; "
        "compile again, as README.md says under Speed, or leave it with pip install -e ."
    )


def test_an_installed_package_is_not_asked_for_times(checkout):
    (checkout.parent / "pyproject.toml").unlink()
    os.utime(checkout / "core" / "line.py", (2_000, 2_000))
    refuse_stale(checkout)


def test_every_run_asks(monkeypatch):
    def refuse():
        raise InputError("stale")

    monkeypatch.setattr(planning, "refuse_stale", refuse)
    with pytest.raises(InputError, match="stale"):
        planning.prepare(None, None)
