"""Variants of a scenario: one for each combination of the values that some of its parts are given."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batchsim.errors import InputError, UsageError
from batchsim.scenario import with_overrides
from batchsim.scenario.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batchsim.scenario import Scenario

MOST_VARIANTS: Final = 1_000
_LONGEST_LABEL: Final = 60


class Axis(NamedTuple):
    """A part of a scenario, by its `--set` path, and the values it is given, as plain data."""

    path: str
    values: tuple[Any, ...]


class Variant(NamedTuple):
    """A scenario with one value for each axis; `labels` say which, and `overrides` how."""

    labels: tuple[str, ...]
    overrides: tuple[str, ...]
    scenario: Scenario

    @property
    def name(self) -> str:
        return " / ".join(self.labels)


def parse_axis(text: str) -> Axis:
    """The axis of `PATH=VALUE,VALUE,...`; the values are those of a YAML list without its brackets.

    Raises ScenarioError or UsageError.
    """
    path, equals, written = text.partition("=")
    place = _place(text)
    if not equals or not path.strip():
        raise UsageError(
            file=place,
            expected="PATH=VALUE,VALUE,...",
            hint="for example computeEnvironments.spot.computeResources.instanceTypes='[c6i],[m6i]'",
        )
    values = read_tree(f"[{written}]", place).data
    return _checked(Axis(path.strip(), tuple(values)), place)


def axes_of(vary: Mapping[str, Sequence[Any]] | Iterable[str]) -> tuple[Axis, ...]:
    """From {path: values} or texts as `parse_axis` reads them. Raises ScenarioError or UsageError."""
    if isinstance(vary, Mapping):
        axes = [_checked(Axis(path, tuple(values)), f"vary {path}") for path, values in vary.items()]
    else:
        axes = [parse_axis(text) for text in texts(vary)]
    if not axes:
        raise UsageError(expected="at least one part of the scenario to vary", found="none")
    paths = [axis.path for axis in axes]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"{path} is varied twice", hint="give all its values at once")
    for place, path in enumerate(paths):
        for later in paths[place + 1 :]:
            if path.startswith(f"{later}."):
                raise UsageError(
                    f"{later} replaces what {path} varies", hint="vary the whole first, or one of them"
                )
    return tuple(axes)


def refuse_both(axes: Sequence[Axis], overrides: Iterable[str]) -> None:
    """Raise UsageError if an override sets what is varied, or a part of it: it would have no effect."""
    for override in overrides:
        path = override.partition("=")[0].strip()
        for axis in axes:
            if f"{path}.".startswith(f"{axis.path}."):
                raise UsageError(
                    f"{axis.path} is varied, too", file=f"--set {override}", hint="leave one of them out"
                )


def _checked(axis: Axis, place: str) -> Axis:
    labels = [label(value) for value in axis.values]
    if len(labels) < 2:
        raise UsageError(
            file=place,
            expected="at least two values",
            found=str(len(labels)),
            hint="lists stand in brackets of their own: '[c6i],[m6i]'; --set gives a single value",
        )
    for each in labels:
        if labels.count(each) > 1:
            raise UsageError(f"the value {each} stands twice", file=place)
    return axis


def names(axes: Sequence[Axis]) -> list[str]:
    """What the axes are called: the last part of their path where no two share it."""
    last = [axis.path.rpartition(".")[2] for axis in axes]
    return [name if last.count(name) == 1 else axis.path for name, axis in zip(last, axes, strict=True)]


def variants(scenario: Scenario, axes: Sequence[Axis]) -> list[Variant]:
    """All combinations, the values of the last axis changing fastest.

    Raises ScenarioError for paths that lead nowhere and values that do not fit there.
    """
    number = 1
    for axis in axes:
        number *= len(axis.values)
    if number > MOST_VARIANTS:
        raise UsageError(expected=f"at most {MOST_VARIANTS:,} variants", found=f"{number:,}")
    return [_variant(scenario, axes, values) for values in itertools.product(*(a.values for a in axes))]


def _variant(scenario: Scenario, axes: Sequence[Axis], values: Sequence[Any]) -> Variant:
    overrides = tuple(
        f"{axis.path}={json.dumps(value, ensure_ascii=False)}"
        for axis, value in zip(axes, values, strict=True)
    )
    with blaming(axes):
        return Variant(tuple(map(label, values)), overrides, with_overrides(scenario, overrides))


@contextmanager
def blaming(axes: Sequence[Axis]) -> Iterator[None]:
    """Say of InputErrors about an override that it came from `--vary`, where it is one of the axes'."""
    try:
        yield
    except InputError as error:
        for each in (error, *getattr(error, "others", ())):
            override = (each.file or "").removeprefix("--set ")
            if override != each.file and override.startswith(tuple(f"{axis.path}=" for axis in axes)):
                each.file = f"--vary {override}"
        raise error from None


def label(value: Any) -> str:
    """A value in a few words: the items of a list without its brackets."""
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        text = ", ".join(value)
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def texts(given: Iterable[str]) -> list[str]:
    """Several texts, or one that is not in a list."""
    return [given] if isinstance(given, str) else list(given)


def _place(text: str) -> str:
    return f"--vary {text if len(text) <= 2 * _LONGEST_LABEL else text[: 2 * _LONGEST_LABEL - 1] + '…'}"
