"""Large arrays that are handed out afresh at every step without asking the system for memory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

_SMALL = 1 << 16  # bytes; a new array of fewer costs nothing
_MOST = 4  # arrays that are kept; a caller who holds on to more gets new ones


class Buffers:
    """Arrays of one shape, each lent again once nobody but this class refers to it.

    A new array of some megabytes costs several times what filling it does: the system clears its
    pages one by one. A view of an array, or anything else that reads its memory, holds a reference
    to it, so an array that is lent again is one that nobody can see any more.
    """

    def __init__(self) -> None:
        self._made: list[npt.NDArray[Any]] = []

    def copy(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of ``array`` that is the caller's own."""
        if array.nbytes < _SMALL:
            return array.copy()
        lent = self.lend(array.shape, array.dtype)
        np.copyto(lent, array)
        return lent

    def lend(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array with any content, of the one shape and type of these buffers."""
        for place in range(len(self._made)):
            if _references(self._made, place) == _NOBODY:
                return self._made[place]
        array = np.empty(shape, dtype)
        if len(self._made) < _MOST:
            self._made.append(array)
        return array


def _references(arrays: list[npt.NDArray[Any]], place: int) -> int:
    return sys.getrefcount(arrays[place])


_NOBODY = _references([np.empty(0)], 0)
