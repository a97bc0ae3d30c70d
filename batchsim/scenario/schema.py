"""The JSON Schema of scenario files, for editors that complete and check YAML."""

from typing import Any

from .scenario import Scenario


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario, as plain data; it knows every key and its meaning.

    A file it accepts may still be refused: names that do not match and limits between two values are
    checked when the scenario is read.
    """
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "batchsim scenario",
    }
