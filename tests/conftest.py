import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Small episodes: what is tested does not depend on their length.
SMALL = {"slate_size": 3, "history": 4, "horizon": 6}

PLAIN = """words = "video"
affinity = 8.0
[choice]
kind = "logit"
outside = {outside}
[response]
kind = "click"
[patience]
most = {most}
loss = 1
gain = 1
[drift.gradual]
half_life = 50
"""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As trainings have: with two, sums are split by load and no fit repeats to the last bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def readme() -> Any:
    """The script that writes the README's blocks."""
    path = Path(__file__).parents[1] / "benchmarks" / "readme.py"
    spec = importlib.util.spec_from_file_location("readme", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small() -> dict:
    """Options of an environment whose episodes are short."""
    return dict(SMALL)


@pytest.fixture
def plain_domain(tmp_path: Path):
    """Path of a domain of users who like nothing beyond ``outside`` and stand ``most`` slates."""

    def write(outside: float = 4.0, most: float = 6.0) -> str:
        path = tmp_path / f"outside_{outside}_most_{most}.toml"
        path.write_text(PLAIN.format(outside=float(outside), most=float(most)), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def check_saved(tmp_path: Path) -> Callable[[Any, Any], Any]:
    """Saves and loads a learner, asserts that it gives the slates that it gave, and returns it."""

    def check(learner: Any, env: Any) -> Any:
        from driftrec.agents.learners import load_learner

        learner.save(tmp_path / "model.zip")
        loaded = load_learner(tmp_path / "model.zip", env)
        observation = env.reset()
        ours, _ = learner.predict(observation, deterministic=True)
        theirs, _ = loaded.predict(observation, deterministic=True)
        np.testing.assert_array_equal(ours, theirs)
        return loaded

    return check
