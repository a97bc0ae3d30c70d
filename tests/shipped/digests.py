"""What the shipped scenarios give, as digests: equal lines mean equal results, to the byte.

python tests/shipped/digests.py > before
... a change that must not show, such as compiling ...
python tests/shipped/digests.py | diff before -
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import batchsim

ROOT = Path(__file__).resolve().parents[2]


def digests() -> list[str]:
    """For each file of each result but the manifest, which names versions: SHA-256, scenario and file."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for scenario in sorted((ROOT / "scenarios").glob("*.yaml")):
            into = Path(folder, scenario.stem)
            batchsim.run(batchsim.load_scenario(scenario)).write(into, format="csv")
            lines += [
                f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}"
                for path in sorted(into.rglob("*"))
                if path.is_file() and path.name != "manifest.json"
            ]
    return lines


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in digests())
