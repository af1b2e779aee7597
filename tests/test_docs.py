"""The documents name commands, options and files that exist; the site builds without a gap."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import types
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
HOWTOS = sorted((ROOT / "docs" / "howto").glob("*.md"))
DOCUMENTS = [*PAGES, ROOT / "README.zh.md"]
ROOMS = ("agents", "benchmarks", "docs", "envs", "experiments", "results", "simulators", "tests")
every_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS]
)


def commands(path):
    """The words of every ``driftrec ...`` line in a block of code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("driftrec ")]


def source(path, name, monkeypatch):
    """The module that a page shows, as if it stood under its name."""
    text = re.search(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    module = types.ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    importlib.import_module(module.__package__)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(text.group(1), str(path), "exec"), module.__dict__)
    return module


@every_document
def test_commands_parse(path):
    import typer

    from driftrec.experiments.cli import app

    known = typer.main.get_command(app).commands
    for _, name, *words in commands(path):
        known[name].make_context(name, words, resilient_parsing=False)


@every_document
def test_files_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w/.-]*)`", text):
        if "NAME" not in name and not name.endswith(("weariness.py", "last.py")):
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", HOWTOS, ids=[path.stem for path in HOWTOS])
def test_code_in_the_how_tos_compiles_and_imports_what_there_is(path):
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("driftrec"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    known = hasattr(module, alias.name)
                    assert known or find_spec(f"{node.module}.{alias.name}"), alias.name


def test_every_how_to_stands_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {f"howto/{path.name}" for path in HOWTOS} == set(re.findall(r"howto/\w+\.md", menu))


def test_classes_in_the_map_of_the_article_are_where_it_says():
    rows = (ROOT / "docs" / "article.md").read_text(encoding="utf-8").splitlines()
    found = 0
    for cell in (row.split(" | ")[1] for row in rows if row.startswith("| ")):
        for part in cell.split("; "):
            files = re.findall(r"`([\w/]+\.py)`", part)
            text = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
            for names in re.findall(r"`([A-Za-z_]+(?:\.[a-z_]+)?)`", part) if files else []:
                for name in names.split("."):
                    assert re.search(rf"(class|def) {name}\b", text), (name, files)
                    found += 1
    assert found > 20


def test_the_drift_of_the_how_to_wearies_and_can_be_switched_off(monkeypatch):
    from driftrec.envs.config import make_simulator
    from driftrec.simulators import Simulator

    page = ROOT / "docs" / "howto" / "drift.md"
    process = source(page, "driftrec.simulators.drift.weariness", monkeypatch).Weariness()
    plain = make_simulator("plain", slate_size=3, history=4, drift="none")
    items = np.arange(3, dtype=np.int32)[None]
    falls = []
    for strength in (0.0, 1.0):
        domain = replace(plain.domain, drift=(process.scaled(strength),))
        world = Simulator(domain, plain.world, slate_size=3, history=4)
        users, _, _ = world.start(np.zeros(1, np.int64), np.zeros(1, np.int64))
        fresh = world.utility(users, items)
        users.step[:] = 20
        falls.append(fresh - world.utility(users, items))
    np.testing.assert_allclose(falls[0], 0)
    np.testing.assert_allclose(falls[1], 0.2 * np.log(21), rtol=1e-4)


def test_the_agent_of_the_how_to_shows_what_was_taken_last_first(monkeypatch):
    agent = source(ROOT / "docs" / "howto" / "agent.md", "driftrec.agents.last", monkeypatch)
    env = gym.make_vec(
        "driftrec.envs:driftrec/DriftingInterest-v0", num_envs=8, slate_size=3, history=4
    )
    observation, _ = env.reset(seed=3)
    slates, _ = agent.LastTaken(env).predict(observation)
    taken = observation["feedback"] > 0
    users = np.flatnonzero(taken.any((1, 2)))
    assert len(users)
    for user in users:
        step = np.flatnonzero(taken[user].any(1))[-1]
        assert slates[user, 0] == observation["slates"][user, step][taken[user, step]][0]


def test_the_chinese_readme_lists_every_environment_and_command():
    import typer

    from driftrec.envs import ENV_IDS
    from driftrec.experiments.cli import app

    text = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    assert all(f"`{env_id}`" in text for env_id in ENV_IDS)
    shown = {words[1] for words in commands(ROOT / "README.zh.md")}
    assert shown <= set(typer.main.get_command(app).commands)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links and all((ROOT / link).exists() for link in links)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built by the command of ``make docs``."""
    if not all(find_spec(name) for name in ("mkdocs", "material", "mkdocstrings", "latex2mathml")):
        pytest.skip("the extra docs is not installed: pip install 'driftrec[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return folder


def test_the_site_has_a_page_with_its_gate_row_for_every_environment(site):
    from driftrec.envs import ENV_IDS
    from driftrec.experiments.gate import summary

    text = (ROOT / "results" / "gate.json").read_text(encoding="utf-8")
    reports = {report["env_id"]: report for report in json.loads(text)["reports"]}
    for env_id in ENV_IDS:
        name = env_id.removeprefix("driftrec/").rsplit("-v", 1)[0].lower()
        page = (site / "domains" / name / "index.html").read_text(encoding="utf-8")
        row = [cell.strip() for cell in summary([reports[env_id]]).splitlines()[-1].split("|")]
        cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", page, re.S)]
        assert [c.strip("`") for c in row[1:-1]] == cells[: len(row) - 2], env_id


def test_the_site_fetches_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'(src|href)="(https?:)?//', text), page
        assert "arithmatex" not in text, f"{page}: a formula is not drawn"


def test_the_reference_keeps_products_of_vectors(site):
    text = (site / "api" / "simulators" / "index.html").read_text(encoding="utf-8")
    assert "&lt;interest, attributes&gt;" in text


def test_the_reference_has_every_public_class_of_the_agents(site):
    text = (site / "api" / "agents" / "index.html").read_text(encoding="utf-8")
    for path in (ROOT / "agents").rglob("*.py"):
        module = "driftrec." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(encoding="utf-8"), re.M):
            assert f'id="{module}.{name}"' in text, name
