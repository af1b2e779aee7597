"""A network that saved weights overwrite does not work out where it would begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from stirred import stirred_model
from torch import Tensor

from driftrec.agents import chain
from driftrec.agents.fresh import weights_follow
from driftrec.agents.learners import load_learner, make_learner
from driftrec.agents.serving import Recommender, save
from driftrec.envs.sb3 import BatchVecEnv


def learner(name: str = "interest-attention") -> Any:
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", 2, slate_size=3, history=4, horizon=6))
    return make_learner(name, "ppo", env, seed=0, hidden=16)


def weights(policy: Any) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in policy.network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_loading_finds_no_clusters_and_gives_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, model = learner(), stirred_model()
    trained.save(tmp_path / "model.zip")
    save(model, tmp_path / "export", "exact")

    def forbidden(*args: Any, **options: Any) -> Any:
        raise AssertionError("k-means, whose centres are overwritten")

    monkeypatch.setattr(chain, "kmeans2", forbidden)
    loaded = load_learner(str(tmp_path / "model.zip"))
    assert same(weights(loaded.policy), weights(trained.policy))
    served = Recommender.load(tmp_path / "export").model
    assert same(served.network.state_dict(), model.network.state_dict())
    with pytest.raises(AssertionError, match="k-means"):  # a network that is to learn
        learner()


def test_a_new_network_begins_as_ever_after_a_load_that_failed() -> None:
    before = weights(learner().policy)
    with pytest.raises(RuntimeError, match="damaged"), weights_follow():
        raise RuntimeError("damaged")
    after = weights(learner().policy)
    assert same(before, after) and bool((before["interest.chain.passing"] != 0).any())


def test_only_the_centres_differ_where_weights_follow_and_no_random_number_does() -> None:
    plain, state = weights(learner().policy), torch.get_rng_state()
    with weights_follow():
        hollow = weights(learner().policy)
    assert torch.equal(torch.get_rng_state(), state)
    differ = {name for name in plain if not torch.equal(plain[name], hollow[name])}
    assert differ == {"interest.chain.passing", "passing_pull"}
