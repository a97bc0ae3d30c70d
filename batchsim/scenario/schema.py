"""The JSON Schema of scenario files, for editors that complete and check YAML."""

from typing import Any

from .scenario import Scenario

_DEFINITION = "#/$defs/"


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario, as plain data; it knows every key and its meaning.

    A file it accepts may still be refused: names that do not match and limits between two values are
    checked when the scenario is read. What is not built yet is not in it.
    """
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    impossible = {_DEFINITION + name for name in _impossible(schema["$defs"])}
    simple = _simplified(schema, impossible)
    definitions = simple.pop("$defs")
    reached = _reached(simple, definitions, set())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **simple,
        "$defs": {name: model for name, model in definitions.items() if name in reached},
        "title": "batchsim scenario",
    }


def _impossible(definitions: dict[str, Any]) -> list[str]:
    """The mappings that lack a key they need, because it is not built yet."""
    return [
        name
        for name, model in definitions.items()
        if not set(model.get("required", ())) <= set(model.get("properties", ()))
    ]


def _reached(schema: Any, definitions: dict[str, Any], known: set[str]) -> set[str]:
    """The names of the definitions that a schema refers to, however indirectly; added to `known`."""
    if isinstance(schema, dict):
        name = str(schema.get("$ref", "")).removeprefix(_DEFINITION)
        if name and name not in known:
            known.add(name)
            _reached(definitions[name], definitions, known)
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _reached(part, definitions, known)
    return known


def _simplified(schema: Any, impossible: set[str]) -> Any:
    """Without what only lengthens a schema: titles that repeat a key, null beside a real type,
    and alternatives that no value can have.
    """
    if isinstance(schema, list):
        return [_simplified(part, impossible) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _simplified(value, impossible) for key, value in schema.items()}
    for name, inner in plain.get("properties", {}).items():
        if inner.get("title", "").lower() == name.lower().replace("_", " "):
            del inner["title"]
    if "oneOf" in plain:
        plain["oneOf"] = [part for part in plain["oneOf"] if part.get("$ref") not in impossible]
    real = [part for part in plain.get("anyOf", ()) if part != {"type": "null"}]
    if len(real) == 1:
        plain = {**real[0], **{key: value for key, value in plain.items() if key != "anyOf"}}
    if plain.get("default", ...) is None:
        del plain["default"]
    return plain
