"""`batchsim schema`: the JSON Schema of scenario files."""

from __future__ import annotations

from batchsim.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of scenario files.

    For editors that complete and check YAML.
    """
    from batchsim.scenario import json_schema

    print_json(json_schema())
