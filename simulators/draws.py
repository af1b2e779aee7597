"""Random numbers and what is drawn by them, user by user, compiled when first called.

As in ``kernels``; see ``streams`` for the law of the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .kernels import Real, compiled

if TYPE_CHECKING:
    from .streams import Floats, Keys

Stock: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

_ONE, _HALF, _QUARTER = np.float32(1), np.float32(0.5), np.float32(0.25)
_BELOW_ONE = np.float32(1 - 2**-24)
_LN_2 = np.float32(np.log(2))
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2) as a float32


@compiled
def _uniform(low: np.uint32, high: np.uint32, lane: np.uint32) -> Real:
    """A number on (0, 1) of a lane of a word, given as two halves: see ``streams``."""
    bits = np.uint32(low + lane)
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(16))) * np.uint32(0x21F0AAAD))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(15))) + high)
    bits = np.uint32(bits * np.uint32(0x735A2D97))
    bits = np.uint32(bits ^ (bits >> np.uint32(15)))
    bits = np.uint32((bits >> np.uint32(9)) | np.uint32(0x3F800000))  # 1 + 2^-23 times the bits
    return bits.view(np.float32) - _BELOW_ONE


@compiled
def _log(x: Real) -> Real:
    """Ln x, x > 0, by polynomials on [sqrt(1/2), sqrt(2)): a few 1e-7 off, the same everywhere."""
    bits = np.int32(np.float32(x).view(np.int32) - _ROOT_HALF)
    power = np.float32(bits >> np.int32(23))
    part = np.int32((bits & np.int32(0x7FFFFF)) + _ROOT_HALF).view(np.float32) - _ONE
    y = np.float32(0.126223198) + part * np.float32(-0.0790274377)
    y = np.float32(-0.129981838) + part * y
    y = np.float32(0.142144959) + part * y
    y = np.float32(-0.166412815) + part * y
    y = np.float32(0.200010451) + part * y
    y = np.float32(-0.250003064) + part * y
    y = np.float32(0.333333307) + part * y
    square = part * part
    return power * _LN_2 + (part - _HALF * square + part * square * y)


@compiled
def words(key: Keys, step: np.ndarray) -> Keys:
    """[B] one word for each user's ``key`` and ``step``, by SplitMix64's finaliser."""
    out = np.empty_like(key)
    for user in range(len(key)):
        word = key[user] + np.uint64(step[user]) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out[user] = word ^ (word >> np.uint64(31))
    return out


@compiled
def uniforms(word: Keys, lanes: np.ndarray) -> Floats:
    """[B, n] uniform numbers on (0, 1) of words [B] and lanes [n]."""
    out = np.empty((len(word), len(lanes)), np.float32)
    for user in range(len(word)):
        low = np.uint32(word[user])
        high = np.uint32(word[user] >> np.uint64(32))
        for i in range(len(lanes)):
            out[user, i] = _uniform(low, high, lanes[i])
    return out


@compiled
def normals(uniform: Floats) -> Floats:
    """[B, n] uniform numbers, n even -> [B, n] standard normal ones (Box & Muller, 1958)."""
    half = uniform.shape[1] // 2
    out = np.empty_like(uniform)
    for user in range(len(uniform)):
        for i in range(half):
            radius = np.sqrt(np.float32(-2) * _log(uniform[user, i]))
            turn = uniform[user, half + i]
            quarter = np.int32(np.float32(4) * turn + _HALF)
            part = turn - _QUARTER * np.float32(quarter)  # in [-1/8, 1/8] turns
            z = part * part
            sine = np.float32(81.5925429) + z * np.float32(-75.4016127)
            sine = part * (np.float32(6.28318529) + z * (np.float32(-41.3416626) + z * sine))
            cosine = np.float32(64.9393161) + z * (
                np.float32(-85.4428447) + z * np.float32(59.2201685)
            )
            cosine = _ONE + z * (np.float32(-19.7392087) + z * cosine)
            odd = (quarter & 1) == 1
            first, second = (sine, cosine) if odd else (cosine, sine)
            out[user, i] = radius * (-first if (quarter + 1) & 2 else first)
            out[user, half + i] = radius * (-second if quarter & 2 else second)
    return out


@compiled
def choose_logit(utility: Floats, uniform: Floats, shift: Floats, outside: Real) -> np.ndarray:
    """[B] the slot with the largest utility [B, K] + ``shift`` [K] + Gumbel noise, K for none."""
    users, slots = utility.shape
    noise = np.empty_like(uniform)
    drawn, made = uniform.ravel(), noise.ravel()  # one long loop, for SIMD
    for i in range(len(drawn)):
        made[i] = -_log(-_log(drawn[i]))
    out = np.empty(users, np.int64)
    for user in range(users):
        best, most = slots, noise[user, slots] + np.float32(outside)
        for i in range(slots - 1, -1, -1):  # of equals the first
            value = noise[user, i] + (utility[user, i] + shift[i])
            if value >= most:
                best, most = i, value
        out[user] = best
    return out


@compiled
def share_watched(
    utility: Floats, uniform: Floats, middle: Real, width: Real, noise: Real, least: Real
) -> Floats:
    """[B] sigmoid((utility - middle) / width + noise l), at least ``least``.

    l is standard logistic, drawn by the first of the numbers ``uniform`` [B, n].
    """
    out = np.empty_like(utility)
    center, scale, spread = np.float32(middle), np.float32(width), np.float32(noise)
    for user in range(len(utility)):
        odds = uniform[user, 0] / (_ONE - uniform[user, 0])
        logit = (utility[user] - center) / scale + spread * _log(odds)
        out[user] = max(_ONE / (_ONE + np.exp(-logit)), least)
    return out


@compiled
def pick(weights: Floats, uniform: Floats) -> np.ndarray:
    """[n, B] indices drawn from each row of ``weights`` [B, C] >= 0, by uniform numbers [n, B]."""
    draws, users = uniform.shape
    size = weights.shape[1]
    out = np.empty((draws, users), np.int64)
    total = np.empty(size, np.float32)
    for user in range(users):
        running = np.float32(0)
        for i in range(size):
            running += weights[user, i]
            total[i] = running
        for draw in range(draws):
            target = uniform[draw, user] * running
            place = np.int32(0)
            for i in range(size - 1):  # counting is SIMD; where a search ends, nobody can foresee
                place += np.int32(total[i] < target)
            out[draw, user] = place
    return out


@compiled
def log_slates(
    uniform: Floats,
    topics: np.ndarray,
    clock: Floats,
    exploration: Real,
    by_topic: bool,
    stock: Stock,
) -> np.ndarray:
    """[B, K] items that an earlier recommender showed, from ``uniform`` [B, 2 K].

    A slot is drawn uniformly with probability ``exploration``: over the topics and then what a
    topic has, or else over all items. Other slots are of the two ``topics`` [2, B], by turns.
    """
    members, first, oldest, living = stock
    users, slots, last = len(uniform), uniform.shape[1] // 2, np.int64(len(first) - 2)
    out, chosen = np.empty((users, slots), np.int32), np.empty(slots, np.int64)
    for user in range(users):
        hour = np.int64(np.floor(clock[user])) % len(living)
        for i in range(slots):  # loops of few branches: nobody could foresee where they lead
            explore, topic = uniform[user, i], np.int64(topics[i & 1, user])
            if by_topic:
                drawn = np.int64(min(explore, exploration) / exploration * (last + 1))
                topic = min(drawn, last) if explore < exploration else topic
            chosen[i] = topic
        for i in range(slots):
            where, topic = uniform[user, slots + i], chosen[i]
            count = living[hour, topic]
            if count == 0:
                out[user, i] = np.int64(where * len(members))
                continue
            turn = oldest[hour, topic] + np.int64(where * count)
            size = first[topic + 1] - first[topic]
            out[user, i] = members[first[topic] + turn - size * np.int64(turn >= size)]
        if not by_topic:
            for i in range(slots):
                free = np.int32(uniform[user, slots + i] * np.float64(len(members)))
                out[user, i] = free if uniform[user, i] < exploration else out[user, i]
    return out


@compiled
def variations(uniform: Floats, prototypes: Floats, spread: Real) -> Floats:
    """[n, D] one of ``prototypes`` [S, D] each, and ``spread`` times a normal vector.

    Drawn by ``uniform`` numbers [n, 1 + D], or one more where D is odd.
    """
    out = normals(uniform[:, 1:].copy())[:, : prototypes.shape[1]].copy()
    for i in range(len(out)):
        row = np.int64(uniform[i, 0] * np.float32(len(prototypes)))
        for d in range(out.shape[1]):
            out[i, d] = prototypes[row, d] + out[i, d] * np.float32(spread)
    return out


@compiled
def follow(chain: np.ndarray, uniform: Floats, following: Real, successors: np.ndarray) -> None:
    """Lets topics ``chain`` [n, B] follow from those a row above, in place.

    With probability ``following`` the next is one of two ``successors`` [C, 2], else it stays what
    it is. Drawn by ``uniform`` numbers [n - 1, 2, B].
    """
    for i in range(1, len(chain)):
        for user in range(chain.shape[1]):
            if uniform[i - 1, 0, user] < np.float32(following):
                branch = np.int64(uniform[i - 1, 1, user] * np.float32(2))
                chain[i, user] = successors[chain[i - 1, user], branch]


@compiled
def move_on(
    topic: np.ndarray,
    rows: np.ndarray,
    uniform: Floats,
    own: Floats,
    following: Real,
    successors: np.ndarray,
) -> None:
    """Lets other topics follow those of users ``rows`` [n], ``topic`` [B], in place.

    As ``follow``; or else they are drawn by ``own`` weights [n, C]. Three ``uniform`` numbers
    [B, 3] a user, the first of which is not looked at.
    """
    chain, drawn = np.empty((2, len(rows)), topic.dtype), np.empty((1, 2, len(rows)), np.float32)
    for i in range(len(rows)):
        chain[0, i] = topic[rows[i]]
        drawn[0, 0, i], drawn[0, 1, i] = uniform[rows[i], 1], uniform[rows[i], 2]
    chain[1] = pick(own, drawn[0, 1:])[0]
    follow(chain, drawn, following, successors)
    for i in range(len(rows)):
        topic[rows[i]] = chain[1, i]


@compiled
def ask(
    request: np.ndarray,
    uniform: Floats,
    hazard: Real,
    reveal: Real,
    topic: np.ndarray,
    texts: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Users ask anew with probability ``hazard``: writes to ``request`` [B].

    With probability ``reveal`` for their ``topic`` [B], in one of its ``texts`` (see
    ``drift.request.texts``), else for nothing. Drawn by the first of ``uniform`` numbers [B, n].
    """
    order, first, count = texts
    for user in range(len(request)):
        if uniform[user, 0] < np.float32(hazard):
            some = count[topic[user]]
            named = uniform[user, 1] < np.float32(reveal) and some > 0
            place = first[topic[user]] + np.int64(np.float64(uniform[user, 2]) * some)
            request[user] = order[min(place, len(order) - 1)] if named else 0
