"""The notebooks run, and show what is stored of them."""

from __future__ import annotations

import re

import pytest

from tests.shipped import notebooks

COMPARE = notebooks.FOLDER / "compare_instance_types.py"

every_notebook = pytest.mark.parametrize("script", notebooks.SCRIPTS, ids=lambda path: path.stem)


def test_there_are_notebooks():
    assert COMPARE in notebooks.SCRIPTS


@every_notebook
@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
def test_a_notebook_shows_what_is_stored(script):
    now, then = notebooks.executed(script), notebooks.stored(script)
    assert [cell.source for cell in now.cells] == [cell.source for cell in then.cells]
    for cell, old in zip(now.cells, then.cells, strict=True):
        assert notebooks.texts(cell) == notebooks.texts(old), (
            f"{script.stem} shows something else after\n{cell.source}\n"
            "if this is right, run `python tests/shipped/notebooks.py`"
        )


@every_notebook
def test_what_is_stored_names_no_machine(script):
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert not re.search(r'/(tmp|home|root|Users|opt)/|[A-Z]:\\\\|file://|"stderr"|Traceback', text)
    assert "iopub" not in text  # no instants of execution


def test_the_comparison_has_three_plots_and_an_answer():
    cells = notebooks.stored(COMPARE).cells
    pictures = [
        kind for cell in cells for shown in notebooks.texts(cell) if isinstance(shown, dict) for kind in shown
    ]
    assert pictures.count("image/png") == 3
    headings = [
        cell.source for cell in cells if cell.cell_type == "markdown" and "## The answer" in cell.source
    ]
    assert len(headings) == 1
