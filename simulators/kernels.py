"""The arithmetic of a step, user by user, compiled by Numba when it is first called.

Each function takes C-contiguous arrays of B users and never mixes two users, so what becomes of one
does not depend on the batch. Compiled code is kept beside this file, or in the user's cache where
that cannot be written to: only the first process on a machine compiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from .streams import Floats

Real: TypeAlias = float | np.float32
Place: TypeAlias = int | np.uint32

compiled = njit(cache=True, error_model="numpy", nogil=True)
# Sums whose order is the compiler's, the same for every user: for SIMD.
summing = njit(cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract"})

_ZERO, _ONE, _TWO_PI = np.float32(0), np.float32(1), np.float32(2 * np.pi)
_NEVER = np.float32(-np.inf)
_LEAST = np.float32(1e-12)  # a shorter vector has no direction
REMAINDER = np.uint32(1023)  # ids of items are told apart by their low bits first


@summing
def _dot(a: Floats, i: Place, b: Floats, j: Place, size: int) -> Real:
    total = _ZERO
    for d in range(size):
        total += a[i, d] * b[j, d]
    return total


@compiled
def unit_rows(vectors: Floats, out: Floats) -> None:
    """Writes rows [B, D] scaled to length 1 to the first D columns of ``out``."""
    size = vectors.shape[1]
    for user in range(len(vectors)):
        length = np.sqrt(_dot(vectors, user, vectors, user, size))
        scale = _ONE / max(length, _LEAST)
        for d in range(size):
            out[user, d] = vectors[user, d] * scale


@compiled
def wander(taste: Floats, anchor: Floats, noise: Floats, theta: Real, sigma: Real) -> None:
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


@compiled
def approach(taste: Floats, attributes: Floats, item: np.ndarray, eta: Real) -> None:
    """Taste <- unit(taste + eta (x - taste)) of users who took ``item`` [B] >= 0, in place."""
    users, size = taste.shape
    for user in range(users):
        if item[user] < 0:
            continue
        row = np.uint32(item[user])
        for d in range(size):
            taste[user, d] += eta * (attributes[row, d] - taste[user, d])
        scale = _ONE / max(np.sqrt(_dot(taste, user, taste, user, size)), _LEAST)
        for d in range(size):
            taste[user, d] *= scale


@compiled
def shift(
    taste: Floats, anchor: Floats, former: Floats, fresh: Floats, rows: np.ndarray, back: np.ndarray
) -> None:
    """Taste and anchor of users ``rows`` [n] <- their ``former`` ones where ``back`` [B], in place.

    Else <- ``fresh`` [n, D]. The anchor they had becomes the former one.
    """
    for i in range(len(rows)):
        user = rows[i]
        for d in range(taste.shape[1]):
            taste[user, d] = former[user, d] if back[user] else fresh[i, d]
            former[user, d], anchor[user, d] = anchor[user, d], taste[user, d]


@compiled
def products(vectors: Floats, onto: Floats) -> Floats:
    """[B, n] products of ``vectors`` [B, D or more] with the rows of ``onto`` [n, D]."""
    count, size = onto.shape
    out = np.empty((len(vectors), count), np.float32)
    for user in range(len(vectors)):
        for i in range(count):
            out[user, i] = _dot(vectors, user, onto, i, size)
    return out


@compiled
def match(features: Floats, query: Floats, items: np.ndarray) -> Floats:
    """[B, M] products of the users' queries [B, F] with the features of ``items`` [B, M]."""
    (users, count), size, last = items.shape, query.shape[1], len(features) - 1
    out = np.empty((users, count), np.float32)
    for user in range(users):
        for i in range(count):
            row = np.uint32(min(max(items[user, i], 0), last))
            out[user, i] = _dot(features, row, query, user, size)
    return out


@compiled
def remember(
    taken: np.ndarray, taken_at: np.ndarray, place: np.ndarray, item: np.ndarray, step: np.ndarray
) -> None:
    """Writes ``item`` [B] >= 0 and its ``step`` to the next ``place`` of rings [B, P]."""
    for user in range(len(taken)):
        if item[user] >= 0:
            taken[user, place[user]] = item[user]
            taken_at[user, place[user]] = step[user]
            place[user] = (place[user] + 1) % taken.shape[1]


@compiled
def tire(satiation: Floats, topic: np.ndarray, item: np.ndarray, rho: Real) -> None:
    """S <- rho (s + consumed), s [B, C], of the topics of the items taken, ``item`` [B] >= 0."""
    for user in range(len(satiation)):
        if item[user] >= 0:
            satiation[user, topic[item[user]]] += _ONE
        for k in range(satiation.shape[1]):
            satiation[user, k] *= np.float32(rho)


@compiled
def write_feedback(feedback: Floats, choice: np.ndarray, grade: Floats) -> None:
    """Sets ``feedback`` [B, K] to the ``grade`` [B] of the slot of ``choice`` [B] and else to 0."""
    for user in range(len(feedback)):
        for i in range(feedback.shape[1]):
            feedback[user, i] = _ZERO
        if choice[user] < feedback.shape[1]:
            feedback[user, choice[user]] = grade[user]


@compiled
def drop_repeated(utility: Floats, slates: np.ndarray) -> None:
    """Sets the utility [B, K] of a slot to -inf where an item stands in a slot above it too."""
    seen = np.full(REMAINDER + 1, -1, np.int32)  # who had an item of this remainder last
    for user in range(len(utility)):
        for i in range(utility.shape[1]):
            mark = np.uint32(slates[user, i]) & REMAINDER
            if seen[mark] == user:
                again = False
                for above in range(i):
                    again |= slates[user, above] == slates[user, i]
                if again:
                    utility[user, i] = _NEVER
            seen[mark] = user


@compiled
def what_was_taken(
    utility: Floats, slates: np.ndarray, choice: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Floats]:
    """[B] items chosen, -1 for none; [B] whether one was; [B] its utility (if none, any)."""
    users, slots = slates.shape
    item, consumed = np.empty(users, np.int64), np.empty(users, np.bool_)
    liked = np.empty(users, np.float32)
    for user in range(users):
        consumed[user] = choice[user] < slots
        item[user] = slates[user, choice[user]] if consumed[user] else -1
        liked[user] = utility[user, min(choice[user], slots - 1)]
    return item, consumed, liked


# --- time


@compiled
def hours(clock: Floats, period: int) -> np.ndarray:
    """[B] whole hours on a clock [B] that starts anew after ``period`` hours."""
    out = np.empty(len(clock), np.int32)
    for user in range(len(clock)):
        out[user] = np.int64(np.floor(clock[user])) % period
    return out


@compiled
def turn_pages(out: np.ndarray, shown: np.ndarray, table: np.ndarray, clock: Floats) -> None:
    """Writes the row of ``table`` [hours, N] of the whole hour on the ``clock`` [B] to ``out``.

    Only where ``out`` [B, N] does not hold it yet: ``shown`` [B] are the hours that it holds.
    """
    for user in range(len(out)):
        hour = np.uint32(np.int64(np.floor(clock[user])) % len(table))
        if hour != shown[user]:
            shown[user] = hour
            for i in range(out.shape[1]):
                out[user, i] = table[hour, i]


@compiled
def clock_hands(clock: Floats, periods: Floats) -> Floats:
    """[B, 2 n] sine and cosine of the turn of a clock [B] within each of ``periods`` [n] hours."""
    out = np.empty((len(clock), 2 * len(periods)), np.float32)
    for user in range(len(clock)):
        for i in range(len(periods)):
            turn = _TWO_PI * clock[user] / periods[i]
            out[user, 2 * i], out[user, 2 * i + 1] = np.sin(turn), np.cos(turn)
    return out


@compiled
def pass_request(
    patience: Floats, step: np.ndarray, clock: Floats, grade: Floats, law: Floats, wait: Real
) -> np.ndarray:
    """Patience by the ``grade`` [B] and ``law`` (most, loss, gain), step + 1, clock + ``wait``.

    Returns:
        Whose patience [B] is used up.
    """
    most, loss, gain = law
    left = np.empty(len(patience), np.bool_)
    for user in range(len(patience)):
        patience[user] = min(patience[user] + (grade[user] * (gain + loss) - loss), most)
        step[user] += 1
        clock[user] += wait
        left[user] = patience[user] <= _ZERO
    return left


@compiled
def write_ids(out: np.ndarray, ids: np.ndarray, size: int) -> bool:
    """Writes ``ids`` [B, K] to ``out``, a narrower type; returns whether all are in [0, size)."""
    good = True
    for user in range(len(ids)):
        for i in range(ids.shape[1]):
            good &= (ids[user, i] >= 0) & (ids[user, i] < size)
            out[user, i] = ids[user, i]
    return good
