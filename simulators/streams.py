"""One stream of random numbers per user, independent of every other user.

A number is a hash of (user, step, lane), so it depends neither on how many users share the batch,
nor on the order of calls, nor on which other processes are switched on. Two policies that face the
same user therefore meet the same fate (common random numbers).

The mixers are SplitMix64's finaliser (Steele, Lea & Flood, 2014, "Fast splittable pseudorandom
number generators") for (user, step), and a two-round 32-bit multiply-xorshift, keyed a second time
between its rounds, for the lanes: NumPy runs 32-bit multiplications in SIMD, 64-bit ones not.
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]

_GOLDEN_64 = np.uint64(0x9E3779B97F4A7C15)
_GOLDEN_32 = np.uint32(0x9E3779B9)
_TWO_PI = np.float32(2 * np.pi)


def mix64(value: Keys) -> Keys:
    """SplitMix64's finaliser, [B] -> [B]."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def user_keys(seed: npt.NDArray[np.int64], episode: npt.NDArray[np.int64]) -> Keys:
    """The stream of each user: [B] seeds and [B] episode numbers -> [B] keys."""
    return mix64(mix64(seed.astype(np.uint64)) + episode.astype(np.uint64) * _GOLDEN_64)


class Lanes:
    """Which lanes of a user's stream serve which purpose within one step.

    A purpose's lanes follow from its name alone, so adding a purpose leaves the others' numbers
    as they were.

    Args:
        counts: how many numbers each purpose takes per step.
    """

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.slices: dict[str, slice] = {}
        ids, start = [], 0
        for purpose, count in counts.items():
            self.slices[purpose] = slice(start, start + count)
            ids.append(_lane_ids(purpose, count))
            start += count
        self.ids = np.concatenate(ids) if ids else np.zeros(0, np.uint32)


def _lane_ids(purpose: str, count: int) -> npt.NDArray[np.uint32]:
    return np.uint32(crc32(purpose.encode())) + np.arange(count, dtype=np.uint32) * _GOLDEN_32


class Draw:
    """The uniform numbers of one step for B users.

    Args:
        key: [B] streams of the users.
        step: [B] int, the users' own step counters.
        lanes: what is drawn.
    """

    def __init__(self, key: Keys, step: npt.NDArray[np.int64], lanes: Lanes) -> None:
        self._word = mix64(key + step.astype(np.uint64) * _GOLDEN_64)
        self._slices = lanes.slices
        self._uniform = _hash(self._word, lanes.ids)

    def __getitem__(self, purpose: str) -> Floats:
        """[B, n] uniform on (0, 1), the numbers of one purpose."""
        return self._uniform[:, self._slices[purpose]]

    def extra(self, rows: npt.NDArray[np.int64], purpose: str, count: int) -> Floats:
        """[len(rows), count] more uniform numbers, for the few users to whom something happens."""
        return _hash(self._word[rows], _lane_ids(purpose, count))


def _hash(word: Keys, ids: npt.NDArray[np.uint32]) -> Floats:
    low = word.astype(np.uint32)[:, None]
    high = (word >> np.uint64(32)).astype(np.uint32)[:, None]
    bits = low + ids  # [B, L]
    bits ^= bits >> np.uint32(16)
    bits *= np.uint32(0x21F0AAAD)
    bits ^= bits >> np.uint32(15)
    bits += high
    bits *= np.uint32(0x735A2D97)
    bits ^= bits >> np.uint32(15)
    bits >>= np.uint32(9)
    uniform = bits.astype(np.float32)
    uniform += np.float32(0.5)
    uniform *= np.float32(2.0**-23)
    return uniform


def normal(uniform: Floats) -> Floats:
    """[B, n] uniform, n even -> [B, n] standard normal (Box & Muller, 1958)."""
    half = uniform.shape[1] // 2
    radius = np.sqrt(np.float32(-2) * np.log(uniform[:, :half]))
    angle = _TWO_PI * uniform[:, half:]
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)), axis=1)


def gumbel(uniform: Floats) -> Floats:
    """Standard Gumbel noise from uniform numbers of any shape."""
    return -np.log(-np.log(uniform))
