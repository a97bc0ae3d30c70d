"""The values a scenario is written with, and the base of its models.

    Duration    text "90s", "12m", "1h30m" or a number of seconds    stored as int microseconds
    Size        text "7.5GiB", "900MiB" or a number of MiB           stored as int MiB, rounded up
    ImageSize   text "500MB", "900MiB" or a number of MiB            stored as int bytes
    VolumeSize  text "30GiB"; 0 needs no unit                        stored as int MiB, rounded up
    Bandwidth   text "100MB/s" or a number of MB/s                   stored as float MB a second
    Rate        text "120/h", "2/s"; 0 needs no unit                 stored as float per second
    an integer  1e3 is one, "12" and true are not (`integral`)       stored as int
    SafeName    a name that can also be a label and a file name      stored as str
    AwsName     a name or an ARN of an environment or a queue        stored as the bare name

Dumped to JSON, each value is text or a number that reads back to exactly the same value.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic.types import Strict
from pydantic_core import CoreSchema

from batchsim.units import (
    BYTES_PER_MIB,
    US_PER_S,
    format_size,
    parse_bandwidth,
    parse_bytes,
    parse_duration,
    parse_rate,
    parse_size,
    parse_volume,
)

from .unbuilt import is_unbuilt, says_nothing

# No number or unit is longer; the limit keeps absurd texts from costing time.
LONGEST_QUANTITY = 64
LONGEST_NAME = 128
LONGEST_TEXT = 10_000

_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*"
ARN_PREFIX = "arn:[^/]*/(.*/)?"

_Item = TypeVar("_Item")


class MismatchError(ValueError):
    """A value that is not what the scenario needs there.

    `expected` and `hint` are for the reader; `place` is the way from the value that is checked to the
    guilty part of it, for example `("uniform", "low")`. `message` says what is wrong when `expected`
    does not; `choices` are the names it could have been. `missing` says that the place is a key that
    should be there and is not.
    """

    def __init__(
        self,
        expected: str | None = None,
        *,
        message: str = "",
        hint: str | None = None,
        choices: Iterable[str] = (),
        place: tuple[str | int, ...] = (),
        missing: bool = False,
    ) -> None:
        self.expected = expected
        self.message = message
        self.hint = hint
        self.choices = tuple(choices)
        self.place = place
        self.missing = missing
        super().__init__(message or f"expected {expected}")


class MismatchesError(ValueError):
    """Several mismatches found by one check."""

    def __init__(self, problems: list[MismatchError]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


@contextmanager
def at_place(*place: str | int) -> Iterator[None]:
    """Say of a MismatchError where the value stands that was checked: before its own place comes this."""
    try:
        yield
    except MismatchError as error:
        error.place = (*place, *error.place)
        raise


class _NotBuilt:
    """Stands for a value that uses a feature of the table of unbuilt ones."""

    def __init__(self, value: object, choices: list[str]) -> None:
        """`choices` are what the field takes already; none if it is not built at all."""
        said = value if choices else "this"
        self.error = MismatchError(
            " or ".join(map(repr, choices)) or "nothing here",
            message=f"{said} is not modelled by this version of batchsim",
        )


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _literals(part)]


class Model(BaseModel):
    """Base of every scenario model: unchangeable, closed, with no guessing of types; null is not given."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @classmethod
    def names(cls) -> list[str]:
        """The names of the model and of its bases, as the table of unbuilt features calls them."""
        return [base.__name__ for base in cls.__mro__ if issubclass(base, Model) and base is not Model]

    @model_validator(mode="before")
    @classmethod
    def _as_given(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        names = cls.names()
        known = cls.keys_of_file()
        marked: dict[Any, Any] = {}
        for key, value in given.items():
            if key not in known or (value is not None and not is_unbuilt(names, key, value)):
                marked[key] = value
            elif not says_nothing(value):
                marked[key] = _NotBuilt(value, cls._built_choices(key))
        return marked

    @classmethod
    @cache
    def keys_of_file(cls) -> frozenset[str]:
        """The fields as they are spelt in a file."""
        return frozenset(info.alias or name for name, info in cls.model_fields.items())

    @classmethod
    def _built_choices(cls, key: str) -> list[str]:
        if is_unbuilt(cls.names(), key):
            return []
        choices = _literals(cls.model_fields[key].annotation)
        return [choice for choice in choices if not is_unbuilt(cls.names(), key, choice)]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema without what is not built yet; `x-empty` are the keys that may say nothing."""
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        fields = resolved.get("properties", {})
        names = cls.names()
        for key in list(fields):
            if is_unbuilt(names, key):
                del fields[key]
            else:
                for part in (fields[key], *fields[key].get("anyOf", ())):
                    if "enum" in part:
                        part["enum"] = [each for each in part["enum"] if not is_unbuilt(names, key, each)]
        if fields and (empty := sorted(cls.keys_of_file() - fields.keys())):
            resolved["x-empty"] = empty
        return schema

    @field_validator("*", mode="before")
    @classmethod
    def _is_built(cls, value: Any) -> Any:
        if isinstance(value, _NotBuilt):
            raise value.error
        return value


class _FirstErrorOnly(FailFast):
    __hash__ = object.__hash__  # so that it can stand in a union


Many = Annotated[tuple[_Item, ...], Strict(strict=False)]
"""A list in the file, stored as a tuple."""
ManyPlain = Annotated[tuple[_Item, ...], Strict(strict=False), _FirstErrorOnly()]
"""The same for values of one line, where the first error says enough: lists may hold many thousands."""


PATTERN_MEANINGS: dict[str, str] = {}
"""What the patterns of `matching` mean, for errors."""


def matching(pattern: str, meaning: str, longest: int) -> StringConstraints:
    """Text of a pattern, at most `longest` characters; `meaning` says in an error what was expected."""
    PATTERN_MEANINGS[pattern] = meaning
    return StringConstraints(pattern=pattern, max_length=longest)


def sized(low_mib: int, high_mib: int) -> AfterValidator:
    """A size within bounds, both included."""

    def check(mib: int) -> int:
        if not low_mib <= mib <= high_mib:
            raise MismatchError(f"{format_size(low_mib)} to {format_size(high_mib)}")
        return mib

    return AfterValidator(check)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


integral = BeforeValidator(_whole)
"""Makes a field of type int take 1e3, which YAML reads as a float; last in its annotation."""


def _above_zero(value: float) -> float:
    if value <= 0:
        raise MismatchError("a value above 0")
    return value


above_zero = AfterValidator(_above_zero)


_BARE_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?(e-[0-9]{1,3})?")


def _quantity(parse: Callable[[Any], Any], expected: str, units: Iterable[str]) -> BeforeValidator:
    """`units` are some that a number without any can be given."""

    def check(value: Any) -> Any:
        if not isinstance(value, str | int | float) or (
            isinstance(value, str) and len(value) > LONGEST_QUANTITY
        ):
            raise MismatchError(expected)
        try:
            return parse(value)
        except (ValueError, OverflowError) as error:
            sentence, _, _ = str(error).partition(", found ")
            raise MismatchError(sentence.removeprefix("expected ") or expected, hint=hint(value)) from None

    def hint(value: Any) -> str | None:
        if isinstance(value, bool) or not _BARE_NUMBER.fullmatch(str(value)):
            return None
        *some, last = (f"{value}{unit}" for unit in units)
        return (
            f"add a unit: {', '.join(some)} or {last}" if some else f"if that is what you mean, write {last}"
        )

    return BeforeValidator(check)


def _schema(title: str, description: str, pattern: str, bare: dict[str, Any]) -> WithJsonSchema:
    """`bare` is what a number without a unit may be."""
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"title": title, "description": description, "anyOf": [text, bare]})


def _duration_text(us: int) -> str:
    if us % US_PER_S == 0:
        return f"{us // US_PER_S}s"
    return f"{us // 1000}ms" if us % 1000 == 0 else f"{us}us"


def _rate_text(per_s: float) -> str | int:
    """Reads back to exactly the same rate; in the unit in which it is short."""
    if not per_s:
        return 0
    for unit, seconds in (("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)):
        short = f"{per_s * seconds:g}/{unit}"
        if "e" not in short and parse_rate(short) == per_s:
            return short
    return f"{per_s!r}/s"


def _image_text(size: int) -> str:
    if size % 10**6 == 0:
        return f"{size // 10**6}MB"
    return f"{size // BYTES_PER_MIB}MiB" if size % BYTES_PER_MIB == 0 else f"{size}B"


def last_component(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("arn:"):
        return value.rpartition("/")[2]
    return value


_AMOUNT = r"\s*[0-9]+(\.[0-9]*)?\s*"
_TIME_UNITS = "us|ms|s|m|min|h|d"

Duration = Annotated[
    int,
    _quantity(parse_duration, "a duration such as '90s', '12m' or '1h30m'", ("s", "m", "h")),
    PlainSerializer(_duration_text, when_used="json"),
    _schema(
        "Duration",
        "Time as text with units (us, ms, s, m, h, d), such as 90s, 12m or 1h30m, or a number of seconds.",
        rf"^({_AMOUNT}({_TIME_UNITS}))+\s*$",
        {"type": "number", "minimum": 0},
    ),
]
Size = Annotated[
    int,
    _quantity(parse_size, "a size such as '900MiB' or '7.5GiB'", ("MiB", "GiB")),
    PlainSerializer(lambda mib: f"{mib}MiB", when_used="json"),
    _schema(
        "Size",
        "Memory as text with a unit (MiB, GiB, TiB, or decimal MB, GB, TB), or a whole number of MiB.",
        rf"^{_AMOUNT}(B|[kKMGT]B|[KMGT]iB)\s*$",
        {"type": "integer", "minimum": 0},
    ),
]
ImageSize = Annotated[
    int,
    _quantity(parse_bytes, "a size such as '500MB' or '900MiB'", ("MB", "GB")),
    PlainSerializer(_image_text, when_used="json"),
    _schema(
        "Image size",
        "Compressed size of a container image, for example 500MB or 900MiB, or a whole number of MiB.",
        rf"^{_AMOUNT}(B|[kKMGT]B|[KMGT]iB)\s*$",
        {"type": "integer", "minimum": 0},
    ),
]
VolumeSize = Annotated[
    int,
    sized(0, 100_000_000),
    _quantity(parse_volume, "a size with a unit such as '30GiB'", ("GiB",)),
    PlainSerializer(lambda mib: f"{mib}MiB", when_used="json"),
    _schema(
        "Volume size",
        "Size of an EBS volume as text with a unit, for example 30GiB, at least 1GiB; or 0 for none.",
        rf"^{_AMOUNT}(B|[kKMGT]B|[KMGT]iB)\s*$",
        {"const": 0},
    ),
]
Bandwidth = Annotated[
    float,
    Field(ge=0, le=1e9),
    _quantity(parse_bandwidth, "bytes a second such as '100MB/s', or a number of MB/s", ("MB/s",)),
    _schema(
        "Bandwidth",
        "Bytes a second, such as 100MB/s or 95MiB/s, or a number of MB/s.",
        rf"^{_AMOUNT}(B|[kKMGT]B|[KMGT]iB)\s*/\s*s\s*$",
        {"type": "number", "minimum": 0, "maximum": 1e9},
    ),
]
Rate = Annotated[
    float,
    _quantity(parse_rate, "a rate such as '120/h', '2/s' or '5/m'", ("/h", "/m", "/s")),
    PlainSerializer(_rate_text, when_used="json"),
    _schema(
        "Rate",
        "Events per unit of time (us, ms, s, m, h, d), for example 120/h, 2/s or 40/d; 0 needs no unit.",
        rf"^\s*[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?\s*/\s*({_TIME_UNITS})\s*$",
        {"const": 0},
    ),
]
SafeName = Annotated[
    str,
    matching(
        rf"^{_NAME}$",
        "a name of letters, digits, '_', '-' and '.' that starts with none of the last two",
        LONGEST_NAME,
    ),
]
InstanceTypeName = Annotated[
    str,
    matching(
        r"^[a-z][a-z0-9._-]*$", "an instance type, a family or a bundle such as c6i.large, c6i or optimal", 64
    ),
]
AwsName = Annotated[
    SafeName,
    BeforeValidator(last_component),
    WithJsonSchema({"title": "Name or ARN", "type": "string", "pattern": rf"^({ARN_PREFIX})?{_NAME}$"}),
]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
State = Literal["ENABLED", "DISABLED"]
