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
    """A part of a scenario, by its `--set` path, and the values it is given, as plain data.

    Several parts that change together are one path with braces, `PATH.{type,allocationStrategy}`; each value
    is then a list with one for each of them.
    """

    path: str
    values: tuple[Any, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The parts that it changes."""
        before, brace, inside = self.path.partition("{")
        if not brace:
            return (self.path,)
        return tuple(f"{before}{each.strip()}" for each in inside.removesuffix("}").split(","))

    @property
    def name(self) -> str:
        """The last words of its path."""
        return ", ".join(path.rpartition(".")[2] for path in self.paths)

    def overrides(self, value: Any) -> list[str]:
        """What gives it one of its values."""
        values = value if len(self.paths) > 1 else [value]
        return [
            f"{path}={json.dumps(each, ensure_ascii=False)}"
            for path, each in zip(self.paths, values, strict=True)
        ]


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
    paths = [path for axis in axes for path in axis.paths]
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
        for varied in (each for axis in axes for each in axis.paths):
            if f"{path}.".startswith(f"{varied}."):
                raise UsageError(
                    f"{varied} is varied, too", file=f"--set {override}", hint="leave one of them out"
                )


def _checked(axis: Axis, place: str) -> Axis:
    number = len(axis.paths)
    for value in axis.values if number > 1 else ():
        if not isinstance(value, list | tuple) or len(value) != number:
            raise UsageError(
                file=place,
                expected=f"lists of {number} values, one for each of {', '.join(axis.paths)}",
                found=label(value),
                hint="for example '[EC2, BEST_FIT_PROGRESSIVE],[SPOT, SPOT_CAPACITY_OPTIMIZED]'",
            )
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
    last = [axis.name for axis in axes]
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
    pairs = list(zip(axes, values, strict=True))
    overrides = tuple(override for axis, (_, value) in pairs for override in axis.overrides(value))
    with blaming(axes):
        try:
            changed = with_overrides(scenario, overrides)
        except InputError as error:
            for each in (error, *getattr(error, "others", ())):
                _tell_variant(each, [(axis, text) for axis, (text, _) in pairs])
            raise
        return Variant(tuple(each for each, _ in values), overrides, changed)


def _tell_variant(error: InputError, told: Sequence[tuple[Axis, str]]) -> None:
    """Say in which variant an error is that the scenario's own lines have, and how to vary both together."""
    if (
        (error.file or "")
        .removeprefix("--set ")
        .startswith(tuple(f"{path}=" for axis, _ in told for path in axis.paths))
    ):
        return  # the value itself is wrong
    said = " and ".join(f"{axis.name}={text}" for axis, text in told)
    error.message = f"with {said}: {error.message}" if error.message else f"with {said}"
    parent, _, field = (error.path or "").rpartition(".")
    for axis, text in told:
        beside, _, own = axis.path.rpartition(".")
        if len(axis.paths) == 1 and beside.rpartition(".")[2] == parent.rpartition(".")[2] and own != field:
            together = f"vary both: --vary '{beside}.{{{own},{field}}}=[{text}, ...],...'"
            error.hint = f"{error.hint}; or {together}" if error.hint else together
            return


@contextmanager
def blaming(axes: Sequence[Axis]) -> Iterator[None]:
    """Say of InputErrors about an override that it came from `--vary`, where it is one of the axes'."""
    try:
        yield
    except InputError as error:
        for each in (error, *getattr(error, "others", ())):
            override = (each.file or "").removeprefix("--set ")
            varied = tuple(f"{path}=" for axis in axes for path in axis.paths)
            if override != each.file and override.startswith(varied):
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
