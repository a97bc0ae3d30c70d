"""What really happens to the attempts of a job. Ours: AWS has no such thing."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from .retries import ExitCode
from .values import Duration, MismatchError, Model, integral

_EXIT_OF_SIGTERM = 143
_WORDS: dict[str, dict[str, Any]] = {"exit": {}, "ignore": {"ignored": True}}


class Failure(Model):
    """Attempts that fail by themselves: each with probability `rate`, leaving `exitCode`."""

    rate: Annotated[float, Field(ge=0, le=1)]
    exitCode: Annotated[int, Field(ge=1, le=255), integral] = 1


class StartFailures(Model):
    """Attempts that fail before RUNNING: each with probability `rate` [spec 1.6]."""

    rate: Annotated[float, Field(ge=0, le=1)]
    reason: Literal["CannotPullContainerError", "DockerTimeoutError"] = "CannotPullContainerError"


class CapacityFailures(Model):
    """Service jobs that go from SCHEDULED back to RUNNABLE for want of capacity [spec 1.16].

    The `first` times that a job is scheduled fail, and each later time with probability `rate`.
    """

    rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    first: Annotated[int, Field(ge=0, le=1000), integral] = 0


def _or_a_word(schema: dict[str, Any]) -> None:
    title, description = schema["title"], schema.pop("description")
    mapping = dict(schema)
    schema.clear()
    schema.update(title=title, description=description)
    schema["anyOf"] = [mapping, TypeAdapter(Literal["exit", "ignore"]).json_schema()]


class OnSigterm(Model):
    """How a container takes SIGTERM: it leaves `exit` some time `after`, or it has `ignored` it.

    Written `exit` (code 143 at once), `ignore` (killed after assumptions.stopGrace, code 137) or as a
    mapping, `{exit: 0, after: 5s}`.
    """

    model_config = ConfigDict(json_schema_extra=_or_a_word)

    exit: ExitCode = _EXIT_OF_SIGTERM
    after: Duration = 0
    ignored: bool = False

    @model_validator(mode="before")
    @classmethod
    def _word(cls, given: Any) -> Any:
        if isinstance(given, str):
            if given not in _WORDS:
                raise MismatchError("exit, ignore or a mapping such as {exit: 0, after: 5s}", choices=_WORDS)
            return _WORDS[given]
        return given
