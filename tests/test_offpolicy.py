"""Off-policy evaluation: estimates hold the truth where it is known, and rankings compare."""

import numpy as np
import pytest

from driftrec.experiments.errors import UserError
from driftrec.experiments.offpolicy import (
    ESTIMATORS,
    BanditLog,
    decided,
    evaluate_policies,
    kendall,
    read_open_bandit,
    rows_to_decide,
)

RATE = np.array([0.1, 0.2, 0.3, 0.4, 0.5])  # clicks per impression of five items in the first slot


def logged(rows=8000, seed=0):
    """A log of a policy that shows bad items the more often, in two slots, the second half seen."""
    rng = np.random.default_rng(seed)
    share = np.array([0.35, 0.25, 0.2, 0.1, 0.1])
    action, position = rng.choice(5, rows, p=share), rng.integers(0, 2, rows)
    click = rng.random(rows) < RATE[action] * np.array([1.0, 0.5])[position]
    return BanditLog(
        action, position, click.astype(float), share[action],
        rng.standard_normal((rows, 2)), np.zeros((rows, 0)), np.eye(5),
    )  # fmt: skip


def both_slots(share):
    return np.repeat(np.array(share)[:, None], 2, 1)


POLICIES = {
    "uniform": both_slots(np.full(5, 0.2)),
    "worst": both_slots([0.8, 0.2, 0.0, 0.0, 0.0]),
    "best": both_slots([0.0, 0.0, 0.1, 0.2, 0.7]),
}
TRUTH = {name: float(RATE @ policy.mean(1)) * 0.75 for name, policy in POLICIES.items()}


def test_every_estimate_holds_the_truth_where_the_log_alone_does_not():
    pytest.importorskip("obp")
    log = logged()
    values = evaluate_policies(log, POLICIES, resamples=500)
    for estimator in ESTIMATORS:
        for name, truth in TRUTH.items():
            found = values.interval(estimator, name)
            assert found.low < truth < found.high, (estimator, name)
            assert found.high - found.low < 0.1
    assert log.reward.mean() < 0.6 * TRUTH["best"]
    assert decided(values.draws["snips"]) == 3
    tau = kendall(values.estimate["dr"][None], np.array(list(TRUTH.values())))
    assert tau[0] == 1


def test_inverse_propensities_by_hand():
    pytest.importorskip("obp")
    log = BanditLog(
        np.array([0, 1, 0, 1] * 20), np.zeros(80, np.int64), np.array([1.0, 0, 0, 1] * 20),
        np.array([0.5, 0.5, 0.25, 0.5] * 20), np.ones((80, 1)), np.zeros((80, 0)), np.eye(2),
    )  # fmt: skip
    values = evaluate_policies(log, {"mostly one": np.array([[0.2], [0.8]])}, blocks=20)
    # weights .4, 1.6, .8, 1.6 on rewards 1, 0, 0, 1
    assert values.estimate["ips"][0] == pytest.approx((0.4 + 1.6) / 4)
    assert values.estimate["snips"][0] == pytest.approx((0.4 + 1.6) / (0.4 + 1.6 + 0.8 + 1.6))


def test_kendall_counts_pairs_in_order_less_pairs_out_of_order():
    simulated = np.array([1.0, 2.0, 3.0, 4.0])
    rows = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 4, 3], [2, 2, 2, 2]], float)
    np.testing.assert_allclose(kendall(rows, simulated), [1, -1, 4 / 6, 0])


def test_four_times_the_noise_takes_sixteen_times_the_rows():
    noise = np.random.default_rng(0).standard_normal((4000, 2)) / 2**0.5
    gap = np.array([0.0, 1.96])
    assert rows_to_decide(noise, gap, 1000) == pytest.approx(1000, rel=0.1)
    assert rows_to_decide(4 * noise, gap, 1000) == pytest.approx(16_000, rel=0.1)


def test_what_is_no_policy_or_no_propensity_is_refused():
    log = logged(100)
    with pytest.raises(ValueError, match="lazy"):
        evaluate_policies(log, {"lazy": both_slots([0.1, 0.1, 0.1, 0.1, 0.1])})
    with pytest.raises(ValueError, match="pscore"):
        BanditLog(*[np.zeros(1, int)] * 2, *[np.zeros(1)] * 2, *[np.zeros((1, 1))] * 3)


def test_the_open_bandit_layout_is_read_in_order_of_time(tmp_path):
    place = tmp_path / "random" / "men"
    place.mkdir(parents=True)
    head = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0"
    (place / "men.csv").write_text(
        f"{head},user-item_affinity_1\n"
        "0,2019-11-24 00:00:09+00:00,1,3,1,0.5,a,0.0,1.0\n"
        "1,2019-11-24 00:00:05+00:00,0,1,0,0.5,b,2.0,0.0\n"
        "2,2019-11-24 00:00:07+00:00,0,2,0,0.5,b,2.0,0.0\n"
    )
    (place / "item_context.csv").write_text(
        ",item_id,item_feature_0,item_feature_1\n0,1,0.5,x\n1,0,-0.5,y\n"
    )
    log = read_open_bandit(tmp_path, "random", "men")
    np.testing.assert_array_equal(log.action, [0, 0, 1])
    np.testing.assert_array_equal(log.position, [0, 1, 2])
    np.testing.assert_array_equal(log.reward, [0, 0, 1])
    np.testing.assert_array_equal(log.context, [[0, 1], [0, 1], [1, 0]])
    np.testing.assert_array_equal(log.affinity, [[2, 0], [2, 0], [0, 1]])
    np.testing.assert_array_equal(log.items, [[-1, 0, 1], [1, 1, 0]])
    with pytest.raises(UserError, match="bts"):
        read_open_bandit(tmp_path, "bts", "men")
    (place / "men.csv").write_text(",timestamp,item_id\n0,2019-11-24,1\n")
    with pytest.raises(UserError, match="'position'"):
        read_open_bandit(tmp_path, "random", "men")
