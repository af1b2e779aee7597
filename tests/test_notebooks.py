"""The notebooks run from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# Fewer users and steps, by the notebook's stem: that every cell runs does not depend on them.
SMALLER = {
    "01_first_steps": {"users=200": "users=20", "users=128": "users=16"},
    "02_drift_by_drift": {"users=40": "users=8", "users=24": "users=6"},
    "03_train_and_compare": {
        "steps=12_800": "steps=1_600",
        '"practice_steps": 51_200, "pretrain_steps": 6_400': '"pretrain_steps": 800',
        "num_envs=32": "num_envs=8",
        "validation_users=64": "validation_users=8",
        "users=100": "users=12",
    },
    "04_inside_the_attention": {
        "make_batch(ENV, 64)": "make_batch(ENV, 8)",
        "pretrain_steps=12_800": "pretrain_steps=800",
        "learn(12_800)": "learn(800)",
        "learner, ENV, 128,": "learner, ENV, 24,",
    },
    "05_your_own_catalogue": {
        "users=128": "users=16",
        "steps=12_800": "num_envs=8, steps=1_600",
        '"practice_steps": 12_800, "pretrain_steps": 6_400': '"pretrain_steps": 800',
        "validation_users=64": "validation_users=8",
    },
}
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
    sources = cells(path, "code")
    for long, short in SMALLER.get(path.stem, {}).items():
        assert sum(source.count(long) for source in sources) == 1, f"{path.name} has no {long}"
        sources = [source.replace(long, short) for source in sources]
    for source in sources:
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
