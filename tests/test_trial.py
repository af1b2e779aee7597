import numpy as np
import pytest
import torch

from driftrec.agents import kept
from driftrec.agents.expected import ExpectedReward
from driftrec.agents.heads import HEADS
from driftrec.agents.kept import practise_once
from driftrec.agents.learners import make_learner
from driftrec.agents.trial import Trial
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.worlds import make_batch

pytestmark = pytest.mark.usefixtures("one_thread")

COMBINATIONS = 8


class Users:
    """A session of two users, and what they earn under the settings of a head."""

    def __init__(self, head, worth):
        self.head, self.worth, self.served = head, worth, []
        self.seeds, self.episodes = np.array([5, 6]), np.array([3, 3])

    def tried(self, rollouts):
        trial = Trial(self.head, self, rollouts)
        for number in range(trial.rollouts):
            trial.begin(number)
            now = self.head.loyalty.item(), self.head.charge.item()
            self.served.append((*now, *self.episodes.tolist()))
            self.episodes += 1
            trial.end(number, np.full(2, self.worth(*now)))
        return self.head.loyalty.item(), self.head.charge.item()


@pytest.mark.parametrize("pays", [(0.5, 4.0), (1.5, 0.5), (0.5, 1.0)])
def test_what_pays_is_kept(pays):
    users = Users(ExpectedReward(4), lambda *now: -abs(now[0] - pays[0]) - abs(now[1] - pays[1]))
    assert users.tried(2 * COMBINATIONS) == pytest.approx(pays)


def test_all_settings_meet_the_same_users_and_take_turns_to_be_first():
    users = Users(ExpectedReward(4), lambda *now: 0.0)
    users.tried(2 * COMBINATIONS + 3)
    assert len(users.served) == 2 * COMBINATIONS  # whole rounds
    first, then = users.served[:COMBINATIONS], users.served[COMBINATIONS:]
    assert {row[2:] for row in first} == {(3, 3)}
    assert {row[2:] for row in then} == {(4, 4)}
    assert len(set(first)) == COMBINATIONS
    assert [row[:2] for row in first] == [row[:2] for row in then[::-1]]


def test_a_level_is_judged_by_all_levels_of_the_others():
    # the luckiest single combination is (1.5, 4), but at all other charges .5 earns more
    worth = lambda *now: 2.2 if now == (1.5, 4.0) else 1.0 + (now[0] == 0.5)  # noqa: E731
    assert Users(ExpectedReward(4), worth).tried(2 * COMBINATIONS)[0] == 0.5


def test_a_few_who_spend_much_do_not_decide():
    head = ExpectedReward(4)
    trial = Trial(head, Users(head, None), 2 * COMBINATIONS)
    for number in range(trial.rollouts):
        trial.begin(number)
        usual = np.full(20, 1.0 + (head.charge.item() == 2.0))
        usual[:2] = 500.0 * head.charge.item()
        trial.end(number, usual)
    assert head.charge.item() == 2.0


@pytest.mark.parametrize("rollouts", [0, 2 * COMBINATIONS - 1])
def test_there_is_none_where_practice_is_too_short(rollouts):
    assert Trial(ExpectedReward(4), None, rollouts).rollouts == 0
    assert Trial(HEADS["plackett-luce"](4), None, 100).rollouts == 0


def practised(folder, rollouts, trial=True):
    env = make_batch("driftrec/DriftingInterest-v0", 16, {"horizon": 5, "history": 6})
    users = BatchVecEnv(env)
    users.seed(5)
    shape = {"lasting": 4, "passing": 6, "log_users": 64}
    policy = make_learner("interest-attention", "ppo", users, seed=1, **shape).policy
    worth, generator = torch.as_tensor(policy.items.worth), np.random.default_rng(3)
    practise_once(policy, users, worth, rollouts, generator, folder, trial)
    head, session = policy.network.head, env.unwrapped.session
    return (head.loyalty.item(), head.charge.item()), session.episodes.tolist()


def test_practice_finds_settings_which_are_kept_with_it(tmp_path, monkeypatch):
    found = practised(tmp_path, 4 * COMBINATIONS)
    monkeypatch.setattr(kept, "practise", lambda *a: pytest.fail("practised twice"))
    assert practised(tmp_path, 4 * COMBINATIONS) == found


@pytest.mark.parametrize(
    ("rollouts", "trial"), [(4 * COMBINATIONS - 1, True), (4 * COMBINATIONS, False)]
)
def test_settings_stay_where_nothing_is_tried(tmp_path, rollouts, trial):
    assert practised(tmp_path, rollouts, trial)[0] == (1.5, 2.0)


@pytest.mark.parametrize(
    ("options", "tried"),
    [
        ({}, True),
        ({"diversity": 2.0}, False),
        ({"loyalty": 0.0}, False),
        ({"diversity": 1.0, "trial": True}, True),
        ({"trial": False}, False),
    ],
)
def test_nothing_is_tried_against_who_says_how_it_shall_be(options, tried):
    env = BatchVecEnv(make_batch("driftrec/DriftingInterest-v0", 4, {"horizon": 5, "history": 6}))
    assert make_learner("interest-attention", "ppo", env, **options).trial is tried
