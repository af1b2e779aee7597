"""The interest of a served user: ``DynamicInterest``, compiled, where nothing is learned.

The same arithmetic as in ``driftrec.agents.dynamic`` and in what that is made of, user by user: a
served event would spend most of its time on two hundred calls on small tensors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from driftrec.simulators.kernels import Real, summing
from driftrec.simulators.streams import Floats

_ONE, _ZERO, _NEVER = np.float32(1), np.float32(0), np.float32(-np.inf)
_RARE = np.float32(1e-30)  # least probability of an answer
_TWO = np.float32(2)


class Habits(NamedTuple):
    """What a fitted ``DynamicInterest`` knows of all users.

    Attributes:
        start: [G, C], ``follow`` [C, C], ``own`` [G, C], ``lasting`` [G, F], ``passing`` [C, F] and
            ``leak`` of ``chain.Law``.
        keep: [S], ``alarm`` [S] and ``rate`` [S] of the memories.
        read: [S] log-odds per unit of each memory.
        asked: [R, F] log-odds per unit of an item's vector that a request adds; 0 for none.
        tire: the same of what was just had.
        popular: log-odds per unit of average feedback.
        outside: log-odds of nothing, and ``position`` of a slot beyond the one above.
        slope: of the log-odds of a grade, as are ``offset`` and ``spread``, its log.
        edge: how far from 0 and 1 grades are held.
        surprised: nats at most that an answer surprises by.
    """

    start: Floats
    follow: Floats
    own: Floats
    lasting: Floats
    passing: Floats
    leak: np.float32
    keep: Floats
    alarm: Floats
    rate: Floats
    read: Floats
    asked: Floats
    tire: np.float32
    popular: np.float32
    outside: np.float32
    position: np.float32
    slope: np.float32
    offset: np.float32
    spread: np.float32
    edge: np.float32
    surprised: np.float32


@summing
def follow_users(
    habits: Habits,
    embedding: Floats,
    feedback: Floats,
    expected: Floats,
    shown: Floats,
    lift: Floats,
    had: Floats,
    request: npt.NDArray[np.int64],
    memory: Floats,
    belief: Floats,
    memories: Floats,
    beliefs: Floats,
    evidence: Floats,
) -> None:
    """T slates of B users, one after the other.

    Args:
        habits: of all users.
        embedding: [B, T, K, F] of the items shown, as in ``reading.Seen``.
        feedback: [B, T, K] on them; more than 0 where there was any.
        expected: [B, T, K] what they get on average.
        shown: [B, T, K] 1 where a slot holds an item.
        lift: [B, T, K] what being known or new adds.
        had: [B, T, F] of the occasion when they were shown.
        request: [B, T] of it.
        memory: [B, S, F] before the first slate; changed.
        belief: [B, G, C] before it; changed.
        memories: [B, T, S, F] after each, written.
        beliefs: [B, T, G, C] after each, written.
        evidence: [B, T] log-likelihood of each answer, written.
    """
    users, steps, slots, size = embedding.shape
    utility, blame = np.empty(slots, np.float32), np.empty(slots, np.float32)
    recalled = np.empty(size, np.float32)
    for user in range(users):
        m, b = memory[user], belief[user]
        for t in range(steps):
            e = embedding[user, t]
            recalled[:] = habits.tire * had[user, t] + habits.asked[request[user, t]]
            for s in range(len(m)):
                recalled += habits.read[s] * m[s]
            for k in range(slots):
                known = habits.popular * expected[user, t, k] + lift[user, t, k]
                utility[k] = _dot(e[k], recalled) + known + np.float32(k) * habits.position
            answer = _learn(habits, b, e, utility, shown[user, t], feedback[user, t], blame)
            _move(habits, b)
            surprise = -max(answer, -habits.surprised)
            for s in range(len(m)):
                m[s] *= _ONE / (_ONE + np.exp(-habits.keep[s] - habits.alarm[s] * surprise))
                for k in range(slots):
                    m[s] += habits.rate[s] * blame[k] * e[k]
            memories[user, t], beliefs[user, t], evidence[user, t] = m, b, answer


@summing
def _learn(
    habits: Habits,
    belief: Floats,
    embedding: Floats,
    utility: Floats,
    shown: Floats,
    feedback: Floats,
    blame: Floats,
) -> Real:
    """One slate, as ``InterestChain.learn``: changes ``belief``, writes ``blame`` [K]."""
    kinds, passing = belief.shape
    slots = len(utility)
    top, count, own, graded = habits.outside, _ZERO, _ZERO, _ZERO
    for k in range(slots):
        if shown[k] > _ZERO:
            top = max(top, utility[k])
    weight = np.zeros((kinds, slots), np.float32)
    odds = np.zeros((passing, slots), np.float32)
    match = np.zeros((kinds, passing), np.float32)
    for k in range(slots):
        if shown[k] == _ZERO:
            continue
        taken = feedback[k] > _ZERO
        if taken:
            count += _ONE
            own += utility[k] - top
            share = min(max(feedback[k], habits.edge), _ONE - habits.edge)
            graded += np.log(share / (_ONE - share))
        for g in range(kinds):
            lift = _dot(embedding[k], habits.lasting[g])
            weight[g, k] = np.exp(lift + utility[k] - top)
            if taken:
                match[g] += lift
        for c in range(passing):
            lift = _dot(embedding[k], habits.passing[c])
            odds[c, k] = np.exp(lift)
            if taken:
                match[:, c] += lift
    each, fine = max(count, _ONE), np.exp(-habits.spread)
    nothing = np.exp(habits.outside - top)
    total, error = np.empty_like(match), np.empty_like(match)
    joint, peak = np.empty_like(match), _NEVER
    for g in range(kinds):
        for c in range(passing):
            total[g, c] = nothing + _dot(weight[g], odds[c])
            likelihood = match[g, c] + own - each * np.log(total[g, c])
            if count == _ZERO:
                likelihood += habits.outside - top
            else:
                foreseen = habits.slope * (match[g, c] + own + count * top) / each + habits.offset
                error[g, c] = (graded / each - foreseen) * fine
                likelihood += error[g, c] - _TWO * _softplus(error[g, c]) - habits.spread
            joint[g, c], peak = likelihood, max(peak, likelihood)
    whole = _ZERO
    for g in range(kinds):
        for c in range(passing):
            joint[g, c] = belief[g, c] * np.exp(joint[g, c] - peak)
            whole += joint[g, c]
    whole = max(whole, _RARE)
    better = _ZERO
    blame[:] = _ZERO
    for g in range(kinds):
        for c in range(passing):
            belief[g, c] = joint[g, c] / whole
            share = belief[g, c] * each / total[g, c]
            for k in range(slots):
                blame[k] -= share * weight[g, k] * odds[c, k]
            if count > _ZERO:
                better += belief[g, c] * np.tanh(error[g, c] / _TWO)
    for k in range(slots):
        if shown[k] > _ZERO and feedback[k] > _ZERO:
            blame[k] += _ONE + habits.slope * fine * better / each
    return np.log(whole) + peak


@summing
def _move(habits: Habits, belief: Floats) -> None:
    """What is believed of the next request, as ``InterestChain.move``."""
    kinds, passing = belief.shape
    now, stay = np.empty(passing, np.float32), _ONE - habits.leak
    for g in range(kinds):
        now[:] = belief[g]
        kind = now.sum()
        for c in range(passing):
            belief[g, c] = habits.leak * habits.start[g, c] + stay * kind * habits.own[g, c]
        for before in range(passing):
            for c in range(passing):
                belief[g, c] += stay * now[before] * habits.follow[before, c]


@summing
def _dot(a: Floats, b: Floats) -> Real:
    total = _ZERO
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@summing
def _softplus(x: Real) -> Real:
    return max(x, _ZERO) + np.log1p(np.exp(-max(x, -x)))
