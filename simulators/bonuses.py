"""What hours, topics and use add to interests and utilities, user by user.

Compiled when first called, as ``kernels`` are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .kernels import REMAINDER, compiled

if TYPE_CHECKING:
    from .kernels import Real
    from .streams import Floats

_ONE, _TWO_PI = np.float32(1), np.float32(2 * np.pi)


@compiled
def add_rows(out: Floats, table: Floats, row: np.ndarray) -> None:
    """Adds rows ``row`` [B] of a ``table`` to ``out`` [B, D]."""
    for user in range(len(out)):
        place = np.uint32(row[user])  # never negative, so that the loop below can be SIMD
        for d in range(out.shape[1]):
            out[user, d] += table[place, d]


@compiled
def add_by_hour(out: Floats, table: Floats, clock: Floats) -> None:
    """Adds the row of a ``table`` [hours, C] of the whole hour on the ``clock`` [B], cyclically."""
    for user in range(len(out)):
        place = np.uint32(np.int64(np.floor(clock[user])) % len(table))
        for i in range(out.shape[1]):
            out[user, i] += table[place, i]


@compiled
def add_waves(
    out: Floats, clock: Floats, phase: Floats, vectors: Floats, weight: Real, turns: Real
) -> None:
    """Adds weight cos(2 pi turns (clock + phase)) times ``vectors`` [B, D] to ``out`` [B, D]."""
    for user in range(len(out)):
        angle = (clock[user] + phase[user]) * (_TWO_PI * np.float32(turns))
        now = np.float32(weight) * np.cos(angle)
        for d in range(out.shape[1]):
            out[user, d] += now * vectors[user, d]


@compiled
def add_scaled(out: Floats, weight: Real, values: Floats) -> None:
    """Adds ``weight`` times ``values`` [B, C] to ``out`` [B, C]."""
    for user in range(len(out)):
        for i in range(out.shape[1]):
            out[user, i] += np.float32(weight) * values[user, i]


@compiled
def add_to_topic(bonus: Floats, topic: np.ndarray, request: np.ndarray, weight: Real) -> None:
    """Adds ``weight`` to ``bonus`` [B, C] of the ``topic`` [R] >= 0 of each ``request`` [B]."""
    for user in range(len(bonus)):
        named = topic[request[user]]
        if named >= 0:
            bonus[user, named] += np.float32(weight)


@compiled
def add_by_topic(utility: Floats, bonus: Floats, topic: np.ndarray, items: np.ndarray) -> None:
    """Adds to the utility [B, M] of ``items`` [B, M] the ``bonus`` [B, C] of their topics."""
    for user in range(len(utility)):
        for i in range(utility.shape[1]):
            utility[user, i] += bonus[user, topic[items[user, i]]]


@compiled
def add_by_age(
    utility: Floats, by_age: Floats, born: np.ndarray, clock: Floats, items: np.ndarray
) -> None:
    """Adds ``by_age`` [period] of the whole hours from ``born`` [N] to ``clock`` [B]."""
    period = np.int32(len(by_age))
    for user in range(len(utility)):
        now = np.int32(np.int64(np.floor(clock[user])) % period)
        for i in range(utility.shape[1]):
            age = now - born[items[user, i]]
            utility[user, i] += by_age[np.uint32(age + period if age < 0 else age)]


@compiled
def add_by_use(
    utility: Floats,
    items: np.ndarray,
    taken: np.ndarray,
    taken_at: np.ndarray,
    step: np.ndarray,
    power: Floats,
    weight: Real,
) -> None:
    """Adds weight ln(1 + sum power[age]) over the places of ``taken`` [B, P] that hold the item."""
    seen = np.full(REMAINDER + 1, -1, np.int32)  # who had an item of this remainder last
    for user in range(len(utility)):
        some = False
        for place in range(taken.shape[1]):
            if taken[user, place] >= 0:
                seen[np.uint32(taken[user, place]) & REMAINDER] = user
                some = True
        if not some:
            continue
        for i in range(utility.shape[1]):
            item = items[user, i]
            if seen[np.uint32(item) & REMAINDER] != user:
                continue
            activation = _ONE
            for place in range(taken.shape[1]):
                if taken[user, place] == item:
                    age = step[user] - taken_at[user, place]
                    activation += power[min(max(age - 1, 0), len(power) - 1)]
            if activation > _ONE:
                utility[user, i] += np.float32(weight) * np.log(activation)
