"""What a scenario can say and the simulator does not honour yet, in one table: nothing is ignored in silence.

A line is a feature and the places at which it is written: `Model.field`, or `Model.field=VALUE` where
only that value is new. A place that is listed is refused where it is used, and is in neither the JSON
Schema nor the table of assumptions. To enable a feature, delete its line.
"""

from collections.abc import Iterable

UNBUILT: dict[str, str] = {}
"""By place, the feature; empty while everything that the models know is honoured."""

FOREIGN_VALUES: set[str] = {"RESERVED"}
"""Values that AWS has and no model here knows."""


def is_unbuilt(models: Iterable[str], field: str, value: object = None) -> bool:
    """Whether a field of a model (its name, and those of its bases), or a value of it, is listed."""
    places = [f"{model}.{field}" for model in models]
    if any(place in UNBUILT for place in places):
        return True
    return isinstance(value, str) and any(f"{place}={value}" in UNBUILT for place in places)


def says_nothing(value: object) -> bool:
    """No more than empty lists, mappings and texts, in each other at most: a pasted answer may have them."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return all(map(says_nothing, parts)) if parts is not None else value in ("", None)


def is_empty(value: object) -> bool:
    """Nothing but empty lists and mappings, zeros, empty texts, false and null."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return all(map(is_empty, parts)) if parts is not None else not value
