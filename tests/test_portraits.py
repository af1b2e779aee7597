"""Facts about tracking, attention around shifts, and the figures of models at work."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from driftrec import agents
from driftrec.experiments import interest_figures as draw
from driftrec.experiments.attending import NEWEST, attends, attention_table, newest_share
from driftrec.experiments.following import follow
from driftrec.experiments.plot import plot
from driftrec.experiments.portraits import displacement_table, slates_table, tracking_table
from driftrec.experiments.recovery import AFTER, BEFORE
from driftrec.experiments.runs import load_agent
from driftrec.experiments.train import TrainConfig, train
from driftrec.experiments.worlds import make_batch

ENV = "driftrec/DriftingInterest-v0"


def played(name, users=40, **options):
    make = partial(agents.make, name)
    return follow(make, ENV, users, 3, {"history": 20, "horizon": 30, **options})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps in a world that jumps now and then."""
    folder = tmp_path_factory.mktemp("run") / "run"
    options = {
        "history": 10,
        "horizon": 60,
        "slate_size": 4,
        "drift": "abrupt",
        "drift_strength": 3.0,
    }
    learner = {"pretrain_steps": 960, "privileged": True}
    train(TrainConfig(str(folder), ENV, steps=1920, num_envs=16, env_options=options,
                      learner_options=learner, validations=1, validation_users=8))  # fmt: skip
    return folder, options


@pytest.fixture(scope="module")
def sessions(run):
    """The policy, its interest given a say in the attention, and its sessions."""
    import torch

    folder, options = run
    learner = load_agent(folder, make_batch(ENV, 1, options), ENV)
    gain = learner.policy.network.adjuster.gain
    torch.nn.init.normal_(gain.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    return learner.policy, follow(lambda env: learner, ENV, 64, 3, options, keep=True)


def test_who_sees_the_interest_shows_it_and_who_draws_at_random_does_not():
    oracle, static, random = (
        played(name, drift="none").cosine.mean() for name in ("oracle", "static-interest", "random")
    )
    assert abs(random) < 0.1
    assert oracle > static > 0.3


def test_the_taste_stays_where_nothing_moves_it_and_follows_the_slates_under_influence():
    assert played("static-interest", drift="none").moved.max() < 0.2
    taken, passed = (played(n, drift="influence").moved[-1].mean() for n in ("oracle", "random"))
    assert taken > 2 * passed


def test_tracking_keeps_users_who_would_leave():
    sessions = played("random")
    assert np.isfinite(sessions.result.rewards).all()
    assert sessions.cosine.shape == sessions.moved.shape == (30, 40)


def test_attention_is_what_the_agent_had_when_it_was_asked(sessions):
    """One pass over the session gives the last slate shown: its maps are those that were used."""
    import torch

    from driftrec.agents.history import newest, window

    policy, tracked = sessions
    *before, last = tracked.observations
    seen = [{k: torch.as_tensor(v) for k, v in o.items()} for o in before]
    parts = zip(window(seen[0]), *map(newest, seen[1:]), strict=True)
    with torch.no_grad():
        output = policy.network(*(torch.cat(part, 1) for part in parts), last=1)
        slates = policy.choose(output, True).numpy()
    assert (slates == last["slates"][:, -1]).mean() > 0.99  # but for the rounding of ties


def test_attention_around_a_shift_counts_what_lies_on_the_newest_slates(sessions):
    policy, tracked = sessions
    assert attends(policy)
    table = attention_table(policy, tracked)
    assert set(table["layer"]) == {1, 2}
    assert len(table) == 2 * (BEFORE + AFTER) and table["shifts"].iloc[0] > 3
    assert (table["moved"] > 0).all()
    assert table["newest"].between(0.5, 2).all()  # a network this young attends nearly evenly


def test_an_even_spread_is_one_and_all_on_the_newest_is_more():
    import torch

    even = torch.ones(8, 8).tril()
    even = (even / even.sum(1, keepdim=True))[-3:]
    np.testing.assert_allclose(newest_share(even, 3), 1, rtol=1e-6)
    np.testing.assert_allclose(newest_share(torch.eye(8)[-3:], 3), np.array([6, 7, 8]) / NEWEST)


def test_an_interest_that_adjusts_nothing_moves_no_attention(sessions):
    import torch

    policy, tracked = sessions
    gain = policy.network.adjuster.gain
    kept = gain.weight.detach().clone(), gain.bias.detach().clone()
    with torch.no_grad():
        gain.weight.zero_()
        gain.bias.zero_()
        table = attention_table(policy, tracked)
        gain.weight.copy_(kept[0])
        gain.bias.copy_(kept[1])
    assert table["moved"].max() == 0
    np.testing.assert_array_equal(table["newest"], table["newest_plain"])


def test_attention_needs_the_observations(sessions):
    policy, _ = sessions
    with pytest.raises(ValueError, match="keep=True"):
        attention_table(policy, played("random"))


def test_tables_average_training_seeds_and_then_users():
    one, two = played("static-interest"), played("discounted-linucb")
    table = tracking_table({"static-interest": [one, two]})
    np.testing.assert_allclose(table["cosine"], ((one.cosine + two.cosine) / 2).mean(1), rtol=1e-5)
    assert (table["low"] < table["cosine"]).all() and (table["cosine"] < table["high"]).all()
    assert set(displacement_table({"random": [one]})["kind"]) == {"static"}
    assert slates_table({"mine": [one]})["kind"].tolist() == ["learned"]


def test_plot_draws_a_run_at_work(run, tmp_path):
    folder, _ = run
    names = {path.name for path in plot([folder], tmp_path, users=12)}
    assert names == {"reward_curves.png", "interest_tracking.png", "slates.png",
                     "displacement.png", "attention_shift.png"}  # fmt: skip
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)
    assert plot([folder], tmp_path / "few", users=0) == [tmp_path / "few" / "reward_curves.png"]


def test_figures_show_every_agent_and_every_layer():
    frame = {"agent": ["a", "a", "b", "b"], "kind": "learned", "step": [0, 1, 0, 1]}
    lines = pd.DataFrame({**frame, "cosine": 0.5, "degrees": 3.0, "low": 0.4, "high": 0.6})
    for figure in (draw.interest_tracking(lines), draw.displacement(lines)):
        axes = figure.axes[0]
        assert len(axes.lines) == 2
        assert {text.get_text() for text in axes.texts} == {"a", "b"}
    layers = pd.DataFrame({"layer": [1, 1, 2, 2], "offset": [-1, 0, -1, 0], "moved": 0.1})
    layers = layers.assign(low=0.05, high=0.15, newest=0.2, newest_plain=0.1)
    names = [text.get_text() for text in draw.attention_shift(layers).legends[0].texts]
    assert names == ["layer 1", "layer 2", "without the interest"]
