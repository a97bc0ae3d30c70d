"""The rules of the design that a reader cannot see in one file: who may import whom, sizes, and what ships.

They are checked on the source text, so that a rule holds for code that no test happens to run.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "batchsim"
MODULES = sorted(PACKAGE.rglob("*.py"))

BASE = {"errors", "units"}
MAY_IMPORT = {
    "errors": set(),
    "units": set(),
    "core": BASE,
    "catalog": BASE,
    "scenario": BASE,
    "workload": BASE | {"scenario"},
    "results": BASE | {"results.audit"},
    "results.audit": BASE | {"results.files", "results.columns"},
    "drivers": BASE | {"core", "catalog", "scenario", "workload", "results"},
    "report": BASE | {"results"},
    "studies": BASE | {"drivers", "core", "catalog", "scenario", "workload", "results", "report", "__init__"},
    "cli": BASE | {"studies", "report", "catalog", "scenario", "results", "results.audit", "__init__"},
    "__main__": {"cli"},
    "__init__": BASE | {"studies", "scenario", "results"},
}
PURE = {"__future__", "abc", "array", "bisect", "collections", "dataclasses", "heapq", "typing"}
ONLY_IN = {
    "pydantic": "scenario",
    "ruamel": "scenario",
    "simpy": "drivers",
    "typer": "cli",
    "rich": "cli",
    "docker": "drivers",
}
HEAVY = ("pandas", "matplotlib", "scipy", "pyarrow")
MAY_LOAD_HEAVY = {"results", "results.audit", "report", "studies"}

MOST_LINES_OF_A_MODULE = 450
MOST_LINES_OF_A_FUNCTION = 60
MOST_BYTES_OF_A_FILE = 1 << 20


def layer_of(parts: tuple[str, ...]) -> str:
    """`("results", "audit", "order")` belongs to `results.audit`, any other module to its first part."""
    return "results.audit" if parts[:2] == ("results", "audit") else parts[0]


def place_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def imports_of(path: Path) -> list[tuple[int, str, bool]]:
    """(line, module, whether at the top level) of every import, those for type checkers included."""
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(node) for scope in functions(tree) for node in ast.walk(scope)}
    package = ("batchsim", *place_of(path)[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module]
            if module == "batchsim":  # `from batchsim import errors` names a layer, `__version__` does not
                names = [f"batchsim.{a.name}" if a.name in MAY_IMPORT else module for a in node.names]
        else:
            continue
        found += [(node.lineno, name, id(node) not in inside) for name in names]
    return found


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def for_type_checkers(path: Path) -> set[int]:
    """The lines inside `if TYPE_CHECKING:` blocks."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def shipped_files() -> list[Path]:
    """The files that are, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


# --------------------------------------------------------------------------------------- who imports whom


def test_every_layer_is_known():
    assert {layer_of(place_of(path)) for path in MODULES} <= set(MAY_IMPORT)


def test_imports_point_one_way():
    upward = []
    for path in MODULES:
        layer = layer_of(place_of(path))
        for line, name, _ in imports_of(path):
            head, *parts = name.split(".")
            if head != "batchsim":
                continue
            target = layer_of(tuple(parts)) if parts else "__init__"
            names = {target, ".".join(parts)}
            if target != layer and not names & MAY_IMPORT[layer]:
                upward.append(f"{where(path, line)}: {layer} imports {name}")
    assert not upward, "\n".join(upward)


def test_the_core_imports_only_what_is_pure():
    impure = [
        f"{where(path, line)}: {name}"
        for path in MODULES
        if layer_of(place_of(path)) == "core"
        for line, name, _ in imports_of(path)
        if name.split(".")[0] not in PURE | {"batchsim"}
    ]
    assert not impure, "\n".join(impure)


def test_the_core_opens_no_file_and_prints_nothing():
    called = [
        f"{where(path, node.lineno)}: {node.func.id}"
        for path in MODULES
        if layer_of(place_of(path)) == "core"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"open", "print", "input", "eval", "exec", "__import__"}
    ]
    assert not called, "\n".join(called)


def test_libraries_stay_in_their_layer():
    strayed = [
        f"{where(path, line)}: {name}"
        for path in MODULES
        for line, name, _ in imports_of(path)
        if (home := ONLY_IN.get(name.split(".")[0])) and home != layer_of(place_of(path))
    ]
    assert not strayed, "\n".join(strayed)


def test_heavy_libraries_are_imported_where_they_are_needed():
    """At the top of a module only in the layers that no quick verb imports; elsewhere inside functions."""
    early = []
    for path in MODULES:
        if layer_of(place_of(path)) in MAY_LOAD_HEAVY:
            continue
        quiet = for_type_checkers(path)
        early += [
            f"{where(path, line)}: {name}"
            for line, name, at_top in imports_of(path)
            if name.split(".")[0] in HEAVY and at_top and line not in quiet
        ]
    assert not early, "\n".join(early)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["check", "scenarios/quickstart.yaml"]], ids=lambda each: each[0]
)
def test_quick_verbs_load_nothing_heavy(arguments):
    program = (
        "import sys, json\n"
        f"sys.argv = ['batchsim', *{arguments!r}]\n"
        "from batchsim.cli import main\n"
        "code = 0\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    code = end.code or 0\n"
        f"print(json.dumps([code, sorted(set({HEAVY!r}) & set(sys.modules))]), file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stderr.splitlines()[-1]) == [0, []]


# --------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("folder", ["batchsim", "benchmarks"])
def test_modules_and_functions_are_short(folder):
    long = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > MOST_LINES_OF_A_MODULE:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in functions(ast.parse(text)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_LINES_OF_A_FUNCTION:
                long.append(f"{where(path, node.lineno)}: {node.name} has {length} lines")
    assert not long, "\n".join(long)


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if (text := path.read_text(encoding="utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert not silent, "\n".join(silent)


# --------------------------------------------------------------------------------------------- what ships


def test_no_file_is_large():
    large = [
        f"{path.relative_to(ROOT)}: {size:,} bytes"
        for path in shipped_files()
        if (size := path.stat().st_size) >= MOST_BYTES_OF_A_FILE
    ]
    assert not large, "\n".join(large)


def test_no_file_names_a_path_of_somebodys_machine():
    tops = "work|home|root|Users|mnt|private"
    absolute = re.compile(rf"(?<![\w.<>~{{}}$*-])/(?:{tops})/[\w.-]|\b[A-Z]:\\\\?Users\b")
    named = []
    for path in shipped_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        named += [
            f"{where(path, number)}: {line.strip()[:120]}"
            for number, line in enumerate(text.splitlines(), 1)
            if absolute.search(line)
        ]
    assert not named, "\n".join(named)


def test_there_is_no_lock_file():
    """A lock file holds the addresses of whoever made it."""
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "package-lock.json"}
    assert not [path for path in shipped_files() if path.name in locks]
