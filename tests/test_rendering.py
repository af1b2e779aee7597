"""What a session looks like."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from driftrec.envs import ENV_IDS, DriftEnv

every_id = pytest.mark.parametrize("env_id", ENV_IDS)


def watched(mode, **options):
    env = DriftEnv(render_mode=mode, **options)
    env.reset(seed=0)
    return env


@every_id
def test_a_picture_of_every_environment(env_id, small):
    env = gym.make(env_id, render_mode="rgb_array", **small)
    env.reset(seed=0)
    before = env.render()
    env.unwrapped.show_interest(np.random.default_rng(0).random(len(env.unwrapped.catalog)))
    env.step(env.action_space.sample())
    after = env.render()
    assert before.shape == after.shape == (675, 1200, 3)
    assert before.dtype == np.uint8
    assert (before != after).any()
    assert after.std() > 10  # not a blank sheet


@every_id
def test_text_names_the_slate_and_marks_what_was_taken(env_id, small):
    env = gym.make(env_id, render_mode="ansi", **small | {"horizon": 50})
    observation, _ = env.reset(seed=1)
    for slate in np.arange(60).reshape(20, 3):
        observation, _, left, timed_out, _ = env.step(slate)
        text = env.render()
        assert all(env.unwrapped.catalog.title[item] in text for item in slate)
        taken = observation["feedback"][-1].any()
        assert ("<-" in text) == taken
        assert ("nothing taken" in text) == (not taken)
        assert ("The user leaves." in text) == left
        if left or timed_out:
            return


def test_the_taste_drawn_is_the_one_that_answered(small):
    env = watched("ansi", domain="video", drift_strength=50.0, **small | {"horizon": 9})
    _, info = env.reset(seed=0)
    for _ in range(4):
        answered = env.simulator.world.centers @ info["taste"]
        *_, info = env.step(np.arange(3))
        np.testing.assert_array_equal(env.viewer.scene.taste, answered)


def test_a_replaced_taste_is_pointed_out(small, plain_domain):
    env = watched(
        "ansi",
        domain=plain_domain(most=1e6),
        drift="abrupt",
        drift_strength=100.0,
        **small | {"horizon": 20},
    )
    told = []
    for _ in range(20):
        *_, info = env.step(np.arange(3))
        told.append("has just been replaced" in env.render())
        assert told[-1] == info["shift"]
    assert any(told)


def test_the_agents_view_may_be_of_topics_or_of_items(small):
    env = watched("ansi", **small)
    catalog = env.catalog
    views = np.eye(catalog.num_topics)[3], (catalog.main_topic == 3).astype(float)
    for view in views:
        env.show_interest(view)
        env.step(np.arange(3))
        assert f"agent  {catalog.topic_names[3]} 1.00" in env.render()
    env.step(np.arange(3))
    assert "agent" not in env.render()  # said once, drawn once
    env.show_interest(views[0])
    env.show_interest(None)
    env.step(np.arange(3))
    assert "agent" not in env.render()


@pytest.mark.parametrize("view", [np.zeros(5), np.full(24, np.nan), 1.0])
def test_a_view_of_another_shape_is_refused(small, view):
    env = watched("ansi", **small)
    with pytest.raises(ValueError, match=r"interest must be finite and of shape \(24,\) topics or"):
        env.show_interest(view)


def test_nothing_is_drawn_unless_asked(small):
    env = DriftEnv(**small)
    env.reset(seed=0)
    env.show_interest(np.zeros(5))  # an agent may tell, whether anyone watches or not
    env.step(np.arange(3))
    assert env.render() is None


def test_a_picture_needs_a_reset(small):
    with pytest.raises(ResetNeeded, match="reset must be called before render"):
        DriftEnv(render_mode="ansi", **small).render()


def test_watching_changes_nothing(small):
    watched_env, alone = watched("rgb_array", **small), DriftEnv(**small)
    alone.reset(seed=0)
    for slate in np.arange(9).reshape(3, 3):
        watched_env.render()
        observation, reward, *_ = watched_env.step(slate)
        expected, same, *_ = alone.step(slate)
        assert reward == same
        assert all(np.array_equal(observation[key], expected[key]) for key in expected)


def test_without_a_display_the_window_is_printed_text(small, capsys, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.get_backend", lambda: "agg")
    env = DriftEnv(render_mode="human", **small)
    with pytest.warns(UserWarning, match="no display for render_mode 'human': printing text"):
        env.reset(seed=0)
    assert env.render() is None
    assert "request 0 of 6" in capsys.readouterr().out


def test_a_window_shows_every_step(small, monkeypatch):
    pauses = []
    monkeypatch.setattr("matplotlib.pyplot.get_backend", lambda: "tkagg")
    monkeypatch.setattr("matplotlib.pyplot.pause", pauses.append)
    env = DriftEnv(render_mode="human", **small)
    env.reset(seed=0)
    env.step(np.arange(3))
    env.close()
    env.close()
    assert len(pauses) == 2
