"""Reading a scenario: text to data, overrides, checks, and every problem as a ScenarioError."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from batchsim.errors import ScenarioError

from .document import Document
from .limits import MAX_BYTES
from .overrides import apply_overrides
from .problems import scenario_problems
from .scenario import Scenario
from .tree import read_tree, too_large


def load_scenario(path: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """The scenario of a YAML 1.2 or JSON file, with `path=value` overrides applied.

    Raises ScenarioError for a file that cannot be read and for a scenario that is not one; the error's
    `others`, where it has them, are the further problems.
    """
    if isinstance(overrides, str):
        raise TypeError(f"overrides are a list of path=value; did you mean [{overrides!r}]?")
    file = str(path)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ScenarioError(f"cannot read this file: {reason}", file=file) from None
    if len(content) > MAX_BYTES:
        raise too_large(file)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ScenarioError("this file is not UTF-8 text", file=file, line=line) from None
    return parse_scenario(text, file=file, base=Path(path).parent, overrides=overrides)


def parse_scenario(
    text: str, *, file: str = "<text>", base: str | Path = ".", overrides: Sequence[str] = ()
) -> Scenario:
    """The scenario of a YAML 1.2 or JSON text, with `path=value` overrides applied.

    `file` is its name in errors (`*.json` is read as JSON alone); relative paths in it are looked up
    in `base`. Raises ScenarioError as `load_scenario` does.
    """
    tree = read_tree(text, file, must_be_json=file.lower().endswith(".json"))
    return _checked(apply_overrides(Document(file, tree.data, tree.place), overrides), Path(base))


def with_overrides(scenario: Scenario, overrides: Sequence[str]) -> Scenario:
    """The scenario with further `path=value` overrides, as if it had been loaded with them.

    Raises ScenarioError as `load_scenario` does.
    """
    return _checked(apply_overrides(scenario.document, overrides), scenario.base_dir)


def _checked(document: Document, base: Path) -> Scenario:
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as failure:
        raise scenario_problems(failure, document) from None
    return scenario.read_from(document, base)
