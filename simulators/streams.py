"""One stream of random numbers per user, independent of every other user.

A number is a hash of (user, step, lane), so it depends neither on how many users share the batch,
nor on the order of calls, nor on which other processes are switched on. Two policies that face the
same user therefore meet the same fate (common random numbers).

The mixers are SplitMix64's finaliser (Steele, Lea & Flood, 2014, "Fast splittable pseudorandom
number generators") for (user, step), and a two-round 32-bit multiply-xorshift, keyed a second time
between its rounds, for the lanes: SIMD has more 32-bit multiplications than 64-bit ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from zlib import crc32

import numpy as np
import numpy.typing as npt

from .compiled import draws

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]

_GOLDEN_64 = np.uint64(0x9E3779B97F4A7C15)
_GOLDEN_32 = np.uint32(0x9E3779B9)


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
        counts: how many uniform numbers each purpose takes per step.
        normals: how many normal numbers; their lanes follow those of the purpose's uniform ones.
    """

    def __init__(
        self, counts: Mapping[str, int], normals: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self.ids = {purpose: _lane_ids(purpose, count) for purpose, count in counts.items()}
        self.normals = {purpose: count for purpose, count in normals.items() if count}
        self.normal_ids = {
            purpose: _lane_ids(purpose, 2 * ((count + 1) // 2), counts.get(purpose, 0))
            for purpose, count in self.normals.items()
        }


@lru_cache(maxsize=256)
def _lane_ids(purpose: str, count: int, first: int = 0) -> npt.NDArray[np.uint32]:
    lanes = np.arange(first, first + count, dtype=np.uint32)
    return np.uint32(crc32(purpose.encode())) + lanes * _GOLDEN_32


class Draw:
    """The random numbers of one step for B users, drawn when they are asked for.

    Args:
        key: [B] streams of the users.
        step: [B] int, the users' own step counters.
        lanes: what is drawn.
    """

    def __init__(self, key: Keys, step: npt.NDArray[np.int64], lanes: Lanes) -> None:
        self._word: Keys = draws.words(key, step)
        self._lanes = lanes

    def __getitem__(self, purpose: str) -> Floats:
        """[B, n] uniform on (0, 1), the numbers of one purpose."""
        uniform: Floats = draws.uniforms(self._word, self._lanes.ids[purpose])
        return uniform

    def normal(self, purpose: str) -> Floats:
        """[B, n] standard normal, the numbers of one purpose."""
        uniform = draws.uniforms(self._word, self._lanes.normal_ids[purpose])
        return normal(uniform)[:, : self._lanes.normals[purpose]]

    def extra(self, rows: npt.NDArray[np.int64], purpose: str, count: int) -> Floats:
        """[len(rows), count] more uniform numbers, for the few users to whom something happens."""
        uniform: Floats = draws.uniforms(self._word[rows], _lane_ids(purpose, count))
        return uniform


def normal(uniform: Floats) -> Floats:
    """[B, n] uniform, n even -> [B, n] standard normal (Box & Muller, 1958)."""
    numbers: Floats = draws.normals(np.ascontiguousarray(uniform))
    return numbers


def gumbel(uniform: Floats) -> Floats:
    """Standard Gumbel noise from uniform numbers of any shape."""
    noise = np.log(uniform)
    np.negative(noise, out=noise)
    np.log(noise, out=noise)
    return np.negative(noise, out=noise)
