"""Facts about the occasion: what users just had, know, asked for, and what is new."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from driftrec.agents.learners import make_learner
from driftrec.agents.logfit import InterestFit
from driftrec.agents.occasion import Occasion, OccasionLaw
from driftrec.agents.platform import Platform
from driftrec.agents.practice import play_best
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.envs.spaces import clock_features
from driftrec.experiments.worlds import make_batch

USERS, STEPS, SLOTS, ITEMS, SIZE = 3, 7, 2, 9, 4


def law(requests=3):
    torch.manual_seed(1)
    features = torch.nn.functional.normalize(torch.randn(ITEMS, SIZE), dim=1)
    made = OccasionLaw(ITEMS, SIZE, requests)
    with torch.no_grad():
        made.tire.fill_(-0.2)
        made.familiar.fill_(0.3)
        made.fresh.fill_(0.4)
        made.asked.copy_(0.1 * torch.randn(requests, SIZE))
    made.tell_births(np.arange(ITEMS, dtype=np.float32) * 10)
    return made.requires_grad_(False), features


def story():
    """Slates, what was taken, requests and times."""
    generator = torch.Generator().manual_seed(2)
    slates = torch.rand(USERS, STEPS, ITEMS, generator=generator).argsort(2)[..., :SLOTS]
    taken = torch.zeros(USERS, STEPS, SLOTS)
    some = torch.rand(USERS, STEPS, generator=generator)
    taken[..., 0], taken[..., 1] = some < 0.5, (some > 0.5) & (some < 0.8)
    request = torch.randint(3, (USERS, STEPS), generator=generator)
    hours = np.arange(STEPS, dtype=np.float32) * 13 + 100
    time = torch.as_tensor(clock_features(hours))[None].repeat(USERS, 1, 1)
    return slates, taken, request, time


def after(made, features, before, slates, taken, request, time):
    return made.after(before, features[slates], slates, taken, request, time)


def adds(made, features, occasion):
    """[B, T, N]."""
    return made.pull(occasion) @ features.T + made.lift(occasion)


def by_hand(features, slates, taken, request, step, item):
    """Log-odds of an item after ``step`` slates of one user."""
    rho, had, activation = 0.5 ** (1 / 6), np.zeros(SIZE), 0.0
    for t in range(step):
        for k in range(SLOTS):
            if taken[t, k]:
                lag = step - t
                had += rho**lag * features[slates[t, k]]
                activation += (slates[t, k] == item) * lag**-0.5
    age = (100 + 13 * (step - 1) - 10 * item) % 168
    asked = 5 * request[1][request[0][step - 1]] if request[0][step - 1] else np.zeros(SIZE)
    pull = 4 * (-0.2 * had + asked) @ features[item]
    return pull + 1.2 * np.log1p(activation) + 1.6 * 2 ** (-age / 24)


def test_an_occasion_adds_what_the_formula_says():
    made, features = law()
    slates, taken, request, _ = story()
    now = after(made, features, Occasion.of_strangers(USERS, SIZE), *story())
    found = adds(made, features, now)
    arrays = features.double().numpy(), slates.numpy(), taken.numpy()
    for user in range(USERS):
        asked = request[user].numpy(), made.asked.double().numpy()
        for step in range(1, STEPS + 1):
            for item in range(ITEMS):
                want = by_hand(arrays[0], arrays[1][user], arrays[2][user], asked, step, item)
                assert found[user, step - 1, item].item() == pytest.approx(want, abs=1e-4)


def test_of_some_items_it_adds_what_it_adds_of_all():
    made, features = law()
    now = after(made, features, Occasion.of_strangers(USERS, SIZE), *story())
    slates = story()[0]
    assert torch.allclose(made.lift(now, slates), made.lift(now).gather(2, slates), atol=1e-5)


def test_slate_by_slate_it_is_what_it_is_all_at_once():
    made, features = law()
    parts = story()
    whole = after(made, features, Occasion.of_strangers(USERS, SIZE), *parts)
    now = Occasion.of_strangers(USERS, SIZE)
    for step in range(STEPS):
        now = after(made, features, now, *(part[:, step : step + 1] for part in parts))
        assert torch.allclose(now.had[:, 0], whole.had[:, step], atol=1e-6)
        assert torch.equal(now.lately[:, 0], whole.lately[:, step])


def test_of_an_unknown_time_nothing_is_new_and_without_births_nothing_ever():
    made, features = law()
    stranger = Occasion.of_strangers(1, SIZE)
    assert adds(made, features, stranger).abs().max() == 0
    untold = OccasionLaw(ITEMS, SIZE, 1).requires_grad_(False)
    untold.fresh.fill_(1.0)
    stranger.time = torch.as_tensor(clock_features(np.float32([5.0])))[None]
    assert adds(untold, features, stranger).abs().max() == 0


def test_items_come_out_when_the_platform_says():
    env = make_batch("driftrec/News-v0", 64, {"diagnostics": False})
    born, life = Platform.of(env).born, 60
    observation, _ = env.reset(seed=3)
    turn = np.arctan2(observation["time"][:, 2], observation["time"][:, 3]) / (2 * np.pi)
    hour = np.floor(turn % 1 * 168 + 1e-3)
    age = (hour[:, None] - born) % 168
    assert np.array_equal(observation["available"] > 0, age < life)


def test_where_nothing_comes_and_goes_there_are_no_births():
    assert Platform.of(make_batch("driftrec/Video-v0", 1, {"diagnostics": False})).born is None


def test_switched_off_it_is_not_learned():
    users = BatchVecEnv(make_batch("driftrec/Music-v0", 4, {"diagnostics": False}))
    made = make_learner("interest-attention", "ppo", users, seed=1, occasion=False)
    fitted = InterestFit(made.policy.network, 0.02, 1).fitted
    own = list(made.policy.network.interest.occasion.parameters())
    assert not any(part is mine for part in fitted for mine in own)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "env, drift, learned",
    [
        ("Music", "repeat", lambda found: found.familiar > 0.03),
        ("Music", "satiation", lambda found: found.tire < -0.02),
        ("News", "lifecycle", lambda found: found.fresh > 0.1),
    ],
)
def test_whether_it_is_so_is_learned_from_answers(env, drift, learned):
    """One drift alone, at four times its strength; items drawn from the few that are looked at."""
    options = {"drift": drift, "diagnostics": False, "horizon": 40}
    strength = {} if drift == "lifecycle" else {"drift_strength": 4.0}
    users = BatchVecEnv(make_batch(f"driftrec/{env}-v0", 64, options | strength))
    users.seed(3)
    shape = {"lasting": 4, "passing": 6, "pretrain_steps": 1, "log_users": 1280, "log_passes": 1}
    trained = make_learner("interest-attention", "ppo", users, seed=1, **shape)
    trained.fit_interest()
    network = trained.policy.network
    fit = InterestFit(network, 0.02, 16)
    with trained.session.staying():
        for _ in range(4):
            played = play_best(trained.policy, users, trained.worth)
            read = torch.ones(played.slates.shape[:2])
            for _ in range(4):
                fit.update(played.slates, played.feedback, read, played.request, played.time)
            network.read_as_fitted()
    assert learned(network.interest.occasion)
