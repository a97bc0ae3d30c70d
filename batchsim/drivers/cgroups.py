"""One cgroup for each instance of a real run, so that the kernel holds its containers to the instance's size.

    <hierarchy>/batchsim/<run>/<instance>/<container>

Works where the engine is on this host, uses the cgroupfs driver, and this process may write there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchsim.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT: Final = Path("/sys/fs/cgroup")
_TOP: Final = "batchsim"
_PERIOD_US: Final = 100_000
_V1: Final = ("memory", "cpu")


class CgroupTree:
    """The cgroups of one run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._made: set[int] = set()

    def parent_of(self, instance: int, vcpus: float, memory_mib: int) -> str:
        """The cgroup of an instance, made with its limits the first time it is asked for.

        Raises EngineError when it cannot be made.
        """
        name = f"/{_TOP}/{self._run}/i-{instance}"
        if instance not in self._made:
            try:
                self._make(name, max(1000, round(vcpus * _PERIOD_US)), memory_mib << 20)
            except OSError as error:
                raise EngineError(
                    f"cannot make a cgroup: {error.strerror or error}",
                    path=str(error.filename or name),
                    hint="leave out --cgroups, or run as root on the engine's host",
                ) from error
            self._made.add(instance)
        return name

    def remove(self) -> None:
        """Remove the run's cgroups, which must be empty. Raises OSError when they are not."""
        for hierarchy in _hierarchies():
            top = hierarchy / _TOP / self._run
            for folder in sorted(top.glob("**/"), reverse=True):
                folder.rmdir()
            with suppress(OSError):  # another run has cgroups, or nobody ever had one here
                top.parent.rmdir()

    @staticmethod
    def runs() -> list[str]:
        """The runs that have cgroups on this host."""
        tops = [hierarchy / _TOP for hierarchy in _hierarchies()]
        return sorted({each.name for top in tops for each in top.glob("*") if each.is_dir()})

    def _make(self, name: str, quota_us: int, memory: int) -> None:
        if (_MOUNT / "cgroup.controllers").exists():
            for parent in (_MOUNT, _MOUNT / _TOP, _MOUNT / _TOP / self._run):
                parent.mkdir(exist_ok=True)
                (parent / "cgroup.subtree_control").write_text("+cpu +memory +pids")
            folder = _MOUNT / name.lstrip("/")
            folder.mkdir(exist_ok=True)
            (folder / "memory.max").write_text(str(memory))
            (folder / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
            return
        for hierarchy in _hierarchies():
            (hierarchy / name.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (_MOUNT / "memory" / name.lstrip("/") / "memory.limit_in_bytes").write_text(str(memory))
        cpu = _MOUNT / "cpu" / name.lstrip("/")
        (cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (cpu / "cpu.cfs_quota_us").write_text(str(quota_us))


def _hierarchies() -> Iterator[Path]:
    """Where cgroups are: in one place with cgroup 2; with cgroup 1 each controller has its own."""
    if (_MOUNT / "cgroup.controllers").exists():
        yield _MOUNT
    elif _MOUNT.is_dir():
        yield from (each for each in sorted(_MOUNT.iterdir()) if each.is_dir() and not each.is_symlink())
