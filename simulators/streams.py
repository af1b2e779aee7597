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
from copy import copy
from functools import cached_property, lru_cache
from types import MappingProxyType
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]

_GOLDEN_64 = np.uint64(0x9E3779B97F4A7C15)
_GOLDEN_32 = np.uint32(0x9E3779B9)
_ONE = np.uint32(0x3F800000)  # the bits of 1 as a float32
_TWO_PI = np.float32(2 * np.pi)
_FEW, _AHEAD, _KEPT = 16, 32, 1024  # users; users times steps; draws


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
        self.slices: dict[str, slice] = {}
        ids, start = [np.zeros(0, np.uint32)], 0
        for purpose, count in counts.items():
            self.slices[purpose] = slice(start, start + count)
            ids.append(_lane_ids(purpose, count))
            start += count
        self.ids = np.concatenate(ids)
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
    """The random numbers of one step for B users, drawn when they are first asked for.

    Uniform numbers lie in memory lane by lane, as few are taken at a time; normal ones user by
    user, as the vectors that they move do.

    Args:
        key: [B] streams of the users.
        step: [B] int, the users' own step counters.
        lanes: what is drawn.
    """

    def __init__(self, key: Keys, step: npt.NDArray[np.int64], lanes: Lanes) -> None:
        self._word = mix64(key + step.astype(np.uint64) * _GOLDEN_64)
        self._lanes = lanes
        self._normal: dict[str, Floats] = {}

    def __getitem__(self, purpose: str) -> Floats:
        """[B, n] uniform on (0, 1), the numbers of one purpose."""
        return self._uniform[self._lanes.slices[purpose]].T

    def normal(self, purpose: str) -> Floats:
        """[B, n] standard normal, the numbers of one purpose: for reading only."""
        if purpose not in self._normal:
            count, ids = self._lanes.normals[purpose], self._lanes.normal_ids[purpose]
            self._normal[purpose] = normal(_hash(self._word[:, None], ids))[:, :count]
        return self._normal[purpose]

    def extra(self, rows: npt.NDArray[np.int64], purpose: str, count: int) -> Floats:
        """[len(rows), count] more uniform numbers, for the few users to whom something happens."""
        return _hash(self._word[rows, None], _lane_ids(purpose, count))

    def split(self, parts: int) -> list[Draw]:
        """The draws of equally many users each, into which these users fall."""
        size = len(self._word) // parts
        lanes = self._uniform.reshape(-1, parts, size).transpose(1, 0, 2).copy()
        split = [copy(self) for _ in range(parts)]
        for i, part in enumerate(split):
            rows = slice(i * size, (i + 1) * size)
            part._word, part._uniform = self._word[rows], lanes[i]
            part._normal = {name: self.normal(name)[rows] for name in self._lanes.normals}
        return split

    @cached_property
    def _uniform(self) -> Floats:
        """[L, B]."""
        return _hash(self._word, self._lanes.ids[:, None])


class DrawAhead:
    """Draws for steps one after the other; few users' are made for many steps in one go.

    For few users a call costs more than its numbers. A draw follows from (key, step), so those made
    ahead are found by them, whatever has become of the users meanwhile.

    Args:
        lanes: what is drawn.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._made: dict[bytes, Draw] = {}

    def __call__(self, key: Keys, step: npt.NDArray[np.int64]) -> Draw:
        """The draw of users with these keys [B] at these steps [B]."""
        if len(key) > _FEW:
            return Draw(key, step, self._lanes)
        name = key.tobytes() + step.tobytes()
        if name not in self._made:
            self._make(key, step)
        return self._made[name]

    def _make(self, key: Keys, step: npt.NDArray[np.int64]) -> None:
        if len(self._made) >= _KEPT:
            self._made.clear()
        steps = step + np.arange(_AHEAD // len(key))[:, None]  # [T, B]
        draw = Draw(np.tile(key, len(steps)), steps.ravel(), self._lanes)
        for then, part in zip(steps, draw.split(len(steps)), strict=True):
            self._made[key.tobytes() + then.tobytes()] = part


def _hash(word: Keys, ids: npt.NDArray[np.uint32]) -> Floats:
    """Uniform numbers on (0, 1) of words and lanes that broadcast."""
    bits = word.astype(np.uint32) + ids
    spare = bits >> np.uint32(16)
    bits ^= spare
    bits *= np.uint32(0x21F0AAAD)
    bits ^= np.right_shift(bits, np.uint32(15), out=spare)
    bits += (word >> np.uint64(32)).astype(np.uint32)
    bits *= np.uint32(0x735A2D97)
    bits ^= np.right_shift(bits, np.uint32(15), out=spare)
    bits >>= np.uint32(9)
    bits |= _ONE  # as a float32: 1 + 2^-23 times the bits
    uniform = bits.view(np.float32)
    uniform -= np.float32(1 - 2**-24)
    return uniform


def normal(uniform: Floats) -> Floats:
    """[B, n] uniform, n even -> [B, n] standard normal (Box & Muller, 1958)."""
    half = uniform.shape[1] // 2
    radius = np.log(uniform[:, :half])
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle = _TWO_PI * uniform[:, half:]
    result = np.empty(uniform.shape, np.float32)
    np.multiply(radius, np.cos(angle), out=result[:, :half])
    np.multiply(radius, np.sin(angle, out=angle), out=result[:, half:])
    return result


def gumbel(uniform: Floats) -> Floats:
    """Standard Gumbel noise from uniform numbers of any shape."""
    noise = np.log(uniform)
    np.negative(noise, out=noise)
    np.log(noise, out=noise)
    return np.negative(noise, out=noise)
