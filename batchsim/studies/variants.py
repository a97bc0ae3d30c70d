"""Variants of a scenario: one for each combination of the values that some of its parts are given."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from contextlib import contextmanager
from itertools import takewhile
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
    whole = [_in_full(value) for value in axis.values]
    if len(whole) < 2:
        raise UsageError(
            file=place,
            expected="at least two values",
            found=str(len(whole)),
            hint="lists stand in brackets of their own: '[c6i],[m6i]'; --set gives a single value",
        )
    for each, value in zip(whole, axis.values, strict=True):
        if whole.count(each) > 1:
            raise UsageError(f"the value {label(value)} stands twice", file=place)
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
    named = [[*zip(labels(axis.values), axis.values, strict=True)] for axis in axes]
    return [_variant(scenario, axes, values) for values in itertools.product(*named)]


def _variant(scenario: Scenario, axes: Sequence[Axis], values: Sequence[tuple[str, Any]]) -> Variant:
    """`values` with their labels."""
    overrides = tuple(
        f"{axis.path}={json.dumps(value, ensure_ascii=False)}"
        for axis, (_, value) in zip(axes, values, strict=True)
    )
    with blaming(axes):
        return Variant(tuple(each for each, _ in values), overrides, with_overrides(scenario, overrides))


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


def labels(values: Sequence[Any]) -> list[str]:
    """A label for each of different values, all different: from where they differ, if they begin alike."""
    found = [label(value) for value in values]
    alike = {each for each in found if found.count(each) > 1}
    for each in alike:
        rows = [row for row, text in enumerate(found) if text == each]
        texts = [_in_full(values[row]) for row in rows]
        columns = zip(*texts, strict=False)
        begin, comma, _ = texts[0][: sum(1 for _ in takewhile(_is_one, columns))].rpartition(", ")
        for row, text in zip(rows, texts, strict=True):
            found[row] = _shortened("…" + text.removeprefix(begin + comma))
    return [
        each if found.count(each) == 1 else f"{number}: {each}" for number, each in enumerate(found, start=1)
    ]


def _is_one(letters: Sequence[str]) -> bool:
    return len(set(letters)) == 1


def label(value: Any) -> str:
    """A value in a few words: the items of a list without its brackets."""
    return _shortened(_in_full(value))


def _in_full(value: Any) -> str:
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False).replace('"', "")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def texts(given: Iterable[str]) -> list[str]:
    """Several texts, or one that is not in a list."""
    return [given] if isinstance(given, str) else list(given)


def _place(text: str) -> str:
    return f"--vary {text if len(text) <= 2 * _LONGEST_LABEL else text[: 2 * _LONGEST_LABEL - 1] + '…'}"
