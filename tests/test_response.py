import warnings
from dataclasses import fields

import numpy as np
import pytest

from driftrec.simulators import RESPONSES
from driftrec.simulators.response import Click, Funnel, Listen, Read, Watch
from driftrec.simulators.text import WordBank, generate_catalog

CATALOG = generate_catalog(WordBank.load("video"), 48)
ALL = [Click(), Watch(), Read(), Listen(), Funnel()]
UTILITIES = np.float32([0, 2, 3, 4, 6, 8])


def many_grades(response, utility: float, rng, size: int = 400_000):
    uniform = rng.uniform(1e-6, 1 - 1e-6, (size, 2)).astype(np.float32)
    return response.grade(np.full(size, utility, np.float32), uniform)


def test_every_response_is_tested():
    assert {type(r) for r in ALL} == set(RESPONSES.values())


@pytest.mark.parametrize("response", ALL, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("utility", [-30.0, 0.0, 4.0, 30.0])
def test_grades_lie_above_0_and_up_to_1(response, utility, rng):
    grade = many_grades(response, utility, rng, 10_000)
    assert grade.dtype == np.float32
    assert (grade > 0).all() and (grade <= 1).all()


@pytest.mark.parametrize("response", ALL, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("utility", UTILITIES)
def test_expectations_are_those_of_a_monte_carlo(response, utility, rng):
    grade, worth = many_grades(response, utility, rng), np.float32(3)
    reward = response.reward(grade, worth)
    point = np.float32([utility])
    error = 4 * grade.std() / np.sqrt(len(grade))
    assert response.expected_grade(point)[0] == pytest.approx(
        grade.mean(), rel=0.01, abs=error + 1e-6
    )
    error = 4 * reward.std() / np.sqrt(len(grade))
    assert response.expected_reward(point, worth)[0] == pytest.approx(
        reward.mean(), rel=0.01, abs=error + 2e-3
    )


@pytest.mark.parametrize("response", ALL, ids=lambda r: type(r).__name__)
def test_what_was_not_taken_earns_nothing(response):
    assert (response.reward(np.zeros(4, np.float32), np.ones(4, np.float32)) == 0).all()


@pytest.mark.parametrize("response", ALL, ids=lambda r: type(r).__name__)
def test_expectations_of_what_is_gone_are_finite(response):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gone = np.float32([-np.inf])
        assert np.isfinite(response.expected_grade(gone)).all()
        assert np.isfinite(response.expected_reward(gone, np.ones(1, np.float32))).all()


@pytest.mark.parametrize("response", [Watch(), Read(), Listen(), Funnel()], ids=lambda r: repr(r))
def test_a_better_match_is_graded_and_rewarded_higher(response):
    worth = np.ones(1, np.float32)
    assert (np.diff(response.expected_grade(UTILITIES)) > 0).all()
    assert (np.diff(response.expected_reward(UTILITIES, worth)) > 0).all()


@pytest.mark.parametrize("response", ALL, ids=lambda r: type(r).__name__)
def test_every_knob_changes_what_is_earned(response):
    for knob in fields(response):
        changed = type(response)(**{knob.name: getattr(response, knob.name) * 0.9})
        earned = [
            r.expected_reward(UTILITIES[:, None], r.worth(CATALOG)) for r in (response, changed)
        ]
        graded = [r.expected_grade(UTILITIES) for r in (response, changed)]
        assert not np.allclose(*earned, rtol=1e-3) or not np.allclose(*graded, rtol=1e-3), knob.name


def test_worth_is_minutes_price_or_one():
    np.testing.assert_array_equal(Click().worth(CATALOG), np.ones(48))
    np.testing.assert_array_equal(Watch().worth(CATALOG), CATALOG.value)
    np.testing.assert_array_equal(Read().worth(CATALOG), CATALOG.value)
    np.testing.assert_array_equal(Listen().worth(CATALOG), np.ones(48))
    np.testing.assert_allclose(Funnel(unit=5).worth(CATALOG), CATALOG.value / 5)


def test_only_articles_that_are_read_earn_their_dwell():
    reward = Read(bar=0.4).reward(np.float32([0.39, 0.4, 1]), np.float32([10, 10, 10]))
    np.testing.assert_allclose(reward, [0, 4, 10])


def test_skips_cost():
    reward = Listen(bar=0.3, skip=0.5).reward(np.float32([0, 0.2, 0.3, 1]), np.ones(4, np.float32))
    np.testing.assert_allclose(reward, [0, -0.5, 0.3, 1])


def test_only_purchases_earn():
    grades = np.float32([0, Funnel.VIEWED, Funnel.IN_CART, 1])
    np.testing.assert_allclose(Funnel().reward(grades, np.full(4, 7, np.float32)), [0, 0, 0, 7])


def test_the_funnel_narrows(rng):
    funnel = Funnel(cart=3.0, buy=5.0, width=2.0)
    grade = many_grades(funnel, 4.0, rng)
    assert set(np.unique(grade)) == set(np.float32([Funnel.VIEWED, Funnel.IN_CART, 1]))
    half_logit = 1 / (1 + np.exp(-0.5))
    assert (grade >= Funnel.IN_CART).mean() == pytest.approx(half_logit, abs=0.005)
    assert (grade == 1).mean() == pytest.approx(1 - half_logit, abs=0.005)


def test_a_funnel_that_widens_is_refused():
    with pytest.raises(ValueError, match=r"buy must be at least cart \(4.0\), got 3.0"):
        Funnel(cart=4.0, buy=3.0)
