"""The arithmetic of a step, user by user, compiled by Numba when it is first called.

Each function takes C-contiguous arrays of B users and never mixes two users, so what becomes of one
does not depend on the batch. Compiled code is kept beside this file, or in the user's cache where
that cannot be written to: only the first process on a machine compiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from .streams import Floats, Keys

_ordered = njit(cache=True, error_model="numpy", nogil=True)
# Sums whose order is the compiler's, the same for every user: for SIMD.
_summing = njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract"})

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_NEVER = np.float32(-np.inf)
_LEAST = np.float32(1e-12)  # a shorter vector has no direction
_BELOW_ONE = np.float32(1 - 2**-24)
_LN_2 = np.float32(np.log(2))
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2) as a float32
_QUARTER = np.float32(0.25)


# --- numbers


@_ordered
def _uniform(low: int, high: int, lane: int) -> float:
    """A number on (0, 1) of a lane of a word, given as two halves: see ``streams``."""
    bits = np.uint32(low + lane)
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(16))) * np.uint32(0x21F0AAAD))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(15))) + high)
    bits = np.uint32(bits * np.uint32(0x735A2D97))
    bits = np.uint32(bits ^ (bits >> np.uint32(15)))
    bits = np.uint32((bits >> np.uint32(9)) | np.uint32(0x3F800000))  # 1 + 2^-23 times the bits
    return bits.view(np.float32) - _BELOW_ONE


@_ordered
def _log(x: float) -> float:
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


@_ordered
def words(key: Keys, step: np.ndarray) -> Keys:
    """[B] one word for each user's ``key`` and ``step``, by SplitMix64's finaliser."""
    out = np.empty_like(key)
    for user in range(len(key)):
        word = key[user] + np.uint64(step[user]) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out[user] = word ^ (word >> np.uint64(31))
    return out


@_ordered
def uniforms(word: Keys, lanes: np.ndarray) -> Floats:
    """[B, n] uniform numbers on (0, 1) of words [B] and lanes [n]."""
    out = np.empty((len(word), len(lanes)), np.float32)
    for user in range(len(word)):
        low = np.uint32(word[user])
        high = np.uint32(word[user] >> np.uint64(32))
        for i in range(len(lanes)):
            out[user, i] = _uniform(low, high, lanes[i])
    return out


@_ordered
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


# --- vectors


@_summing
def _dot(a: Floats, i: int, b: Floats, j: int, size: int) -> float:
    total = _ZERO
    for d in range(size):
        total += a[i, d] * b[j, d]
    return total


@_ordered
def unit_rows(vectors: Floats, out: Floats) -> None:
    """Writes rows [B, D] scaled to length 1 to the first D columns of ``out``."""
    size = vectors.shape[1]
    for user in range(len(vectors)):
        length = np.sqrt(_dot(vectors, user, vectors, user, size))
        scale = _ONE / max(length, _LEAST)
        for d in range(size):
            out[user, d] = vectors[user, d] * scale


@_ordered
def wander(taste: Floats, anchor: Floats, noise: Floats, theta: float, sigma: float) -> None:
    """Taste <- unit(taste + theta (anchor - taste) + sigma noise), arrays [B, D], in place."""
    users, size = taste.shape
    stay = _ONE - theta
    for user in range(users):
        for d in range(size):
            taste[user, d] = (
                stay * taste[user, d] + theta * anchor[user, d] + sigma * noise[user, d]
            )
        scale = _ONE / max(np.sqrt(_dot(taste, user, taste, user, size)), _LEAST)
        for d in range(size):
            taste[user, d] *= scale


@_ordered
def approach(taste: Floats, attributes: Floats, item: np.ndarray, eta: float) -> None:
    """Taste <- unit(taste + eta (x - taste)) of users who took ``item`` [B] >= 0, in place."""
    users, size = taste.shape
    for user in range(users):
        if item[user] < 0:
            continue
        for d in range(size):
            taste[user, d] += eta * (attributes[item[user], d] - taste[user, d])
        scale = _ONE / max(np.sqrt(_dot(taste, user, taste, user, size)), _LEAST)
        for d in range(size):
            taste[user, d] *= scale


@_ordered
def add_scaled(out: Floats, weight: Floats, vectors: Floats) -> None:
    """Adds ``weight`` [B] times ``vectors`` [B, D] to ``out`` [B, D]."""
    for user in range(len(out)):
        for d in range(out.shape[1]):
            out[user, d] += weight[user] * vectors[user, d]


@_ordered
def add_rows(out: Floats, table: Floats, row: np.ndarray) -> None:
    """Adds rows ``row`` [B] of a ``table`` to ``out`` [B, D]."""
    for user in range(len(out)):
        for d in range(out.shape[1]):
            out[user, d] += table[row[user], d]


@_ordered
def products(vectors: Floats, onto: Floats) -> Floats:
    """[B, n] products of ``vectors`` [B, D or more] with the rows of ``onto`` [n, D]."""
    out = np.empty((len(vectors), len(onto)), np.float32)
    for user in range(len(vectors)):
        for i in range(len(onto)):
            out[user, i] = _dot(vectors, user, onto, i, onto.shape[1])
    return out


# --- items and choice


@_ordered
def match(features: Floats, query: Floats, items: np.ndarray) -> Floats:
    """[B, M] products of the users' queries [B, F] with the features of ``items`` [B, M]."""
    users, count = items.shape
    out = np.empty((users, count), np.float32)
    for user in range(users):
        for i in range(count):
            out[user, i] = _dot(features, items[user, i], query, user, query.shape[1])
    return out


@_ordered
def add_by_topic(utility: Floats, bonus: Floats, topic: np.ndarray, items: np.ndarray) -> None:
    """Adds to the utility [B, M] of ``items`` [B, M] the ``bonus`` [B, C] of their topics."""
    for user in range(len(utility)):
        for i in range(utility.shape[1]):
            utility[user, i] += bonus[user, topic[items[user, i]]]


@_ordered
def add_by_age(
    utility: Floats, by_age: Floats, born: np.ndarray, clock: Floats, items: np.ndarray
) -> None:
    """Adds ``by_age`` [period] of the whole hours from ``born`` [N] to ``clock`` [B]."""
    for user in range(len(utility)):
        now = np.int64(np.floor(clock[user])) % len(by_age)
        for i in range(utility.shape[1]):
            age = now - born[items[user, i]]
            utility[user, i] += by_age[age if age >= 0 else age + len(by_age)]


@_ordered
def add_by_use(
    utility: Floats,
    items: np.ndarray,
    taken: np.ndarray,
    taken_at: np.ndarray,
    step: np.ndarray,
    power: Floats,
    weight: float,
) -> None:
    """Adds weight ln(1 + sum power[age]) over the places of ``taken`` [B, P] that hold the item."""
    for user in range(len(utility)):
        for i in range(utility.shape[1]):
            activation = _ONE
            for place in range(taken.shape[1]):
                if taken[user, place] == items[user, i]:
                    age = step[user] - taken_at[user, place]
                    activation += power[min(max(age - 1, 0), len(power) - 1)]
            if activation > _ONE:
                utility[user, i] += weight * _log(activation)


@_ordered
def add_to_topic(bonus: Floats, topic: np.ndarray, weight: float) -> None:
    """Adds ``weight`` to ``bonus`` [B, C] of each user's ``topic`` [B] >= 0."""
    for user in range(len(bonus)):
        if topic[user] >= 0:
            bonus[user, topic[user]] += weight


@_ordered
def remember(
    taken: np.ndarray, taken_at: np.ndarray, place: np.ndarray, item: np.ndarray, step: np.ndarray
) -> None:
    """Writes ``item`` [B] >= 0 and its ``step`` to the next ``place`` of rings [B, P]."""
    for user in range(len(taken)):
        if item[user] >= 0:
            taken[user, place[user]] = item[user]
            taken_at[user, place[user]] = step[user]
            place[user] = (place[user] + 1) % taken.shape[1]


@_ordered
def tire(satiation: Floats, topic: np.ndarray, item: np.ndarray, rho: float) -> None:
    """S <- rho (s + consumed), s [B, C], of the topics of the items taken, ``item`` [B] >= 0."""
    for user in range(len(satiation)):
        if item[user] >= 0:
            satiation[user, topic[item[user]]] += _ONE
        for k in range(satiation.shape[1]):
            satiation[user, k] *= rho


@_ordered
def write_feedback(feedback: Floats, choice: np.ndarray, grade: Floats) -> None:
    """Sets ``feedback`` [B, K] to the ``grade`` [B] of the slot of ``choice`` [B] and else to 0."""
    for user in range(len(feedback)):
        for i in range(feedback.shape[1]):
            feedback[user, i] = grade[user] if i == choice[user] else _ZERO


@_ordered
def drop_repeated(utility: Floats, slates: np.ndarray) -> None:
    """Sets the utility [B, K] of a slot to -inf where an item stands in a slot above it too."""
    for user in range(len(utility)):
        for i in range(1, utility.shape[1]):
            again = False
            for above in range(i):
                again |= slates[user, above] == slates[user, i]
            if again:
                utility[user, i] = _NEVER


@_ordered
def choose_logit(utility: Floats, uniform: Floats, shift: Floats, outside: float) -> np.ndarray:
    """[B] the slot with the largest utility [B, K] + ``shift`` [K] + Gumbel noise, K for none."""
    users, slots = utility.shape
    noise = np.empty(slots + 1, np.float32)
    out = np.empty(users, np.int64)
    for user in range(users):
        for i in range(slots + 1):
            noise[i] = -_log(-_log(uniform[user, i]))
        best, most = slots, noise[slots] + outside
        for i in range(slots - 1, -1, -1):  # of equals the first
            value = noise[i] + (utility[user, i] + shift[i])
            if value >= most:
                best, most = i, value
        out[user] = best
    return out


@_ordered
def pick(weights: Floats, uniform: Floats) -> np.ndarray:
    """[n, B] indices drawn from each row of ``weights`` [B, C], by uniform numbers [n, B]."""
    draws, users = uniform.shape
    size = weights.shape[1]
    out = np.empty((draws, users), np.int64)
    total = np.empty(size, np.float32)
    for user in range(users):
        running = _ZERO
        for i in range(size):
            running += weights[user, i]
            total[i] = running
        for draw in range(draws):
            target = uniform[draw, user] * running
            place = 0
            while place < size - 1 and total[place] < target:
                place += 1
            out[draw, user] = place
    return out
