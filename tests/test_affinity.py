from pathlib import Path

import numpy as np
import pytest

from driftrec.simulators.affinity import fit_affinity, popularity_quality
from driftrec.simulators.readers import load_catalog

MOVIELENS = Path(__file__).parent.parent.parent / "shared" / "data" / "ml-latest-small"


def auc(positive, negative) -> float:
    return float((positive[:, None] > negative[None]).mean())


def held_out_auc(user, item, value, num_users, num_items) -> float:
    """Chance that a held-out item lies nearer to its user than an item drawn by popularity."""
    rng = np.random.default_rng(0)
    test = rng.random(len(user)) < 0.2
    fitted = fit_affinity(user[~test], item[~test], value[~test], num_users, num_items, 32)
    assert len(fitted.users) == num_users
    found = []
    for row in range(num_users):
        held = item[test & (user == row)]
        score = fitted.items @ fitted.users[row]
        fresh = np.setdiff1d(rng.choice(item, 300), item[user == row])
        if len(held) and len(fresh):
            found.append(auc(score[held], score[fresh]))
    return float(np.mean(found))


def block_log(rng, num_users=200, num_items=120, blocks=4, events=30):
    """Users who take four out of five items from their own block, popular ones more often."""
    popularity = rng.pareto(1.5, num_items) + 0.1
    block = np.arange(num_items) % blocks
    user, item = [], []
    for row in range(num_users):
        weight = popularity * np.where(block == row % blocks, 4 * (blocks - 1), 1)
        user += [row] * events
        item += rng.choice(num_items, events, p=weight / weight.sum()).tolist()
    return np.array(user), np.array(item), block


def test_vectors_recover_the_blocks_of_a_log():
    user, item, block = block_log(np.random.default_rng(3))
    fitted = fit_affinity(user, item, np.ones(len(user)), 200, 120, 3)
    cosine = fitted.users @ fitted.items.T
    own = (np.arange(200) % 4)[:, None] == block[None]
    assert cosine[own].mean() > cosine[~own].mean() + 0.5


def test_held_out_items_lie_nearer_than_popular_ones():
    user, item, _ = block_log(np.random.default_rng(4))
    assert held_out_auc(user, item, np.ones(len(user)), 200, 120) > 0.6


def test_first_component_is_not_popularity():
    user, item, _ = block_log(np.random.default_rng(5))
    first = fit_affinity(user, item, np.ones(len(user)), 200, 120, 3).items[:, 0]
    popularity = np.log1p(np.bincount(item, minlength=120))
    assert abs(np.corrcoef(first, popularity)[0, 1]) < 0.3


def test_fit_is_reproducible_and_pads_beyond_the_rank():
    user, item, value = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), np.ones(4)
    first, again = (fit_affinity(user, item, value, 2, 4, 8) for _ in range(2))
    np.testing.assert_array_equal(first.items, again.items)
    assert first.items.shape == (4, 8)  # item 3 has no events, yet a direction
    np.testing.assert_allclose(np.linalg.norm(first.items, axis=1), 1, rtol=1e-5)


def test_users_who_do_not_differ_are_refused():
    with pytest.raises(ValueError, match="users who differ"):
        fit_affinity(np.array([0, 1]), np.array([0, 0]), np.ones(2), 2, 1)


@pytest.mark.parametrize("value", [-1.0, np.nan, 0.0])
def test_weights_that_say_nothing_are_refused(value):
    with pytest.raises(ValueError, match="value must be"):
        fit_affinity(np.array([0, 1]), np.array([0, 1]), np.full(2, value), 2, 2)


def test_quality_from_popularity_has_mean_zero_and_rises_with_it():
    quality = popularity_quality(np.array([0] * 50 + [1] * 5 + [2]), 3)
    assert quality[0] > quality[1] > quality[2]
    assert quality.mean() == pytest.approx(0, abs=1e-6)
    assert quality.std() == pytest.approx(0.3, rel=1e-5)
    np.testing.assert_array_equal(popularity_quality(np.array([0, 1]), 2), 0)


@pytest.mark.skipif(not MOVIELENS.is_dir(), reason="needs ml-latest-small in ../shared/data")
def test_movielens_held_out_films_lie_nearer_to_their_users_than_random_films():
    catalog = load_catalog(MOVIELENS)
    assert len(catalog) > 3000
    assert "Toy Story (1995)" in catalog.title
    assert len(catalog.affinity.users) == 671
    position = {int(film): row for row, film in enumerate(catalog.ids)}
    log = np.genfromtxt(MOVIELENS / "ratings.csv", delimiter=",", skip_header=1)
    log = log[[film in position for film in log[:, 1]]]
    users, user = np.unique(log[:, 0], return_inverse=True)
    item = np.array([position[int(film)] for film in log[:, 1]])
    assert held_out_auc(user, item, log[:, 2], len(users), len(catalog)) > 0.8
