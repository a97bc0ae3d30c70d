"""Probability distributions of durations, and the times at which jobs are submitted."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from .values import Duration, FilePath, ManyPlain, MismatchError, Model, Rate, Text, above_zero, integral

PositiveDuration = Annotated[Duration, above_zero]


class _OneOf(Model):
    """A mapping of which exactly one key is given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    @property
    def kind(self) -> str:
        """The key that was given."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def chosen(self) -> Any:
        """The value of the key that was given."""
        return getattr(self, self.kind)

    @model_validator(mode="before")
    @classmethod
    def _at_most_one(cls, given: Any) -> Any:
        """A key without a value counts too: who leaves it there has not decided."""
        named = [name for name in cls.model_fields if isinstance(given, dict) and name in given]
        if len(named) > 1:
            raise cls._not_one(named)
        return given

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            raise self._not_one([])
        return self

    @classmethod
    def _not_one(cls, given: list[str]) -> MismatchError:
        said = " and ".join(given) or "none of them"
        return MismatchError(f"exactly one of {', '.join(cls.model_fields)}", message=f"there is {said}")


class Uniform(Model):
    """Evenly between two bounds."""

    low: Duration
    high: Duration

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.low > self.high:
            raise MismatchError("a duration of at least low", place=("high",))
        return self


class Exponential(Model):
    """Memoryless, with a mean."""

    mean: PositiveDuration


class Lognormal(Model):
    """Skewed, as run times are: half are above `median`, one in twenty above `p95`."""

    median: PositiveDuration
    p95: PositiveDuration

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        if self.p95 < self.median:
            raise MismatchError("a duration of at least the median", place=("p95",))
        return self


class Gamma(Model):
    """With a mean and a coefficient of variation (standard deviation / mean)."""

    mean: PositiveDuration
    cv: Annotated[float, Field(gt=0, le=100)]


class Empirical(Model):
    """Drawn from the values of a file: a column of a CSV, or one number a line."""

    path: FilePath = Field(description="Relative to the scenario file.")
    column: Text | None = Field(None, description="Absent: the only column of numbers.")
    unit: Literal["s", "ms", "m", "h"] = "s"


def _or_a_duration(schema: dict[str, Any]) -> None:
    title, description = schema["title"], schema.pop("description")
    mapping = {**schema, "minProperties": 1, "maxProperties": 1}
    schema.clear()
    schema.update(title=title, description=description)
    schema["anyOf"] = [mapping, TypeAdapter(Duration).json_schema()]


class Distribution(_OneOf):
    """A distribution of durations: exactly one of the keys; a bare duration means `constant`."""

    model_config = ConfigDict(json_schema_extra=_or_a_duration)

    constant: Duration | None = None
    uniform: Uniform | None = None
    exponential: Exponential | None = None
    lognormal: Lognormal | None = None
    gamma: Gamma | None = None
    empirical: Empirical | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_duration(cls, value: Any) -> Any:
        return {"constant": value} if isinstance(value, str | int | float) else value


class AtOnce(Model):
    """All jobs at one instant."""

    at: Duration = 0


class Every(Model):
    """One job each interval, the first at `start`."""

    interval: PositiveDuration
    start: Duration = 0


class Poisson(Model):
    """Independent arrivals at a constant mean rate, from `start` on."""

    rate: Annotated[Rate, above_zero]
    start: Duration = 0


class Hourly(Model):
    """Independent arrivals whose mean rate depends on the hour of the day.

    `rates` are of the hours 0 to 23; at `start` it is `startHour` o'clock sharp.
    """

    rates: Annotated[ManyPlain[Rate], Field(min_length=24, max_length=24)]
    start: Duration = 0
    startHour: Annotated[int, Field(ge=0, le=23), integral] = 0

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if not any(self.rates):
            raise MismatchError("at least one rate above 0", place=("rates",))
        return self


class Arrivals(_OneOf):
    """When the jobs of a workload entry are submitted: exactly one of the keys."""

    atOnce: AtOnce | None = None
    every: Every | None = None
    poisson: Poisson | None = None
    hourly: Hourly | None = None
    times: Annotated[ManyPlain[Duration], Field(min_length=1)] | None = None
