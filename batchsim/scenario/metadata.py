"""AWS fields that may stand in a scenario without an effect on the simulation.

A `describe-*` answer can be pasted because these fields are accepted. Those that mean something on
AWS carry the sentence that says what is not modelled; pure identity (ARNs, tags, status) carries none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from .unbuilt import is_empty
from .values import MismatchError, Model


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Marks a field that is accepted and ignored; `sentence` says what that leaves out."""

    sentence: str


def _ignored(sentence: str) -> Any:
    return Annotated[Any, NoEffect(sentence), Field(description=f"Accepted, without effect: {sentence}")]


def _must_be_empty(value: Any) -> Any:
    if is_empty(value):
        return value
    raise MismatchError("nothing here", message="this is not modelled by this version of batchsim")


Identity = Annotated[Any, Field(description="Accepted, without effect: identifies or labels, no more.")]
"""ARNs, tags, status and the like."""

Unbuilt = SkipJsonSchema[Annotated[Any, AfterValidator(_must_be_empty)]]
"""A feature that is not modelled; an answer may list it where it is empty, zero or false."""

Network = _ignored("Subnets and security groups are not modelled: there is one network.")
Access = _ignored("IAM roles, keys and secrets are not modelled: every call is allowed.")
MachineImage = _ignored("AMIs, launch templates and user data are not modelled: boot times are assumptions.")
Storage = _ignored("Volumes and mount points are not modelled, nor how full disks are.")
CONTAINER_SETTINGS = NoEffect("Container settings other than image, vCPUs, memory and GPUs are not modelled.")
ContainerSettings = _ignored(CONTAINER_SETTINGS.sentence)
Logging = _ignored("Log drivers are not modelled.")


def not_modelled(model: Model) -> Iterator[str]:
    """The sentences of the ignored fields given in a model and in those inside it, with repetitions."""
    for name in sorted(model.model_fields_set):
        value = getattr(model, name)
        for mark in type(model).model_fields[name].metadata:
            if isinstance(mark, NoEffect) and not is_empty(value):
                yield mark.sentence
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Model):
                yield from not_modelled(part)
