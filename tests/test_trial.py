import numpy as np
import pytest
import torch

from driftrec.agents import kept
from driftrec.agents.expected import ExpectedReward
from driftrec.agents.heads import HEADS
from driftrec.agents.kept import practise_once
from driftrec.agents.learners import make_learner
from driftrec.agents.trial import try_settings
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.worlds import make_batch

pytestmark = pytest.mark.usefixtures("one_thread")

COMBINATIONS = 8


class Users:
    """A session of two users, and what they earn under the settings of a head."""

    def __init__(self, head, worth):
        self.head, self.worth, self.served = head, worth, []
        self.seeds, self.episodes = np.array([5, 6]), np.array([3, 3])

    def earned(self):
        self.episodes += 1
        self.served.append((*self.seeds.tolist(), *self.episodes.tolist()))
        return np.full(2, self.worth(self.head.loyalty.item(), self.head.charge.item()))


@pytest.mark.parametrize(("loyalty", "charge"), [(0.5, 4.0), (1.5, 0.5), (0.5, 1.0)])
def test_what_pays_is_kept_and_all_settings_meet_the_same_users(loyalty, charge):
    head = ExpectedReward(4)
    users = Users(head, lambda mine, d: -abs(mine - loyalty) - abs(d - charge))
    assert try_settings(head, users, users.earned) == {"loyalty": loyalty, "charge": charge}
    assert (head.loyalty.item(), head.charge.item()) == (loyalty, charge)
    assert len(users.served) == COMBINATIONS and len(set(users.served)) == 1


def test_a_level_is_judged_by_all_levels_of_the_others():
    head = ExpectedReward(4)
    # the luckiest single combination is (1.5, 4), but at all other charges .5 earns more
    users = Users(head, lambda mine, d: 2.2 if (mine, d) == (1.5, 4.0) else 1.0 + (mine == 0.5))
    assert try_settings(head, users, users.earned)["loyalty"] == 0.5


def test_a_head_with_nothing_to_try_is_not_tried():
    head = HEADS["plackett-luce"](4)
    assert try_settings(head, None, lambda: pytest.fail("played")) == {}


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


def test_practice_ends_with_a_trial_which_is_kept_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "driftrec.agents.practice.try_settings",
        lambda head, session, earned: (earned(), head.set({"loyalty": 0.5, "charge": 4.0})),
    )
    found = practised(tmp_path, COMBINATIONS)
    assert found[0] == (0.5, 4.0)
    monkeypatch.setattr(kept, "practise", lambda *a: pytest.fail("practised twice"))
    assert practised(tmp_path, COMBINATIONS) == found


def test_there_is_none_where_it_is_not_wanted_or_practice_is_shorter(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "driftrec.agents.practice.try_settings", lambda *a: pytest.fail("tried anyway")
    )
    practised(tmp_path, COMBINATIONS - 1)
    practised(tmp_path, COMBINATIONS, trial=False)
