"""The folders at the root are the packages: installed whole, importing downhill, light, seeded."""

import ast
import doctest
import importlib
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
ROOMS = ("simulators", "envs", "agents", "experiments")  # each imports from those before it only
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
every_source = pytest.mark.parametrize(
    "path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES]
)
# What makes a generator; everything else of numpy.random draws from the global one.
GENERATORS = {
    "BitGenerator",
    "Generator",
    "PCG64",
    "PCG64DXSM",
    "Philox",
    "SFC64",
    "SeedSequence",
    "default_rng",
}


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def fresh(code):
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout.strip()


def test_the_list_of_packages_is_what_lies_on_the_disk():
    found = {
        "driftrec." + str(path.parent.relative_to(ROOT)).replace("/", ".")
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == found
    assert SETUPTOOLS["package-dir"] == {f"driftrec.{room}": room for room in ROOMS}


def test_every_folder_of_sources_is_a_package():
    for path in SOURCES:
        assert (path.parent / "__init__.py").is_file(), path


def test_every_file_that_is_no_module_is_packed_too():
    patterns = SETUPTOOLS["package-data"]["*"]
    for room in ROOMS:
        assert (ROOT / room / "py.typed").is_file()
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts:
                assert any(fnmatch(path.name, pattern) for pattern in patterns), path


def test_type_checkers_find_the_packages_by_their_names():
    link = ROOT / ".typing" / "driftrec"
    assert link.is_symlink()
    assert link.resolve() == ROOT.resolve()


@every_source
def test_imports_flow_downhill(path):
    room = path.relative_to(ROOT).parts[0]
    below = ROOMS[: ROOMS.index(room)]
    for node in ast.walk(tree_of(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [str(node.module)]
            if node.module == "driftrec":
                names = [f"driftrec.{alias.name}" for alias in node.names]
        for name in names:
            assert name.split(".")[0] not in ROOMS, f"line {node.lineno}: {name} is driftrec.{name}"
            if name.split(".")[0] == "driftrec":
                # Its own room a module imports relatively: else checkers see two of each class.
                assert name.split(".")[1] in below, f"line {node.lineno}: {room} imports {name}"


@every_source
def test_nothing_draws_from_a_global_generator(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            assert "random" not in {alias.name for alias in node.names}, f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("random", "numpy.random"), f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            owner = node.value
            if owner.attr == "random" and isinstance(owner.value, ast.Name):
                name = f"{owner.value.id}.random.{node.attr}"
                assert owner.value.id not in ("np", "numpy") or node.attr in GENERATORS, name


@pytest.mark.parametrize(
    ("package", "absent"),
    [
        ("simulators", ("gymnasium", "torch", "pandas", "matplotlib")),
        ("envs", ("torch", "pandas", "matplotlib", "numba", "scipy", "PIL", "stable_baselines3")),
        ("agents", ("torch", "transformers", "pandas", "matplotlib", "stable_baselines3")),
    ],
)
def test_imports_stay_light(package, absent):
    code = f"import sys, driftrec.{package}; print([m for m in {absent} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_making_and_stepping_an_environment_stays_light():
    assert (
        fresh(
            "import sys, gymnasium as gym\n"
            "env = gym.make('driftrec.envs:driftrec/Video-v0', history=2)\n"
            "env.reset(seed=0); env.step(env.action_space.sample())\n"
            "heavy = ('torch', 'pandas', 'matplotlib', 'scipy.sparse', 'scipy.stats')\n"
            "print([m for m in heavy if m in sys.modules])"
        )
        == "[]"
    )


def test_importing_gymnasium_is_none_of_our_business():
    # Gymnasium reads no entry points since 1.0: one would cost time and register nothing.
    points = metadata.entry_points(group="gymnasium.envs")
    assert not [point for point in points if point.value.startswith("driftrec")]
    assert fresh("import sys, gymnasium; print('driftrec.envs' in sys.modules)") == "False"


@every_source
def test_examples_in_docstrings_are_true(path):
    if ">>>" not in path.read_text(encoding="utf-8"):
        return
    name = "driftrec." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed
