"""A scenario as read: its data with overrides applied, and where each value came from."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchsim.errors import InputError, place_text

from .tree import Place

Location = tuple[str | int, ...]

# How the items of a list are called in `--set` paths and in errors: the value of the first key there is.
ITEM_NAMES: dict[str, tuple[str, ...]] = {
    "computeEnvironments": ("computeEnvironmentName",),
    "instances": ("name", "instanceType"),
    "jobQueues": ("jobQueueName",),
    "computeEnvironmentOrder": ("computeEnvironment",),
    "jobDefinitions": ("jobDefinitionName",),
    "resourceRequirements": ("type",),
    "workload": ("name",),
    "mix": ("jobDefinition",),
    "schedulingPolicies": ("name",),
    "shareDistribution": ("shareIdentifier",),
    "consumableResources": ("consumableResourceName",),
    "consumableResourceList": ("consumableResource",),
    "serviceEnvironments": ("serviceEnvironmentName",),
    "serviceEnvironmentOrder": ("serviceEnvironment",),
    "quotaShares": ("quotaShareName",),
    "capacityLimits": ("capacityUnit",),
    "containers": ("name",),
    "initContainers": ("name",),
    "environment": ("name",),
    "env": ("name",),
}

_LONGEST_PART = 60


@dataclass(frozen=True, slots=True)
class Document:
    """Data, the places of its values, and the overrides that replaced some: location -> `--set` text."""

    file: str
    data: Any
    place: Place
    overridden: dict[Location, str] = field(default_factory=dict)

    def value(self, location: Sequence[str | int]) -> Any:
        """The value at a location; KeyError if there is none."""
        value = self.data
        for part in location:
            value = _inside(value, part)
        return value

    def existing(self, location: Location) -> Location:
        """The longest beginning of a location at which there is a value."""
        value = self.data
        for depth, part in enumerate(location):
            try:
                value = _inside(value, part)
            except KeyError:
                return location[:depth]
        return location

    def origin(self, location: Location, *, of_key: bool = False) -> dict[str, Any]:
        """Where the value at a location (or the nearest around it) stands, as arguments of an InputError.

        `file`, `line`, `column` and `path`; a value that an override gave has the override's text as
        its file and no line. `of_key` gives the position of the key instead of its value's.
        """
        path = self.path(location)
        override = self._override(location)
        if override is not None:
            return {"file": override_place(override), "path": path}
        place = self.place
        exact = True
        for part in location:
            if part not in place.parts:
                exact = False
                break
            place = place.parts[part]
        if of_key and exact:
            return {"file": self.file, "line": place.key_line, "column": place.key_column, "path": path}
        return {"file": self.file, "line": place.line, "column": place.column, "path": path}

    def locate(self, error: InputError) -> None:
        """Say where in the file the part of the scenario stands that an error is about.

        Of another file that the scenario names, an error keeps the line; without one, as of a file that
        is not there, the scenario's place comes first.
        """
        about = error.path if error.file is None else error.named_in
        if about is None or error.named_at is not None:
            return
        origin = self.origin(self.location(about))
        if error.line is not None:
            error.named_at = place_text(origin["file"], origin.get("line"), origin.get("column"))
            return
        if error.file is not None:
            inside = (error.file, error.path, error.message)
            error.message = ": ".join(part for part in inside if part)
        error.file, error.line, error.column = origin["file"], origin.get("line"), origin.get("column")
        error.path, error.named_in = about, None

    def location(self, path: str) -> Location:
        """The location that a `--set` path leads to, or the longest beginning of it that there is."""
        location: Location = ()
        parts, value, list_name = path.split("."), self.data, ""
        while parts:
            step: tuple[str | int, list[str]] | None = None
            if isinstance(value, dict):
                step = longest_name(parts, value)
            elif isinstance(value, list):
                step = next_item(value, list_name, parts)
            if step is None:
                break
            part, parts = step
            location = (*location, part)
            value = _inside(value, part)
            list_name = str(part)
        return location

    def path(self, location: Location) -> str | None:
        """A location in `--set` notation: `computeEnvironments.spot.computeResources.maxvCpus`."""
        parts: list[str] = []
        value: Any = self.data
        list_name = ""
        for part in location:
            name = None
            if isinstance(part, int) and isinstance(value, list):
                name = item_names(value, list_name).get(part)
            elif isinstance(part, str):
                list_name = part
            parts.append(_cut(name or str(part), _LONGEST_PART))
            try:
                value = _inside(value, part)
            except KeyError:
                value = None
        return ".".join(parts) or None

    def _override(self, location: Location) -> str | None:
        for length in range(len(location), -1, -1):
            if location[:length] in self.overridden:
                return self.overridden[location[:length]]
        return None


def override_place(text: str) -> str:
    """What stands for the file in an error about an override."""
    return f"--set {_cut(text, 2 * _LONGEST_PART)}"


def item_names(items: list[Any], list_name: str) -> dict[int, str]:
    """Names by which the items of a list can be addressed: unique in the list and not a number."""
    names: dict[int, str] = {}
    for index, item in enumerate(items):
        if isinstance(item, dict):
            given = [item[key] for key in ITEM_NAMES.get(list_name, ()) if item.get(key) is not None]
            if given and isinstance(given[0], str) and given[0] and not given[0].isdecimal():
                names[index] = given[0].rpartition("/")[2]
    uses = Counter(names.values())
    return {index: name for index, name in names.items() if uses[name] == 1}


def next_item(items: list[Any], list_name: str, parts: list[str]) -> tuple[int, list[str]] | None:
    """The position of the list item that a `--set` path names next, and the rest of the path.

    By its name, or by its position; None if there is no such item.
    """
    positions = {name: index for index, name in item_names(items, list_name).items()}
    if (named := longest_name(parts, positions)) is not None:
        return positions[named[0]], named[1]
    if parts[0].isdecimal() and len(parts[0]) <= 9 and int(parts[0]) < len(items):
        return int(parts[0]), parts[1:]
    return None


def longest_name(parts: list[str], names: Collection[str]) -> tuple[str, list[str]] | None:
    """The longest beginning of the path that is one of the names, which may hold dots, and the rest."""
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names:
            return name, parts[length:]
    return None


def _inside(value: Any, part: str | int) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    raise KeyError(part)


def _cut(text: str, limit: int) -> str:
    if not text.isprintable():
        text = repr(text)[1:-1]
    return text if len(text) <= limit else text[: limit - 1] + "…"
