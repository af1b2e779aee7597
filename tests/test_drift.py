from dataclasses import fields, replace

import numpy as np
import pytest

from driftrec.envs.config import make_simulator
from driftrec.simulators import DRIFTS, LogitChoice, Simulator, Users, load_domain, unit
from driftrec.simulators.drift import (
    AbruptShift,
    GradualDrift,
    Influence,
    ItemLifecycle,
    RepeatConsumption,
    RequestChain,
    Satiation,
    SeasonalDrift,
    SessionInterest,
    TrendShock,
)
from driftrec.simulators.drift.lifecycle import timetable
from driftrec.simulators.drift.trend import trends
from driftrec.simulators.world import CYCLE

WORLD = make_simulator("plain", slate_size=5, history=3).world
PLAIN = load_domain("plain").with_drift("none", 1.0)
TELLING = {"request": RequestChain(reveal=1.0, weight=3.0)}  # by default most ask for nothing
EVERY = tuple(TELLING.get(name) or drift() for name, drift in DRIFTS.items())
# Users who take whatever stands first in a slate, and users who take nothing.
EAGER, COLD = LogitChoice(outside=-99, position=1e-9), LogitChoice(outside=99)


def simulator(*drift, **knobs) -> Simulator:
    return Simulator(replace(PLAIN, drift=drift, **knobs), WORLD, slate_size=5, history=3)


def born(sim: Simulator, num_users: int = 200, seed: int = 0) -> Users:
    return sim.start(seed + np.arange(num_users), np.zeros(num_users, np.int64))[0]


def slates_of(items, num_users: int) -> np.ndarray:
    return np.tile(np.asarray(items, np.int32), (num_users, 1))


def random_slates(rng, num_users: int, slots: int = 5) -> np.ndarray:
    """Distinct items: one of each fifth of the first 300."""
    return (rng.integers(60, size=(num_users, slots)) + 60 * np.arange(slots)).astype(np.int32)


def live(sim: Simulator, users: Users, steps: int, slates=None, seed: int = 0) -> float:
    """Reward per step, of random slates unless others are given."""
    rng, total = np.random.default_rng(seed), 0.0
    for _ in range(steps):
        shown = random_slates(rng, len(users)) if slates is None else slates
        total += sim.step(users, shown)[0].reward.mean()
    return total / steps


def cosine(a, b) -> np.ndarray:
    return (unit(a) * unit(b)).sum(-1)


# --- what holds for every process


@pytest.mark.parametrize("drift", EVERY, ids=lambda d: d.name)
def test_at_strength_0_a_process_stands_still(drift):
    sim = simulator(drift.scaled(0.0))
    users = born(sim, 50)
    before, taste = sim.utility_of_all(users), users.taste.copy()
    live(sim, users, 30)
    np.testing.assert_array_equal(users.taste, taste)
    np.testing.assert_allclose(sim.utility_of_all(users), before, atol=1e-5)


@pytest.mark.parametrize("drift", EVERY, ids=lambda d: d.name)
def test_at_strength_1_a_process_moves_what_users_want(drift):
    sim = simulator(drift.scaled(1.0))
    assert sim.domain.drift == (drift,)
    users = born(sim, 50)
    before = sim.utility_of_all(users)
    live(sim, users, 30, sim.best_slate(users)[0])
    assert not np.allclose(sim.utility_of_all(users), before, atol=1e-3)


@pytest.mark.parametrize("drift", EVERY, ids=lambda d: d.name)
def test_a_process_changes_what_a_fixed_slate_earns(drift):
    earned = []
    for strength in (0.0, 1.0):
        sim = simulator(drift.scaled(strength), choice=LogitChoice(outside=6.0))
        users = born(sim)
        slates = sim.best_slate(users)[0]
        earned.append(sum(sim.step(users, slates)[0].reward for _ in range(40)) / 40)
    gap = earned[1] - earned[0]  # [B], the same users
    assert abs(gap.mean()) > 4 * gap.std() / np.sqrt(len(gap))


KNOBS = [(drift, f.name) for drift in EVERY for f in fields(drift)]
OFF_BY_DEFAULT = {("influence", "aversion"): 20.0, ("session", "ends_at"): 0.5}


@pytest.mark.parametrize(("drift", "knob"), KNOBS, ids=lambda x: getattr(x, "name", x))
def test_every_knob_matters(drift, knob):
    value = OFF_BY_DEFAULT.get(
        (drift.name, knob), type(getattr(drift, knob))(getattr(drift, knob) * 3)
    )
    if knob in ("following", "returning", "reveal"):
        value = 0.1
    outcomes = []
    for process in (drift, replace(drift, **{knob: value})):
        sim = simulator(process)
        users = born(sim, 100)
        live(sim, users, 30, sim.best_slate(users)[0])
        outcomes.append(sim.utility_of_all(users))
    assert not np.array_equal(*outcomes)


def test_tastes_and_interests_keep_length_1():
    sim = simulator(*EVERY, replace(Influence(), aversion=10.0))
    users = born(sim)
    live(sim, users, 60)
    for vectors in (users.anchor, users.taste, users.interest):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_user_does_not_depend_on_the_batch():
    sim = simulator(*EVERY, replace(Influence(), aversion=10.0))
    rng = np.random.default_rng(0)
    slates = [random_slates(rng, 7) for _ in range(25)]
    together, warm_slates, warm_feedback = sim.start(np.arange(7), np.zeros(7, np.int64))
    alone = [sim.start(np.array([i]), np.zeros(1, np.int64)) for i in range(7)]
    for i, (_, shown, feedback) in enumerate(alone):
        np.testing.assert_array_equal(shown[0], warm_slates[i])
        np.testing.assert_array_equal(feedback[0], warm_feedback[i])
    for shown in slates:
        outcome, _ = sim.step(together, shown)
        for i, (user, _, _) in enumerate(alone):
            single, _ = sim.step(user, shown[i : i + 1])
            assert single.reward[0] == outcome.reward[i]
            assert single.grade[0] == outcome.grade[i]
    for i, (user, _, _) in enumerate(alone):
        np.testing.assert_array_equal(user.query[0], together.query[i])
        for name, value in user.state.items():
            np.testing.assert_array_equal(value[0], together.state[name][i], err_msg=name)


def test_users_can_be_put_in_the_place_of_others():
    sim = simulator(*EVERY)
    users, others = born(sim, 6), born(sim, 2, seed=90)
    users.put(np.array([1, 4]), others)
    kept = users.take(np.array([1, 4]))
    for name, value in others.state.items():
        np.testing.assert_array_equal(kept.state[name], value)
    np.testing.assert_array_equal(sim.utility_of_all(kept), sim.utility_of_all(others))


def test_switching_a_process_on_leaves_the_numbers_of_the_others_alone():
    both = simulator(GradualDrift(), AbruptShift(), TrendShock())
    one = simulator(GradualDrift())
    users = [born(sim) for sim in (one, both)]
    for sim, some in zip((one, both), users, strict=True):
        live(sim, some, 1)
    stayed = ~users[1].shifted
    np.testing.assert_array_equal(users[0].taste[stayed], users[1].taste[stayed])


# --- gradual drift


@pytest.mark.parametrize("half_life", [5.0, 80.0])
def test_the_spread_of_gradual_drift_does_not_depend_on_its_half_life(half_life):
    sim = simulator(GradualDrift(half_life=half_life, spread=0.5))
    users = born(sim, 1000)
    start = cosine(users.taste, users.anchor).mean()
    live(sim, users, 40)
    settled = cosine(users.taste, users.anchor).mean()
    assert start == pytest.approx(1 / np.sqrt(1 + 0.5**2), abs=0.01)
    assert settled == pytest.approx(start, abs=0.025)


def test_gradual_drift_grows_with_the_root_of_time():
    sim = simulator(GradualDrift(half_life=3000))
    users = born(sim, 2000)
    start, gone = users.taste.copy(), {}
    for step in range(1, 17):
        live(sim, users, 1)
        gone[step] = np.sqrt(((users.taste - start) ** 2).sum(1).mean())
    assert gone[16] / gone[4] == pytest.approx(2, rel=0.05)
    assert gone[4] / gone[1] == pytest.approx(2, rel=0.05)


def test_gradual_drift_forgets_half_of_a_deviation_in_its_half_life():
    sim = simulator(GradualDrift(half_life=10, spread=1e-4))
    users = born(sim)
    away = unit(users.anchor + 0.05 * np.roll(users.anchor, 7, axis=1))
    users.taste[:] = away
    start = np.linalg.norm(users.taste - users.anchor, axis=1)
    live(sim, users, 10)
    ratio = np.linalg.norm(users.taste - users.anchor, axis=1) / start
    np.testing.assert_allclose(ratio, 0.5, atol=0.02)


# --- abrupt shift


def test_abrupt_shifts_are_as_frequent_as_their_half_life_says():
    sim = simulator(AbruptShift(half_life=20))
    users, hazard, count = born(sim, 1000), 1 - 2 ** (-1 / 20), 0
    for _ in range(20):
        live(sim, users, 1)
        count += users.shifted.sum()
    assert count / 20_000 == pytest.approx(hazard, abs=4 * np.sqrt(hazard / 20_000))


@pytest.mark.parametrize("returning", [0.0, 0.3, 1.0])
def test_shifts_return_to_the_former_taste_with_their_probability(returning):
    sim = simulator(AbruptShift(half_life=4, returning=returning))
    users, back, shifts = born(sim, 1000), 0, 0
    for _ in range(20):
        former, before = users.state["former"].copy(), users.anchor.copy()
        live(sim, users, 1)
        rows = np.flatnonzero(users.shifted)
        np.testing.assert_array_equal(users.state["former"][rows], before[rows])
        np.testing.assert_array_equal(users.taste[rows], users.anchor[rows])
        back += (users.anchor[rows] == former[rows]).all(1).sum()
        shifts += len(rows)
        stayed = ~users.shifted
        np.testing.assert_array_equal(users.anchor[stayed], before[stayed])
    assert back / shifts == pytest.approx(returning, abs=4 * np.sqrt(0.25 / shifts) + 1e-9)


# --- seasonal drift


def at_hour(sim: Simulator, users: Users, clock: np.ndarray) -> np.ndarray:
    users.clock[:] = clock
    sim._refresh(users)
    return users.interest.copy()


def test_seasons_swing_between_two_tastes_and_come_round_again():
    sim = simulator(SeasonalDrift(period=24, weight=0.5))
    users = born(sim)
    taste, season = users.taste.copy(), users.state["season"]
    crest = at_hour(sim, users, 24 - users.state["phase"])
    trough = at_hour(sim, users, 36 - users.state["phase"])
    node = at_hour(sim, users, 30 - users.state["phase"])
    again = at_hour(sim, users, 48 - users.state["phase"])
    assert (cosine(crest, season) > cosine(node, season) + 0.1).all()
    assert (cosine(trough, season) < cosine(node, season) - 0.1).all()
    np.testing.assert_allclose(crest, unit(taste + np.float32(0.5) * season), atol=1e-5)
    np.testing.assert_allclose(node, taste, atol=1e-5)
    np.testing.assert_allclose(again, crest, atol=1e-4)
    np.testing.assert_array_equal(users.taste, taste)


def test_the_warm_up_has_its_seasons_too():
    sim = simulator(SeasonalDrift(weight=5.0), hours_per_request=12.0)
    users = born(sim, 1)
    past = users.take(np.zeros(2, np.int64))
    past.clock -= np.float32([12, 24])
    sim._refresh(past)
    assert cosine(past.interest[0], users.interest[0]) < -0.5
    assert cosine(past.interest[1], users.interest[0]) > 0.99


# --- influence


def shown_to(drift: Influence, choice, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine of the taste with the item in the first slot, before and after it was shown."""
    sim = simulator(drift, choice=choice)
    users = born(sim)
    item = WORLD.attributes[17]
    before = cosine(users.taste, item)
    live(sim, users, steps, slates_of([17, 3, 4, 5, 6], len(users)))
    return before, cosine(users.taste, item)


def test_taste_moves_towards_what_was_taken():
    before, after = shown_to(Influence(half_life=10), EAGER, 10)
    assert (after > before).all()
    assert after.mean() > before.mean() + 0.2


def test_without_influence_nothing_is_learned_to_like():
    before, after = shown_to(Influence(half_life=np.inf), EAGER, 10)
    np.testing.assert_array_equal(before, after)


def test_influence_needs_consumption():
    before, after = shown_to(Influence(half_life=5), COLD, 10)
    np.testing.assert_array_equal(before, after)


def test_what_is_passed_over_again_and_again_is_liked_less():
    before, after = shown_to(Influence(half_life=np.inf, aversion=20), COLD, 10)
    assert (after < before).mean() > 0.9
    assert after.mean() < before.mean() - 0.03


def test_half_of_the_way_is_gone_after_the_half_life():
    # a taste close to the item: there the sphere is nearly flat
    sim = simulator(Influence(half_life=8), choice=EAGER)
    users, item = born(sim), WORLD.attributes[17]
    users.taste[:] = unit(item + 0.05 * users.taste)
    start = np.linalg.norm(users.taste - item, axis=1)
    live(sim, users, 8, slates_of([17, 3, 4, 5, 6], len(users)))
    np.testing.assert_allclose(np.linalg.norm(users.taste - item, axis=1) / start, 0.5, atol=0.02)


# --- session interest


def test_sessions_end_with_their_half_life_and_follow_the_graph():
    session = SessionInterest(half_life=6, following=0.8)
    sim = simulator(session)
    users, ended, followed = born(sim, 2000), 0, 0
    for _ in range(15):
        before = users.state["session"].copy()
        live(sim, users, 1)
        after = users.state["session"]
        moved = before != after
        ended += moved.sum()
        followed += (WORLD.successors[before] == after[:, None])[moved].any(1).sum()
    hazard = 1 - 2 ** (-1 / 6)
    # a topic drawn by taste may be the present one (no move seen) or a successor by chance
    assert 0.93 * hazard < ended / 30_000 < 1.02 * hazard
    assert 0.8 <= followed / ended < 0.9


def test_a_purchase_ends_the_intent():
    sim = simulator(SessionInterest(half_life=np.inf, following=1.0, ends_at=1.0), choice=EAGER)
    users = born(sim)
    before = users.state["session"].copy()
    slates = random_slates(np.random.default_rng(0), len(users))
    outcome, _ = sim.step(users, slates)
    assert outcome.consumed.all() and (outcome.grade == 1).all()
    assert (WORLD.successors[before] == users.state["session"][:, None]).any(1).all()
    still = simulator(SessionInterest(half_life=np.inf, ends_at=1.0), choice=COLD)
    users = born(still)
    before = users.state["session"].copy()
    live(still, users, 5)
    np.testing.assert_array_equal(users.state["session"], before)


def test_a_session_lifts_its_topic():
    sim = simulator(SessionInterest(weight=0.8))
    users = born(sim)
    topic = WORLD.centers[users.state["session"]]
    np.testing.assert_allclose(
        users.interest, unit(users.taste + np.float32(0.8) * topic), atol=1e-6
    )
    assert (cosine(users.interest, topic) > cosine(users.taste, topic)).all()


# --- requests


def test_requests_tell_the_topic_of_the_session():
    sim = simulator(SessionInterest(half_life=10), RequestChain(half_life=1e-3, reveal=0.5))
    users, told, count = born(sim, 2000), 0, 0
    for _ in range(10):
        live(sim, users, 1)
        asked = users.state["request"] > 0
        topic = WORLD.request_topic[users.state["request"]]
        np.testing.assert_array_equal(topic[asked], users.state["session"][asked])
        told, count = told + asked.sum(), count + len(users)
    assert told / count == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / count))


def test_all_texts_of_a_topic_are_used():
    sim = simulator(SessionInterest(), RequestChain(reveal=1.0))
    assert set(born(sim, 4000).state["request"]) == set(range(1, len(WORLD.request_text)))


def test_requests_stay_for_their_half_life():
    sim = simulator(RequestChain(half_life=4, reveal=1.0))
    users = born(sim, 4000)
    before = users.state["request"].copy()
    live(sim, users, 4)
    stayed = (users.state["request"] == before).mean()
    assert 0.47 < stayed < 0.58  # some ask for the same again


def test_a_request_lifts_the_items_of_its_topic():
    on, off = simulator(RequestChain(weight=1.5, reveal=1.0)), simulator()
    users = born(on)
    gain = on.utility_of_all(users) - off.utility_of_all(users)
    asked = WORLD.request_topic[users.state["request"]][:, None] == WORLD.topic
    np.testing.assert_allclose(gain, np.where(asked, 1.5, 0.0), atol=1e-5)
    np.testing.assert_array_equal(on.requests(users), users.state["request"])


def test_requests_of_the_warm_up_lift_their_topics_too():
    silent, telling = simulator(), simulator(RequestChain(weight=30.0, reveal=1.0, half_life=1e9))
    seeds, zero = np.arange(300), np.zeros(300, np.int64)
    users, slates, feedback = telling.start(seeds, zero)
    taken = slates[(feedback > 0) & (feedback.cumsum(2) == feedback)]
    rows = np.nonzero((feedback > 0).any(2))[0]
    asked = WORLD.request_topic[users.state["request"]][rows]
    matching = WORLD.topic[slates] == WORLD.request_topic[users.state["request"]][:, None, None]
    able = matching.any(2)[(feedback > 0).any(2)]
    assert len(taken) == len(rows)
    np.testing.assert_array_equal(WORLD.topic[taken][able], asked[able])
    assert (telling.start(seeds, zero)[2] > 0).sum() > (silent.start(seeds, zero)[2] > 0).sum()


# --- satiation


def test_much_of_a_topic_tires_and_rest_restores():
    sim = simulator(Satiation(half_life=4, weight=0.5), choice=EAGER)
    users = born(sim, 20)
    topic = WORLD.topic[17]
    own = WORLD.members[WORLD.first[topic] : WORLD.first[topic + 1]]
    before = sim.utility_of_all(users)[:, own]
    live(sim, users, 1, slates_of(own[:5], 20))
    tired = sim.utility_of_all(users)[:, own]
    np.testing.assert_allclose(before - tired, 0.5 * 2 ** (-1 / 4), rtol=1e-3, atol=1e-5)
    elsewhere = WORLD.members[WORLD.first[topic - 1] : WORLD.first[topic]][:5]
    live(sim, users, 4, slates_of(elsewhere, 20))
    rested = sim.utility_of_all(users)[:, own]
    np.testing.assert_allclose(before - rested, (before - tired) / 2, rtol=1e-3, atol=1e-5)


def test_satiation_of_a_constant_diet_settles():
    sim = simulator(Satiation(half_life=4, weight=0.5), choice=EAGER)
    users, rho = born(sim, 5), 2 ** (-1 / 4)
    live(sim, users, 80, slates_of([17, 3, 4, 5, 6], 5))
    np.testing.assert_allclose(
        users.state["satiation"][:, WORLD.topic[17]], rho / (1 - rho), rtol=1e-3
    )


# --- repeat consumption


def test_what_was_taken_lately_is_more_welcome():
    on, off = simulator(RepeatConsumption(decay=0.5, weight=2.0), choice=EAGER), simulator()
    users = born(on, 20)
    for slate in ([17, 1, 2, 3, 4], [8, 1, 2, 3, 4], [17, 1, 2, 3, 4]):
        live(on, users, 1, slates_of(slate, 20))
    gain = on.utility_of_all(users) - off.utility_of_all(users)
    expected = np.zeros(len(WORLD.topic))
    expected[17] = 2 * np.log(1 + 1**-0.5 + 3**-0.5)
    expected[8] = 2 * np.log(1 + 2**-0.5)
    np.testing.assert_allclose(gain, np.tile(expected, (20, 1)), atol=1e-4)
    slates = slates_of([17, 8, 3, 17, 2], 20)
    np.testing.assert_allclose(
        on.utility(users, slates) - off.utility(users, slates),
        np.tile(expected[[17, 8, 3, 17, 2]], (20, 1)),
        atol=1e-4,
    )


def test_only_the_last_items_taken_are_remembered():
    sim = simulator(RepeatConsumption(memory=3), choice=EAGER)
    users = born(sim, 2)
    for item in (10, 20, 30, 40):
        live(sim, users, 1, slates_of([item, 1, 2, 3, 4], 2))
    assert set(users.state["taken"][0]) == {20, 30, 40}


# --- trends


def test_a_shock_decays_by_half_in_its_half_life_and_is_shared():
    trend = TrendShock(gap=300, half_life=10, size=1.5)
    table = trends(trend, WORLD)
    assert table.shape == (CYCLE, 24) and (table >= 0).all()
    rises = np.diff(table, axis=0) > 0
    hour, topic = np.argwhere(rises)[0]
    quiet = ~rises[hour + 1 : hour + 11, topic]
    assert quiet.all(), "the first shock should be alone for ten hours in this world"
    assert table[hour + 11, topic] == pytest.approx(table[hour + 1, topic] / 2, rel=1e-3)
    sim = simulator(trend)
    users = born(sim)
    users.clock[:] = hour + 1.3
    gain = sim.utility_of_all(users) - simulator().utility_of_all(users)
    np.testing.assert_allclose(gain, np.tile(table[hour + 1][WORLD.topic], (200, 1)), atol=1e-5)


def test_trends_have_the_mean_of_their_rate():
    table = trends(TrendShock(gap=2, half_life=12, size=1.0), WORLD)
    assert table.sum(1).mean() == pytest.approx(12 / np.log(2) / 2, rel=0.15)


def test_worlds_have_trends_of_their_own():
    other = make_simulator("plain", slate_size=5, history=3, world_seed=1).world
    assert not np.array_equal(trends(TrendShock(), WORLD), trends(TrendShock(), other))


def test_trends_go_on_round_the_cycle_of_the_clock():
    sim = simulator(TrendShock())
    users = born(sim, 2)
    users.clock[:] = 7.5, 7.5 + CYCLE
    bonus = sim.utility_of_all(users) - simulator().utility_of_all(users)
    np.testing.assert_allclose(bonus[0], bonus[1], atol=1e-5)


# --- item lifecycle


def test_what_is_available_is_what_has_a_utility():
    sim = simulator(ItemLifecycle(life=50))
    users = born(sim, 168)
    users.clock[:] = np.arange(168) - 20
    available = sim.available(users)
    assert sim.items_churn and available.dtype == np.int8
    np.testing.assert_array_equal(available == 1, np.isfinite(sim.utility_of_all(users)))
    items = np.tile(np.arange(300, dtype=np.int32), (168, 1))
    np.testing.assert_array_equal(available[:, :300] == 1, np.isfinite(sim.utility(users, items)))


def test_items_are_alive_for_their_life_once_a_period():
    process = ItemLifecycle(life=50, period=168)
    sim = simulator(process)
    users = born(sim, 168)
    users.clock[:] = np.arange(168) + 0.5
    alive = sim.available(users)
    np.testing.assert_array_equal(alive.sum(0), 50)
    assert (np.abs(np.diff(alive, axis=0, append=alive[:1])).sum(0) == 2).all()
    for k in range(24):  # every topic has its share at every hour
        share = alive[:, WORLD.topic == k].mean(1)
        np.testing.assert_allclose(share, 50 / 168, atol=0.06)
    born_at = timetable(process, WORLD).born
    assert (alive[born_at, np.arange(len(born_at))] == 1).all()
    assert (alive[born_at - 1, np.arange(len(born_at))] == 0).all()


def test_freshness_halves():
    process = ItemLifecycle(life=100, half_life=20, weight=2.0)
    sim, still = simulator(process), simulator()
    users = born(sim, 2)
    users.clock[:] = timetable(process, WORLD).born[17] + np.float32([0.5, 20.5])
    slates = slates_of([17, 17, 17, 17, 17], 2)
    gain = (sim.utility(users, slates) - still.utility(users, slates))[:, 0]
    np.testing.assert_allclose(gain, [2, 1], atol=1e-5)


def test_what_is_gone_is_never_taken_and_never_logged():
    sim = simulator(ItemLifecycle(life=30), choice=LogitChoice(outside=-99))
    users, slates, _ = sim.start(np.arange(300), np.zeros(300, np.int64))
    for step in range(3):
        past = users.take(np.arange(300))
        past.clock += np.float32(PLAIN.hours_per_request * (step - 3))
        assert np.take_along_axis(sim.available(past), slates[:, step], 1).all()
    rng = np.random.default_rng(0)
    for _ in range(10):
        available, shown = sim.available(users), random_slates(rng, 300)
        outcome, _ = sim.step(users, shown)
        rows = np.flatnonzero(outcome.consumed)
        assert available[rows, outcome.item[rows]].all()
        able = np.take_along_axis(available, shown, 1).any(1)
        np.testing.assert_array_equal(outcome.consumed, able)
        assert np.isfinite(outcome.reward).all()


def test_the_logging_policy_shows_old_and_new_items_of_every_topic():
    sim = simulator(ItemLifecycle(life=60), exploration=1.0)
    slates = sim.start(np.arange(3000), np.zeros(3000, np.int64))[1]
    count = np.bincount(slates.ravel(), minlength=len(WORLD.topic))
    topics = np.bincount(WORLD.topic, count) / count.sum()
    assert (count > 0).all()
    np.testing.assert_allclose(topics, 1 / 24, atol=0.01)


def test_items_that_outlive_the_period_do_not_churn():
    sim = simulator(ItemLifecycle(life=168, period=168))
    assert not sim.items_churn
    assert sim.available(born(sim, 2)).all()


def test_a_period_of_no_whole_hours_is_refused():
    with pytest.raises(ValueError, match=r"period must be a whole number of hours >= 1, got 2.5"):
        ItemLifecycle(period=2.5)
