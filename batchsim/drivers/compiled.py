"""Whether the hot path is compiled, and whether what was compiled is what the sources say.

Python prefers a compiled module to the source beside it. In a checkout the source may have been changed
since; a run must not follow rules that nobody can read any more.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from batchsim.errors import InputError

PACKAGE = Path(__file__).parents[1]


def compiled_modules(package: Path = PACKAGE) -> list[Path]:
    """The sources beside which a compiled form lies, in order of path."""
    return sorted(
        source
        for folder in ("core", "drivers")
        for source in (package / folder).glob("*.py")
        if _compiled_form(source) is not None
    )


def refuse_stale(package: Path = PACKAGE) -> None:
    """Raises InputError if a source in a checkout is newer than its compiled form."""
    if not (package.parent / "pyproject.toml").exists():
        return  # installed: pip writes both, and nobody edits them
    for source in compiled_modules(package):
        compiled = _compiled_form(source)
        assert compiled is not None
        if source.stat().st_mtime > compiled.stat().st_mtime:
            raise InputError(
                f"{source.relative_to(package.parent)} was changed after it had been compiled",
                hint="compile again, as README.md says under Speed, or leave it with pip install -e .",
            )


def _compiled_form(source: Path) -> Path | None:
    """What Python imports in place of a source, if it is there."""
    forms = (source.with_name(source.stem + suffix) for suffix in EXTENSION_SUFFIXES)
    return next((form for form in forms if form.exists()), None)
