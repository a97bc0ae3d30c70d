"""The JSON Schema of scenario files, for editors that complete and check YAML."""

from typing import Any

from .scenario import Scenario

_DEFINITION = "#/$defs/"
_NULL = {"type": "null"}
_EMPTY = {
    "description": "Not modelled by this version of batchsim: accepted where it says nothing.",
    "anyOf": [
        {"enum": ["", 0, False, None]},
        {"type": "array", "items": {"$ref": f"{_DEFINITION}Empty"}},
        {"type": "object", "additionalProperties": {"$ref": f"{_DEFINITION}Empty"}},
    ],
}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario, as plain data; it knows every key and its meaning.

    Every file that is a scenario fits it. A file that fits may still be refused: names that do not match
    and limits between two values are checked when the scenario is read. What is not built yet is not
    offered, and accepted where it says nothing.
    """
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    impossible = {_DEFINITION + name for name in _impossible(schema["$defs"])}
    simple = _simplified(schema, impossible)
    definitions = {**simple.pop("$defs"), "Empty": _EMPTY}
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
    """Without what only lengthens a schema: titles that repeat a key, and alternatives that no value has.

    Where a key may be missing its value may be null; a key that is not built may say nothing.
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
    real = [part for part in plain.get("anyOf", ()) if part != _NULL]
    if len(real) == 1:
        plain = {**real[0], **{key: value for key, value in plain.items() if key != "anyOf"}}
    elif real:
        plain["anyOf"] = real
    if plain.get("default", ...) is None:
        del plain["default"]
    return _with_nulls(_closed(plain))


def _closed(mapping: dict[str, Any]) -> dict[str, Any]:
    """Without keys that fit no pattern, where the user chooses them; and with those that may say nothing."""
    if "patternProperties" in mapping:
        return {"additionalProperties": False, **mapping}
    if "x-empty" not in mapping:
        return mapping
    pattern = f"^({'|'.join(mapping.pop('x-empty'))})$"
    return {**mapping, "patternProperties": {pattern: {"$ref": f"{_DEFINITION}Empty"}}}


def _with_nulls(model: dict[str, Any]) -> dict[str, Any]:
    """The schema of a mapping, null being allowed where a key may be missing; others as they are.

    A mapping of which one key says what the others cannot has no null.
    """
    if "properties" not in model or "maxProperties" in model:
        return model
    required = model.get("required", ())
    fields = {
        name: field if name in required else _nullable(field) for name, field in model["properties"].items()
    }
    return {**model, "properties": fields}


def _nullable(field: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in field:
        return {**field, "anyOf": [*field["anyOf"], _NULL]}
    if "$ref" in field:
        about = {key: value for key, value in field.items() if key != "$ref"}
        return {**about, "anyOf": [{"$ref": field["$ref"]}, _NULL]}
    if "const" in field:
        field = {"enum": [field["const"]], **{key: value for key, value in field.items() if key != "const"}}
    nullable = dict(field)
    if "type" in field:
        kinds = field["type"]
        nullable["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    if "enum" in field:
        nullable["enum"] = [*field["enum"], None]
    return nullable
