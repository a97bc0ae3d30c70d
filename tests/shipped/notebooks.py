"""The notebooks: each is a script, which is edited, and an `.ipynb` of the same cells with their outputs.

python tests/shipped/notebooks.py     runs the scripts and writes the `.ipynb` beside them
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
_LONGEST_S = 600


def executed(script: Path) -> NotebookNode:
    """The notebook of a script with the outputs of its cells; raises what a cell raises."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    client = NotebookClient(
        notebook,
        timeout=_LONGEST_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def stored(script: Path) -> NotebookNode:
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def texts(cell: Any) -> list[Any]:
    """What a cell printed and showed, pictures without their pixels."""
    shown = []
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            shown.append((output.name, output.text))
        else:
            data = output.get("data", {})
            shown.append({kind: "..." if kind.startswith("image/") else data[kind] for kind in sorted(data)})
    return shown


if __name__ == "__main__":
    for path in SCRIPTS:
        nbformat.write(executed(path), path.with_suffix(".ipynb"))
