"""Compile the hot path with mypyc when a wheel is built.

    pip install .                          compiled where there is a C compiler, else as Python
    BATCHSIM_COMPILE=0 pip install .       as Python
    BATCHSIM_COMPILE=1 pip install -e .    compiled, beside the sources

Only with BATCHSIM_COMPILE=1 is it an error if nothing can be compiled; `pip -v` says why else, and
`batchsim --version` what was done. An editable installation is for those who change the sources, so it is
compiled only when asked for; each removes what an earlier one has put beside the sources.

hatch-mypyc does the same, but fails where there is no compiler, moves pyproject.toml out of the way while it
compiles, and takes twice the time, since it compiles one module after another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ASKED = os.environ.get("BATCHSIM_COMPILE", "")
_FLAGS = os.environ.get("CFLAGS") or sysconfig.get_config_var("CFLAGS") or ""  # the former replace the latter
_LINES_TOLD = 20
_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

# -O1 takes two thirds of the time of -O3, for 2 % of the speed; so does a compiler that need not warn (-w).
# parallel: as many compilers as processors.
_SETUP = """\
from setuptools import setup
from mypyc.build import mypycify
setup(
    name="compiled",
    packages=[],
    ext_modules=mypycify({arguments!r}, opt_level="1", debug_level="0"),
    options={{"build_ext": {{"inplace": True, "parallel": True}}}},
)
"""


class CompileHook(BuildHookInterface):
    """Reads `requires`, `modules`, `except` and `mypy-args` from its table in pyproject.toml."""

    _work: TemporaryDirectory[str] | None = None  # until the wheel is written

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        if _ASKED not in {"", "0", "1"}:
            raise ValueError(f"BATCHSIM_COMPILE: expected 0 or 1, found {_ASKED!r}")
        wanted = _ASKED == "1" or (_ASKED != "0" and _has_compiler())
        return self.config["requires"] if wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add what comes of it to the wheel, or put it beside the sources."""
        editable = version == "editable"
        if editable:
            self._forget()
        if _ASKED == "0" or (editable and _ASKED != "1"):
            return
        self._work = TemporaryDirectory(prefix="batchsim-", ignore_cleanup_errors=True)
        work = Path(self._work.name)
        problem = self._compile(work) if _ASKED == "1" or _has_compiler() else "no C compiler was found"
        if problem:
            if _ASKED == "1":
                raise RuntimeError(f"batchsim cannot be compiled: {problem}")
            self.app.display_warning(f"batchsim is not compiled, since it cannot be: {problem}")
            return
        made = _made(work)
        if editable:
            for path in made:
                shutil.copy2(path, Path(self.root, path.relative_to(work)))
        else:
            build_data["force_include"] |= {str(path): str(path.relative_to(work)) for path in made}
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, *_: object) -> None:
        """The wheel is written."""
        if self._work is not None:
            self._work.cleanup()

    def _forget(self) -> None:
        """Remove what an earlier installation has put beside the sources."""
        for path in _made(Path(self.root)):
            path.unlink()

    def _compile(self, work: Path) -> str:
        """Compile a copy of the sources; gives why that failed, "" if it did not."""
        ignore = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        shutil.copytree(Path(self.root, "batchsim"), work / "batchsim", ignore=ignore)
        found = {path.relative_to(work) for pattern in self.config["modules"] for path in work.glob(pattern)}
        modules = sorted(map(str, found - set(map(Path, self.config["except"]))))
        setup = _SETUP.format(arguments=[*self.config["mypy-args"], *modules])
        Path(work, "setup.py").write_text(setup, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "setup.py", "build_ext"],
            cwd=work,
            env=os.environ | {"CFLAGS": f"{_FLAGS} -w"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return "\n".join(done.stdout.splitlines()[-_LINES_TOLD:]) if done.returncode else ""


def _made(folder: Path) -> list[Path]:
    """The compiled modules in a folder with the sources, and what they share."""
    return [*folder.glob(f"*__mypyc{_SUFFIX}"), *Path(folder, "batchsim").rglob(f"*{_SUFFIX}")]


def _has_compiler() -> bool:
    """Whether there is one; on Windows setuptools must look for itself."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cl").split()[0]
    return os.name == "nt" or shutil.which(compiler) is not None
