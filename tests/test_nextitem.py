"""Next-item prediction: what is held out, how it is ranked, and that succession is learned."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from driftrec.agents.nextitem import (
    NEXT_ITEM,
    SequenceConfig,
    fit_next_item,
    make_next_item,
    next_item_scores,
    windows,
)
from driftrec.experiments.errors import UserError
from driftrec.experiments.fitting.nextitem import gains, hits, leave_last_out, rank_all, ranks
from driftrec.experiments.fitting.reading import make_log

ITEMS = 12


def succession(users=150, events=14, faithful=0.85):
    """Mostly item i + 1 after item i, else any; all items are equally popular."""
    rng = np.random.default_rng(3)
    items = np.zeros((users, events), np.int64)
    items[:, 0] = rng.integers(0, ITEMS, users)
    for t in range(1, events):
        strays = rng.random(users) > faithful
        items[:, t] = np.where(strays, rng.integers(0, ITEMS, users), (items[:, t - 1] + 1) % ITEMS)
    owner = np.repeat(np.arange(users), events)
    time = np.tile(np.arange(events), users)
    return make_log(owner, items.ravel(), time, np.bincount(items.ravel(), minlength=ITEMS))


@pytest.fixture(scope="module")
def cut():
    return leave_last_out(succession())


FEATURES = np.linalg.qr(np.random.default_rng(0).standard_normal((ITEMS, ITEMS)))[0]


def test_hit_rate_and_gain_by_hand():
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.2, 0.2]])
    rank = ranks(scores, np.array([0, 1, 2, 1]))
    np.testing.assert_array_equal(rank, [1, 2, 3, 3])  # who scores all alike has found nothing
    np.testing.assert_array_equal(hits(rank, 2), [1, 1, 0, 0])
    np.testing.assert_allclose(gains(rank, 2), [1, 1 / np.log2(3), 0, 0])
    assert gains(rank, 3).mean() == pytest.approx((1 + 0.630930 + 0.5 + 0.5) / 4, abs=1e-6)


def test_items_had_before_do_not_compete_among_the_unseen():
    def score(histories):
        return np.tile([4.0, 3.0, 2.0, 1.0], (len(histories), 1))

    histories = [np.array([0, 1]), np.array([0, 2])]
    full, unseen = rank_all(score, histories, np.array([2, 2]))
    np.testing.assert_array_equal(full, [3, 3])
    np.testing.assert_array_equal(unseen, [1, 2])  # the target itself stays, though it was had


def test_the_last_item_is_tested_and_the_one_before_it_validates(cut):
    log = succession()
    own = log.item[log.user == 7]
    np.testing.assert_array_equal(cut.train[7], own[:-2])
    assert (cut.valid[7], cut.test[7]) == (own[-2], own[-1])
    np.testing.assert_array_equal(cut.before_test[7], own[:-1])
    assert cut.popularity.sum() == len(log) - 2 * log.num_users


def test_users_with_too_few_events_are_refused():
    log = make_log(np.array([0, 0, 0]), [0, 1, 2], [0, 1, 2], np.ones(3, np.int64))
    with pytest.raises(UserError, match="least"):
        leave_last_out(log, least=2)
    with pytest.raises(UserError, match="4 events"):
        leave_last_out(log, least=4)


def test_windows_hold_every_succession_once():
    rows = windows([np.arange(8), np.array([5]), np.array([1, 2])], 3)
    pairs = [(a, b) for row in rows for a, b in pairwise(row) if b >= 0]
    assert sorted(pairs) == sorted([*((k, k + 1) for k in range(7)), (1, 2)])
    assert rows.shape == (4, 4)


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_scores_begin_at_popularity_and_do_not_depend_on_who_else_is_asked(name):
    popularity = np.arange(ITEMS)
    network = make_next_item(name, FEATURES, popularity, seed=1)
    histories = [np.array([3]), np.array([1, 2, 3, 4, 5]), np.array([7, 7])]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
            )
    together = next_item_scores(network, histories, 4)
    for row, items in zip(together, histories, strict=True):
        np.testing.assert_allclose(row, next_item_scores(network, [items], 4)[0], atol=1e-5)
    longer = next_item_scores(network, [np.array([9, 9, 2, 3, 4, 5])], 4)[0]
    np.testing.assert_allclose(together[1], longer, atol=1e-5)  # only the newest four are read
    fresh = make_next_item("sasrec", FEATURES, popularity)
    assert next_item_scores(fresh, histories, 4)[0].argmax() == ITEMS - 1


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_a_network_learns_succession_which_popularity_cannot(cut, name):
    def score(network, histories):
        return next_item_scores(network, histories, 8)

    def judge(network):
        full, _ = rank_all(lambda part: score(network, part), cut.train, cut.valid)
        return float(hits(full, 1).mean())

    network = make_next_item(name, FEATURES, cut.popularity, seed=0)
    config = SequenceConfig(length=8, batch=32, steps=60, rate=0.01, dropout=0.1, checks=3)
    said = fit_next_item(network, cut.train, config, judge)
    full, _ = rank_all(lambda part: score(network, part), cut.before_test, cut.test)
    popular, _ = rank_all(
        lambda part: np.tile(cut.popularity, (len(part), 1)), cut.before_test, cut.test
    )
    assert len(said) == 3
    assert hits(popular, 1).mean() < 0.25
    assert hits(full, 1).mean() > 0.6
    assert judge(network) == max(said)  # the best weights were kept


def test_an_unknown_model_and_bad_settings_are_refused():
    with pytest.raises(ValueError, match="'caser'"):
        make_next_item("caser", FEATURES, np.ones(ITEMS))
    with pytest.raises(ValueError, match="dropout"):
        SequenceConfig(dropout=1.0)
    network = make_next_item("gru", FEATURES, np.ones(ITEMS))
    with pytest.raises(ValueError, match="two items"):
        fit_next_item(network, [np.array([1])], SequenceConfig(), lambda net: 0.0)
    with pytest.raises(ValueError, match="empty"):
        next_item_scores(network, [np.array([], int)], 5)
