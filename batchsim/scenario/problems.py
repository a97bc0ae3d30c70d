"""pydantic's findings, and our own checks', as errors a user can act on."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from batchsim.errors import ScenarioError
from batchsim.units import US_PER_S, parse_duration

from .document import Document, Location
from .jobs import ENTRY_KINDS
from .scenario import Scenario
from .suggestions import did_you_mean
from .unbuilt import FOREIGN_VALUES, is_unbuilt
from .values import PATTERN_MEANINGS, MismatchError, MismatchesError, Model

_MOST_REPORTED = 50
_LONGEST_FOUND = 60
_MOST_KEYS_TOLD = 8
_LIMITS = {"less_than", "less_than_equal", "greater_than", "greater_than_equal"}
_OTHER_TYPE = {"dict_type", "model_type", "model_attributes_type"}
_OF_KEY = "[key]"  # what pydantic adds to the location of a wrong key
_EXPECTED = {
    "model_type": "a mapping (keys and values)",
    "model_attributes_type": "a mapping (keys and values)",
    "tuple_type": "a list",
    "string_type": "text",
    "dict_type": "a mapping (keys and values)",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "a value above {gt}",
    "greater_than_equal": "a value of at least {ge}",
    "less_than": "a value below {lt}",
    "less_than_equal": "a value of at most {le}",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entries",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "literal_error": "{expected}",
}
_NO_TYPO: dict[Location, str] = {
    ("lognormal", "mean"): "a lognormal is given by its median and p95; a gamma by its mean and cv",
}
_SHORTEST = {
    "arrivals": "the shortest is arrivals: {atOnce: {}}, which submits all of its jobs at the beginning",
}


class ScenarioProblems(ScenarioError):  # noqa: N818 - an error that knows the other errors
    """The first problem of a scenario; `others` are the rest, in the order of the file."""

    others: tuple[ScenarioError, ...] = ()


def scenario_problems(failure: ValidationError, document: Document) -> ScenarioProblems:
    """What pydantic found, with the places of the document; at most 50 problems."""
    found = list(islice(_problems(failure, document), _MOST_REPORTED))
    found.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    first = found[0]
    first.others = tuple(found[1:])
    return first


def _problems(failure: ValidationError, document: Document) -> Iterator[ScenarioProblems]:
    for error in _without_other_types(failure, document):
        kind, at = error["type"], error["loc"]
        location = tuple(part for part in at if part not in ENTRY_KINDS)
        context = error.get("ctx", {})
        cause = context.get("error")
        if _follows_from_another(kind, context, location, document):
            continue
        if location and location[-1] == _OF_KEY and document.existing(location) != location:
            yield _wrong_key(error, location[:-1], document)
        elif isinstance(cause, MismatchesError):
            for problem in cause.problems:
                yield _mismatch(problem, location, document)
        elif isinstance(cause, MismatchError):
            yield _mismatch(cause, location, document)
        elif kind == "extra_forbidden":
            hint = _NO_TYPO.get(location[-2:]) or did_you_mean(location[-1], _keys_at(at[:-1]))
            yield ScenarioProblems("unknown key", hint=hint, **document.origin(location, of_key=True))
        elif kind == "missing":
            at = document.existing(location)
            lack = "has no value" if at == location else "is missing"
            hint = _SHORTEST.get(str(location[-1]))
            yield ScenarioProblems(f"the key {location[-1]!r} {lack}", hint=hint, **document.origin(at))
        else:
            if kind == "literal_error":
                context = {**context, "expected": _built_choices(context["expected"], at)}
            yield _unexpected(kind, context, error["msg"], location, document)


def _without_other_types(failure: ValidationError, document: Document) -> Iterator[ErrorDetails]:
    """The errors, but not that a number which is only too large or too small might have been a mapping."""
    errors = failure.errors(include_url=False, include_input=False)
    numbers = {document.existing(error["loc"]) for error in errors if error["type"] in _LIMITS}
    for error in errors:
        if error["type"] not in _OTHER_TYPE or document.existing(error["loc"]) not in numbers:
            yield error


def _follows_from_another(kind: str, context: dict[str, Any], location: Location, document: Document) -> bool:
    if kind == "default_factory_not_called":
        return True  # the assumptions' preset is wrong
    # pydantic counts the good items only, and the bad ones are errors of their own
    return kind == "too_short" and len(document.value(location)) >= context["min_length"]


def _wrong_key(error: ErrorDetails, location: Location, document: Document) -> ScenarioProblems:
    """A key of a mapping whose keys the user chooses."""
    context = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, MismatchError):
        expected = cause.expected
    elif error["type"] == "string_pattern_mismatch":
        expected = PATTERN_MEANINGS[context["pattern"]]
    else:
        expected = _EXPECTED[error["type"]].format_map(context)
    at = document.existing(location)
    return ScenarioProblems(
        expected=expected, found=describe(location[-1]), **document.origin(at, of_key=at == location)
    )


def _mismatch(problem: MismatchError, location: Location, document: Document) -> ScenarioProblems:
    at = document.existing((*location, *problem.place))
    value = document.value(at)
    return ScenarioProblems(
        problem.message,
        expected=problem.expected,
        found="nothing" if problem.missing else describe(value) if problem.expected else None,
        hint=problem.hint or did_you_mean(value, problem.choices),
        **document.origin(at),
    )


def _unexpected(
    kind: str, context: dict[str, Any], message: str, location: Location, document: Document
) -> ScenarioProblems:
    at = document.existing(location)
    value = document.value(at)
    said, hint = "", None
    if kind == "string_pattern_mismatch":
        expected = PATTERN_MEANINGS[context["pattern"]]
    else:
        limits = {name: _plain_number(limit) for name, limit in context.items()}
        expected = _EXPECTED[kind].format_map(limits) if kind in _EXPECTED else message
    if kind == "literal_error":
        hint = did_you_mean(value, re.findall(r"'([^']*)'", expected), listed=False)
        if isinstance(value, str) and value in FOREIGN_VALUES:
            said, hint = f"{value} is not modelled by this version of batchsim", None
    return ScenarioProblems(
        said,
        expected=expected,
        found=describe(value),
        hint=hint or _rewritten(kind, value, location),
        **document.origin(at),
    )


def _rewritten(kind: str, value: Any, location: Location) -> str | None:
    """How a value of the wrong type would be written as one of the right type."""
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        if re.fullmatch(r"[0-9.]{1,18}", value):
            return "remove the quotes"
        if location and str(location[-1]).endswith("Seconds"):
            return _in_seconds(value)
    if kind in ("model_type", "model_attributes_type") and value is not None:
        keys = list(dict.fromkeys(_keys_at(location)))
        if len(keys) == 1 and not isinstance(value, list):
            return f"write {{{keys[0]}: {value}}}" if _can_be_shown(value) else None
        return f"its keys are {', '.join(keys)}" if 0 < len(keys) <= _MOST_KEYS_TOLD else None
    return None


def _can_be_shown(value: object) -> bool:
    return len(text := str(value)) <= _LONGEST_FOUND and text.isprintable()


def _in_seconds(text: str) -> str | None:
    try:
        seconds, rest = divmod(parse_duration(text), US_PER_S)
    except ValueError:
        return None
    return None if rest else f"write the seconds: {seconds}"


def _built_choices(expected: str, at: Location) -> str:
    """Pydantic's list of the values that were expected, without those that are not built yet."""
    field = next(part for part in reversed(at) if isinstance(part, str))
    names = [name for model in _models_at(at[: at.index(field)]) for name in model.names()]
    choices = re.findall(r"'([^']*)'", expected)
    built = [f"'{choice}'" for choice in choices if not is_unbuilt(names, field, choice)]
    if len(built) == len(choices):
        return expected
    return " or ".join(filter(None, [", ".join(built[:-1]), built[-1]]))


def _plain_number(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def describe(value: Any) -> str:
    """A value in a few words, never at length."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_FOUND else value[: _LONGEST_FOUND - 1] + "…")
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    return repr(value)


def _keys_at(at: Location) -> list[str]:
    """The keys that the model at a pydantic location has, without those that are not built yet."""
    return [
        info.alias or name
        for model in _models_at(at)
        for name, info in model.model_fields.items()
        if not is_unbuilt(model.names(), info.alias or name)
    ]


def _models_at(at: Location) -> list[type[Model]]:
    models: list[type[Model]] = [Scenario]
    for part in at:
        if part in ENTRY_KINDS:
            models = [ENTRY_KINDS[str(part)]]
        elif isinstance(part, str):
            models = [
                inner
                for model in models
                for name, info in model.model_fields.items()
                if part in (name, info.alias)
                for inner in _models_in(info.annotation)
            ]
    return models


def _models_in(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
