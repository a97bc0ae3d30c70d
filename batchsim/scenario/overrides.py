"""`--set path=value`: changes of a scenario's data before it is checked.

A path names keys and list items, joined by dots. An item of a list is addressed by its position or by
its name (`computeEnvironments.spot.state`, `jobDefinitions.0.timeout`); names may hold dots
(`computeEnvironments.lab.instances.m5.4xlarge.count`). Missing keys are created, list items are not.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from batchsim.errors import ScenarioError

from .document import Document, Location, item_names, longest_name, next_item, override_place
from .limits import MAX_DEPTH
from .suggestions import did_you_mean
from .tree import read_tree


class _Override(NamedTuple):
    """One `path=value`: how it is called in errors, and the document it is applied to."""

    place: str
    document: Document


def apply_overrides(document: Document, overrides: Sequence[str]) -> Document:
    """The document with each `path=value` applied in order; values are written as in YAML.

    Raises ScenarioError for a text that is no override and for a path that leads nowhere. A key that
    no scenario has is created all the same: the check of the scenario says so, and names the override.
    """
    for text in overrides:
        document = _apply(document, text)
    return document


def _apply(document: Document, text: str) -> Document:
    path, equals, written = text.partition("=")
    parts = path.strip().split(".")
    place = override_place(text)
    if not equals or not all(parts) or len(parts) > 2 * MAX_DEPTH:
        raise ScenarioError(file=place, expected="path=value", hint="for example assumptions.preset=ideal")
    value = read_tree(written, place).data if written.strip() else None
    data, owner = _replaced(document.data, (), parts, value, _Override(place, document))
    kept = {at: said for at, said in document.overridden.items() if at[: len(owner)] != owner}
    return replace(document, data=data, overridden={**kept, owner: text})


def _replaced(
    data: Any, location: Location, parts: list[str], value: Any, override: _Override
) -> tuple[Any, Location]:
    """A copy of the data with the value at the path, and the location from which on it is new."""
    if not parts:
        return value, location
    if isinstance(data, dict):
        key, rest = longest_name(parts, data) or (parts[0], parts[1:])
        here = (*location, key)
        if data.get(key) is None and rest:
            created, _ = _replaced({}, here, rest, value, override)
            return {**data, key: created}, here
        changed, owner = _replaced(data.get(key), here, rest, value, override)
        return {**data, key: changed}, owner
    if isinstance(data, list):
        index, rest = _item(data, location, parts, override)
        changed, owner = _replaced(data[index], (*location, index), rest, value, override)
        return [*data[:index], changed, *data[index + 1 :]], owner
    inside = override.document.path(location) or "the scenario"
    raise ScenarioError(f"{inside} is one value and has no {parts[0]!r} in it", file=override.place)


def _item(
    items: list[Any], location: Location, parts: list[str], override: _Override
) -> tuple[int, list[str]]:
    """The position of the list item that the path names next, and the rest of the path."""
    list_name = str(location[-1]) if location else ""
    item = next_item(items, list_name, parts)
    if item is not None:
        return item
    names = item_names(items, list_name).values()
    expected = f"a position from 0 to {len(items) - 1}" if items else "an item, but the list is empty"
    raise ScenarioError(
        file=override.place,
        path=override.document.path(location),
        expected=f"{expected} or a name" if names else expected,
        found=repr(parts[0]),
        hint=did_you_mean(parts[0], names),
    )
