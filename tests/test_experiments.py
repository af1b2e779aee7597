"""Facts about evaluation, recovery, seeds and result files, by hand-computed sessions."""

from __future__ import annotations

import dataclasses
import errno
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from driftrec.experiments import files, seeds
from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import (
    EvaluationResult,
    evaluate,
    run_sessions,
    slate_diversity,
    spread_of,
)
from driftrec.experiments.recovery import recovery, shifts_of
from driftrec.experiments.worlds import parse_options


class ScriptedEnv:
    """Two users over four steps: the patience of user 0 is used up at the second, user 1 stays."""

    num_envs, horizon, slate_size = 2, 4, 2

    def __init__(self, leaving: bool = True) -> None:
        topics = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
        self.catalog = type("Items", (), {"topics": topics, "__len__": lambda self: 4})()
        self.unwrapped, self.starts, self.seed = self, [], None
        self.leaving = leaving

    def reset(self, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        self.time, self.seed = 0, seed
        return {"step": np.zeros(2)}, {}

    def step(self, slates: np.ndarray) -> tuple[Any, ...]:
        self.time += 1
        left = np.array([self.time == 2 and self.leaving, False])
        late = np.array([self.time == 4 and not self.leaving, self.time == 4])
        infos: dict[str, Any] = {
            "shift": np.array([False, self.time == 1]),
            "left": np.array([self.time == 2, False]),
            "oracle_reward": np.array([9.0, 2.0]),
            "expected_reward": np.array([1.0, 1.0]),
        }
        if left.any() or late.any():  # rows that have been reset: their last info is in final_info
            infos["final_info"] = {
                "shift": np.array([True, False]),
                "left": np.array([True, False]),
                "oracle_reward": np.array([3.0, 2.0]),
                "expected_reward": np.array([2.0, 1.0]),
            }
        return {"step": np.full(2, self.time)}, np.array([1.0, 0.5]), left, late, infos


class Recorder:
    """Shows items 0 and 2 (in the second step 0 and 3) and keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, bool]] = []

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:  # fmt: skip
        self.calls.append((state, episode_start.copy(), deterministic))
        second = 3 if len(self.calls) == 2 else 2
        return np.array([[0, second], [0, second]]), len(self.calls)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def result() -> EvaluationResult:
    env = ScriptedEnv(leaving=False)
    return run_sessions(Recorder(), env, 5, "recorder", "m:driftrec/X-v0", oracle=True)


def test_rewards_are_nan_after_the_user_left(result: EvaluationResult) -> None:
    np.testing.assert_array_equal(result.rewards[:, 0], [1, 1, np.nan, np.nan])
    np.testing.assert_array_equal(result.rewards[:, 1], 0.5)


def test_a_user_who_left_earns_nothing_for_the_rest_of_the_horizon(
    result: EvaluationResult,
) -> None:
    assert result.score.tolist() == [0.5, 0.5]
    assert result.length.tolist() == [2, 4]


def test_a_session_is_the_same_where_the_environment_keeps_users_who_leave(
    result: EvaluationResult,
) -> None:
    ends = run_sessions(Recorder(), ScriptedEnv(), 5, "recorder", "m:driftrec/X-v0")
    np.testing.assert_array_equal(ends.rewards, result.rewards)
    assert ends.coverage == result.coverage
    np.testing.assert_array_equal(ends.diversity, result.diversity)


def test_expected_rewards_go_on_after_the_user_left_and_end_with_final_info(
    result: EvaluationResult,
) -> None:
    assert result.shifts[:, 0].tolist() == [False, False, False, True]
    assert result.shifts[:, 1].tolist() == [True, False, False, False]
    assert result.oracle_rewards is not None and result.expected_rewards is not None
    np.testing.assert_array_equal(result.oracle_rewards[:, 0], [9, 9, 9, 3])
    np.testing.assert_array_equal(result.expected_rewards[:, 0], [1, 1, 1, 2])


@pytest.mark.parametrize("agent", ["random", "static-interest"])
def test_keeping_users_changes_no_score(agent: str) -> None:
    plain, kept = (
        evaluate(agent, "driftrec/Video-v0", 40, 7, {"horizon": 30, "history": 10}, oracle=oracle)
        for oracle in (False, True)
    )
    np.testing.assert_array_equal(plain.rewards, kept.rewards)
    assert plain.length.min() < 30 and kept.expected_rewards is not None
    assert np.isfinite(kept.expected_rewards).all()


def test_coverage_and_diversity_by_hand(result: EvaluationResult) -> None:
    assert result.coverage == 0.75  # items 0, 2 and 3 of four
    assert result.diversity.tolist() == [1, 1]  # always two different topics
    assert result.topic_entropy is not None
    share = np.array([[1 / 2, 1 / 4, 1 / 4], [1 / 2, 3 / 8, 1 / 8]])  # user 0 left after two slates
    by_hand = -(share * np.log(share)).sum(1) / np.log(3)
    np.testing.assert_allclose(result.topic_entropy, by_hand, rtol=1e-5)


def test_topics_all_alike_are_an_entropy_of_one_and_one_topic_is_none() -> None:
    shown = np.array([[5, 5, 5], [7, 0, 0], [1, 1, 0], [0, 0, 0]], np.float32)
    np.testing.assert_allclose(spread_of(shown), [1, 0, np.log(2) / np.log(3), 0], rtol=1e-5)
    assert spread_of(np.ones((2, 1), np.float32)).tolist() == [0, 0]  # a world of one topic


def test_results_from_before_the_entropy_was_kept_are_read(
    result: EvaluationResult, tmp_path: Path
) -> None:
    dataclasses.replace(result, topic_entropy=None).save(tmp_path / "old.npz")
    result.save(tmp_path / "new.npz")
    old, new = (EvaluationResult.load(tmp_path / f"{name}.npz") for name in ("old", "new"))
    assert old.topic_entropy is None and old.diversity.tolist() == result.diversity.tolist()
    np.testing.assert_array_equal(np.asarray(new.topic_entropy), np.asarray(result.topic_entropy))


def test_agent_gets_its_state_back_and_the_true_starts() -> None:
    agent = Recorder()
    run_sessions(agent, ScriptedEnv(), 0, "recorder", "x")
    states, starts, deterministic = zip(*agent.calls, strict=True)
    assert states == (None, 1, 2, 3)
    assert [s.tolist() for s in starts] == [[True] * 2, [False] * 2, [True, False], [False] * 2]
    assert all(deterministic)


def test_the_seed_reaches_the_environment() -> None:
    env = ScriptedEnv()
    run_sessions(Recorder(), env, 11, "recorder", "x")
    assert env.seed == 11


def test_slates_of_a_wrong_shape_are_refused_by_name() -> None:
    agent = SimpleNamespace(predict=lambda *a, **k: (np.zeros((2, 3), int), None))
    with pytest.raises(ValueError, match=r"'bad' must give slates of shape \(2, 2\), got \(2, 3\)"):
        run_sessions(agent, ScriptedEnv(), 0, "bad", "x")


def test_a_result_survives_its_file(result: EvaluationResult, tmp_path: Path) -> None:
    result.save(tmp_path / "scores")  # whatever its ending
    (tmp_path / "scores").rename(tmp_path / "a.npz")
    again = EvaluationResult.load(tmp_path / "a.npz")
    for field in dataclasses.fields(result):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(result, field.name))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_result_without_oracle_survives_its_file(tmp_path: Path) -> None:
    run_sessions(Recorder(), ScriptedEnv(), 0, "r", "x").save(tmp_path / "a.npz")
    again = EvaluationResult.load(tmp_path / "a.npz")
    assert again.oracle_rewards is None and again.expected_rewards is None


def test_a_damaged_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a\.npz holds no evaluation result"):
        EvaluationResult.load(tmp_path / "a.npz")


def test_diversity_is_the_mean_over_pairs() -> None:
    topics = np.eye(2, dtype=np.float32)[[0, 0, 1]]
    slates = np.array([[0, 1, 2], [0, 1, 0]])
    np.testing.assert_allclose(slate_diversity(topics, slates), [2 / 3, 0], atol=1e-6)
    assert slate_diversity(topics, slates[:, :1]).tolist() == [0, 0]


# --- recovery ---------------------------------------------------------------------------------


def sessions(share: np.ndarray, shifts: np.ndarray, seed: int = 0) -> EvaluationResult:
    """Users of whom the slates are worth ``share`` of the best, which is worth 2."""
    return EvaluationResult(
        agent="a", env_id="x", seed=seed, rewards=share.astype(np.float32),
        shifts=shifts.astype(bool), expected_rewards=(2 * share).astype(np.float32),
        oracle_rewards=np.where(np.isnan(share), np.nan, 2).astype(np.float32),
        diversity=np.zeros(share.shape[1], np.float32), coverage=1.0, seconds=0.0,
    )  # fmt: skip


def test_a_window_begins_at_the_first_slate_after_the_shift() -> None:
    share, shifts = np.arange(20.0)[:, None], np.zeros((20, 1))
    shifts[9] = True
    assert shifts_of(shifts.astype(bool), 3, 3)[0].tolist() == [10]
    curve = recovery([sessions(share, shifts)], 3, 3)
    assert curve.offset.tolist() == [-3, -2, -1, 0, 1, 2]
    assert curve.share.tolist() == [7, 8, 9, 10, 11, 12]


def test_shifts_near_another_or_near_the_ends_are_left_out() -> None:
    shifts = np.zeros((30, 4), bool)
    shifts[[1, 27], 0] = True  # too close to the ends
    shifts[[12, 14], 1] = True  # too close to each other
    shifts[[8, 20], 2] = True  # far enough
    shifts[[10, 15], 3] = True  # the second meets the first one's window by no step
    first, user = shifts_of(shifts, 5, 5)
    assert sorted(zip(first, user, strict=True)) == [(9, 2), (11, 3), (16, 3), (21, 2)]


def test_recovery_by_hand() -> None:
    share, shifts = np.ones((50, 20)), np.zeros((50, 20))
    shifts[19] = True
    share[20:26] = 0.0  # six lost steps
    curve = recovery([sessions(share, shifts)])
    assert (curve.shifts, curve.before, curve.steps) == (20, 1.0, 6.0)
    assert curve.after(10) == pytest.approx(0.4)
    np.testing.assert_array_equal(curve.low, curve.share)  # all users alike


def test_on_one_level_for_all_who_fell_further_may_be_back_sooner() -> None:
    shifts = np.zeros((50, 20))
    shifts[19] = True
    good, poor = np.full((50, 20), 0.9), np.full((50, 20), 0.5)
    good[20:30], poor[20:24] = 0.6, 0.1  # back at their own after ten steps, and after four
    good, poor = (recovery([sessions(share, shifts)]) for share in (good, poor))
    assert (good.steps, poor.steps) == (10, 4)
    assert (good.until(poor.before), poor.until(poor.before)) == (0, 4)
    assert poor.until(good.before) == float("inf")


def test_a_shift_met_by_several_training_seeds_counts_once(rng: np.random.Generator) -> None:
    share, shifts = rng.uniform(0, 1, (50, 30)), np.zeros((50, 30))
    shifts[19] = True
    one = recovery([sessions(share, shifts)])
    three = recovery([sessions(share, shifts)] * 3)
    assert three.shifts == one.shifts == 30
    np.testing.assert_allclose(three.high - three.low, one.high - one.low)
    other_users = recovery([sessions(share, shifts), sessions(share, shifts, seed=100)])
    assert other_users.shifts == 60


def test_recovery_that_never_comes_is_infinite_and_without_shifts_nan() -> None:
    share, shifts = np.ones((50, 2)), np.zeros((50, 2))
    assert np.isnan(recovery([sessions(share, shifts)]).steps)
    shifts[19], share[20:] = True, 0
    assert recovery([sessions(share, shifts)]).steps == float("inf")


def test_recovery_needs_the_oracle(result: EvaluationResult) -> None:
    with pytest.raises(ValueError, match="evaluated with oracle=True"):
        recovery([dataclasses.replace(result, oracle_rewards=None)])


# --- seeds, options, files ----------------------------------------------------------------------


def test_training_validation_and_test_users_never_meet() -> None:
    ranges = [
        (first(block), first(block) + seeds.BLOCK)
        for first in (seeds.train_users, seeds.validation_users, seeds.test_users)
        for block in (0, 1, 999)
    ]
    ranges.sort()
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))


def test_a_seed_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seed must be in \[0, 1000\), got 1000"):
        seeds.train_users(1000)


def test_options_are_read_as_literals_or_text() -> None:
    pairs = ["slate-size=5", "drift=gradual,abrupt", "x=None", "y=0.5", "z=a=b"]
    assert parse_options(pairs) == {
        "slate_size": 5, "drift": "gradual,abrupt", "x": None, "y": 0.5, "z": "a=b",
    }  # fmt: skip


def test_an_option_without_value_is_refused() -> None:
    with pytest.raises(UserError, match="must look like key=value, got 'horizon'"):
        parse_options(["horizon"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"x": 1})

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        files.write_atomic(path, fail)
    assert files.read_json(path) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to .*file/run: Not a directory"):
        files.check_writable(tmp_path / "file" / "run")


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(UserError, match="is full: 1 MiB free"):
        files.check_writable(tmp_path)


def test_json_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1")
    with pytest.raises(UserError, match=r"a\.json must hold JSON"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(UserError, match="JSON object, got list"):
        files.read_json(tmp_path / "a.json")
