"""The JSON Schema of scenario files, for editors that complete and check YAML."""

from typing import Any

from .scenario import Scenario


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario, as plain data; it knows every key and its meaning.

    A file it accepts may still be refused: names that do not match and limits between two values are
    checked when the scenario is read.
    """
    schema = _simplified(Scenario.model_json_schema(by_alias=True, mode="validation"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "batchsim scenario",
    }


def _simplified(schema: Any) -> Any:
    """Without what only lengthens a schema: titles that repeat a key, and null beside a real type."""
    if isinstance(schema, list):
        return [_simplified(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _simplified(value) for key, value in schema.items()}
    for name, inner in plain.get("properties", {}).items():
        if inner.get("title", "").lower() == name.lower().replace("_", " "):
            del inner["title"]
    real = [part for part in plain.get("anyOf", ()) if part != {"type": "null"}]
    if len(real) == 1:
        plain = {**real[0], **{key: value for key, value in plain.items() if key != "anyOf"}}
    if plain.get("default", ...) is None:
        del plain["default"]
    return plain
