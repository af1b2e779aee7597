"""The notebooks run from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CHINESE = [path for path in NOTEBOOKS if path.stem.endswith(".zh")]


def cells(path, kind):
    """The cells of a kind, as text."""
    book = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path not in CHINESE], ids=lambda path: path.stem
)
def test_every_cell_runs(path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(path.parent)
    names: dict = {"__name__": "__main__"}
    for source in cells(path, "code"):
        exec(compile(source, path.name, "exec"), names)


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_a_chinese_notebook_runs_the_code_of_the_english_one(path):
    english = FOLDER / path.name.replace(".zh.", ".")
    assert cells(path, "code") == cells(english, "code")
    assert len(cells(path, "markdown")) == len(cells(english, "markdown"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_output(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book["cells"])
