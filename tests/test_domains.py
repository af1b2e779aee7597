import numpy as np
import pytest

from driftrec.envs import ENV_IDS
from driftrec.envs.config import make_simulator
from driftrec.simulators import Simulator, domain_names, load_domain, top_items
from driftrec.simulators.calibration import REAL, InterestCurve, interest_curve

DOMAINS = sorted(set(ENV_IDS.values()))
LARGE = {"plain", "video", "ecommerce", "news", "music"}
every_domain = pytest.mark.parametrize("name", DOMAINS)


def lives(sim: Simulator, slates_of, users: int = 40, steps: int = 100) -> tuple[float, float]:
    """Reward per user-step, and the mean number of requests until users leave."""
    some, _, _ = sim.start(np.arange(users), np.zeros(users, np.int64))
    alive, total, requests = np.ones(users, bool), 0.0, 0
    for _ in range(steps):
        outcome, left = sim.step(some, slates_of(some))
        total += (outcome.reward * alive).sum()
        requests += alive.sum()
        alive &= ~left
    return total / users / steps, requests / users


def best(sim: Simulator, scores: np.ndarray):
    """The available items with the largest scores [N], for every user the same preference."""

    def slates_of(users):
        merit = np.where(sim.available(users) == 1, scores, -np.inf)
        return top_items(merit, sim.slate_size).astype(np.int32)

    return slates_of


def at_random(sim: Simulator, seed: int = 0):
    rng = np.random.default_rng(seed)
    return lambda users: best(sim, rng.random((len(users), len(sim.worth))))(users)


def test_every_domain_has_an_environment():
    assert set(domain_names()) == set(DOMAINS)


@every_domain
def test_domains_have_the_catalogue_they_promise(name):
    catalog = make_simulator(name).world.catalog
    assert len(catalog) >= (1000 if name in LARGE else 400)
    assert catalog.num_topics >= (20 if name in LARGE else 16)
    assert all(catalog.title) and all(catalog.description)
    assert len(make_simulator(name).world.request_text) > catalog.num_topics


@every_domain
def test_an_oracle_keeps_users_and_random_slates_lose_them(name):
    sim = make_simulator(name)
    loyalty = float(sim.worth.mean())
    rich, stayed = lives(sim, lambda users: sim.best_slate(users, loyalty=loyalty)[0])
    poor, left = lives(sim, at_random(sim))
    assert stayed > 85 and left < 60
    assert rich > 4 * poor


@every_domain
def test_constant_slates_are_poor(name):
    sim = make_simulator(name)
    seeds = 10_000 + np.arange(600)
    _, slates, feedback = sim.start(seeds, np.zeros(600, np.int64))
    reward = sim.domain.response.reward(feedback, sim.worth[slates])
    num_items = len(sim.worth)
    shown = np.bincount(slates.ravel(), minlength=num_items)
    earned = np.bincount(slates.ravel(), reward.ravel(), minlength=num_items) / (shown + 20)
    topics = np.bincount(sim.world.topic, earned) / np.bincount(sim.world.topic)
    in_topic = earned + 100 * (sim.world.topic == topics.argmax())
    scores = (earned, in_topic, sim.world.catalog.quality)
    constant = max(lives(sim, best(sim, s))[0] for s in scores)
    assert constant < 0.6 * lives(sim, lambda users: sim.best_slate(users)[0])[0]


@every_domain
def test_only_disappointed_users_leave(name):
    sim = make_simulator(name)
    users, _, _ = sim.start(np.arange(200), np.zeros(200, np.int64))
    slates_of, present, patience = at_random(sim), np.ones(200, bool), sim.domain.patience
    for _ in range(30):
        outcome, left = sim.step(users, slates_of(users))
        pleased = outcome.grade * patience.gain > (1 - outcome.grade) * patience.loss
        assert not (left & present & pleased).any()
        present &= ~left
    assert not present.all()
    assert (users.patience <= patience.most).all()


@every_domain
def test_without_drift_nothing_moves(name):
    sim = make_simulator(name, drift_strength=0.0)
    users, _, _ = sim.start(np.arange(20), np.zeros(20, np.int64))
    before = sim.utility_of_all(users)
    for _ in range(10):
        sim.step(users, sim.best_slate(users)[0])
    np.testing.assert_allclose(sim.utility_of_all(users), before, atol=1e-4)


def test_domains_differ_in_what_moves_them():
    drifts = {name: {p.name for p in load_domain(name).drift} for name in DOMAINS}
    assert {"lifecycle", "trend"} <= drifts["news"] and {"lifecycle"} <= drifts["social"]
    assert {"request", "seasonal"} <= drifts["ecommerce"]
    assert {"repeat", "seasonal"} <= drifts["music"]
    assert "influence" in drifts["social"] and "seasonal" in drifts["home"]
    assert "request" in drifts["support"]


def test_an_unknown_knob_is_refused(tmp_path):
    text = 'words = "video"\naffinity = 8.0\n[choice]\nkind = "logit"\n[response]\nkind = "click"\n'
    file = tmp_path / "own.toml"
    file.write_text(text + "[drift.seasonal]\nlength = 3\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"\[drift.seasonal\]: unknown knob 'length', known are"):
        load_domain(str(file))
    file.write_text(text + "[drift.moon]\nphase = 3\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"\[drift.moon\] must be one of gradual, influence"):
        load_domain(str(file))
    file.write_text(text.replace("click", "clap"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"kind must be one of click, .*, got 'clap'"):
        load_domain(str(file))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("affinity = 8.0\n", "", "own.toml: affinity must be given"),
        ("affinity = 8.0", 'affinity = "high"', "affinity must be a number, got 'high'"),
        ("affinity = 8.0", "affinity = nan", "affinity must be a number, got nan"),
        ('"logit"', '"logit"\nposition = 0', r"\[choice\]: position must be above 0, got 0"),
        ('"logit"', '"logit"\nposition = 2', r"\[choice\]: position must lie in \[0, 1\], got 2"),
        ('"click"', '"click"\n[drift.repeat]\nmemory = 0', "memory must be above 0, got 0"),
        ('"click"', '"click"\n[drift.repeat]\nmemory = 1.5', "memory must be a whole number"),
        ('"click"', '"click"\n[drift.satiation]\nhalf_life = 0', "half_life must be above 0"),
        ('"click"', '"click"\n[drift.trend]\ngap = -1', r"\[drift.trend\]: gap must be above 0"),
    ],
)
def test_a_knob_that_cannot_be_is_refused_by_name(tmp_path, before, after, message):
    text = 'words = "video"\naffinity = 8.0\n[choice]\nkind = "logit"\n[response]\nkind = "click"\n'
    file = tmp_path / "own.toml"
    file.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_domain(str(file))


# --- calibration


def test_the_fit_finds_what_it_was_made_from():
    curve = InterestCurve.fit(0.4 + 0.5 * np.exp(-np.arange(1, 9) / 2))
    assert curve.stable == pytest.approx(0.4, abs=0.01)
    assert curve.half_life == pytest.approx(20 * 2 * np.log(2), rel=0.02)


@pytest.mark.parametrize(
    ("log", "stable", "half_life"), [("Online Retail", 0.53, 38), ("Last.fm", 0.74, 30)]
)
def test_the_fit_agrees_with_the_published_one_on_real_logs(log, stable, half_life):
    curve = InterestCurve.fit(REAL[log])
    assert curve.stable == pytest.approx(stable, abs=0.02)
    assert curve.half_life == pytest.approx(half_life, abs=3)


def test_interest_that_does_not_drift_stays():
    curve = interest_curve(make_simulator("plain", drift="none"), 200)
    np.testing.assert_allclose(curve.autocorrelation, 1, atol=0.05)


@pytest.mark.parametrize(("name", "log"), [("ecommerce", "Online Retail"), ("music", "Last.fm")])
def test_interest_lasts_as_long_as_in_real_logs(name, log):
    curve = interest_curve(make_simulator(name), 300)
    np.testing.assert_allclose(curve.autocorrelation, REAL[log], atol=0.12)


def test_calibration_refuses_too_few_windows():
    with pytest.raises(ValueError, match="num_windows must be at least 9, got 4"):
        interest_curve(make_simulator("plain"), num_windows=4)
