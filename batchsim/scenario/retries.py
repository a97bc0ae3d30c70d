"""How often a job is tried, which failures end it, and how long an attempt may take [spec 1.3-1.7]."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .values import LONGEST_QUANTITY, Many, MismatchError, Model, integral

_REASON_PATTERN = re.compile(r"[A-Za-z0-9.:\s]*\*?")
_EXIT_CODE_PATTERN = re.compile(r"[0-9]*\*?")
_PRINTABLE_PATTERN = re.compile(r"[ -~]*")
_LONGEST_PATTERN = 512

ExitCode = Annotated[int, Field(ge=0, le=255), integral]


def _pattern_check(allowed: re.Pattern[str], expected: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise MismatchError(expected)
        if not 1 <= len(value) <= _LONGEST_PATTERN:
            hint = "shorten it and end with *" if value else "leave it out: then it matches everything"
            raise MismatchError(f"1 to {_LONGEST_PATTERN} characters", hint=hint)
        if not allowed.fullmatch(value):
            raise MismatchError(
                expected,
                message="Evaluate on exit condition contains restricted characters",
                hint=_pattern_hint(allowed, value),
            )
        return value

    return BeforeValidator(check)


def _pattern_hint(allowed: re.Pattern[str], pattern: str) -> str:
    """What can be said instead: the text up to the first character that is not allowed."""
    begins = allowed.match(pattern)
    prefix = begins[0].removesuffix("*") if begins else ""
    if prefix:
        return f"write {f'{prefix}*'!r}, which matches all that begins so"
    return "a pattern is compared from the first character on: begin with that of the text you mean"


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_PATTERN_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _LONGEST_PATTERN}
ReasonPattern = Annotated[
    str,
    _pattern_check(_REASON_PATTERN, "letters, digits, '.', ':' and spaces, with at most one * at the end"),
    WithJsonSchema({**_PATTERN_SCHEMA, "pattern": rf"^{_REASON_PATTERN.pattern}$"}),
]
ExitCodePattern = Annotated[
    str,
    _pattern_check(_EXIT_CODE_PATTERN, "digits, with at most one * at the end"),
    BeforeValidator(_as_text),
    WithJsonSchema(
        {
            "anyOf": [
                {**_PATTERN_SCHEMA, "pattern": rf"^{_EXIT_CODE_PATTERN.pattern}$"},
                {"type": "integer", "minimum": 0},
            ]
        }
    ),
]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) and len(value) <= LONGEST_QUANTITY else value


Action = Annotated[
    Literal["RETRY", "EXIT"],
    BeforeValidator(_upper),
    WithJsonSchema(
        {
            "title": "Action",
            "anyOf": [
                {"enum": ["RETRY", "EXIT"]},
                {"type": "string", "pattern": "^([Rr][Ee][Tt][Rr][Yy]|[Ee][Xx][Ii][Tt])$"},
            ],
        }
    ),
]
"""In capitals or not, as AWS takes it."""
Attempts = Annotated[int, Field(ge=1, le=10), integral]


class EvaluateOnExit(Model):
    """One rule of a retry strategy: all the patterns given must match [spec 1.4]."""

    onStatusReason: ReasonPattern | None = None
    onReason: ReasonPattern | None = None
    onExitCode: ExitCodePattern | None = None
    action: Action


class RetryStrategy(Model):
    """How often a job may be tried, and which failures end it at once [spec 1.3, 1.4].

    More than `assumptions.evaluateOnExitLimit` rules are refused when the scenario is checked as a whole.
    """

    attempts: Attempts = 1
    evaluateOnExit: Annotated[Many[EvaluateOnExit], Field(json_schema_extra={"maxItems": 6})] = ()

    @model_validator(mode="after")
    def _rules_need_attempts(self) -> Self:
        if self.evaluateOnExit and "attempts" not in self.model_fields_set:
            raise MismatchError(
                "attempts beside evaluateOnExit",
                hint="add attempts: 1 to 10",
                place=("attempts",),
                missing=True,
            )
        return self


class JobTimeout(Model):
    """A limit on the duration of each attempt, counted from RUNNING [spec 1.7]."""

    attemptDurationSeconds: Annotated[int, Field(ge=60, le=2**31 - 1), integral]


class ServiceEvaluateOnExit(Model):
    """One rule of a service job; its pattern takes every printable character [spec 1.4, 1.16]."""

    onStatusReason: Annotated[
        str, _pattern_check(_PRINTABLE_PATTERN, "printable characters, with at most one * at the end")
    ]
    action: Action


class ServiceRetryStrategy(Model):
    """Retries of a service job, capacity failures not counted [spec 1.16]."""

    attempts: Attempts
    evaluateOnExit: Annotated[Many[ServiceEvaluateOnExit], Field(max_length=5)] = ()
