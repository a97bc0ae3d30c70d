"""How an assumption is declared: a field with a value in each preset, a unit, a source and a sentence."""

from typing import Any, Literal

from pydantic import Field

MARK = "x-assumption"

Preset = Literal["aws", "measured", "ideal"]
_NOT_OTHERWISE = object()


def assumed(
    aws: Any, ideal: Any, unit: str, source: str, sentence: str, *, measured: Any = _NOT_OTHERWISE
) -> Any:
    """A field whose default depends on the preset; values are written as in a scenario file.

    What preset `measured` says nothing of is as in `aws`.
    """
    if measured is _NOT_OTHERWISE:
        measured = aws
    values = {"aws": aws, "measured": measured, "ideal": ideal}
    told = ", ".join(
        f"{preset}: {value}" for preset, value in values.items() if preset != "measured" or value is not aws
    )
    return Field(
        default_factory=lambda given: values[given.get("preset", "aws")],
        validate_default=True,
        description=f"{sentence} {told}. {source}",
        json_schema_extra={MARK: {**values, "unit": unit, "source": source, "sentence": sentence}},
    )
