"""Whether the weights of a network that is built now are to stay, or saved ones follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_FOLLOW = ContextVar("_FOLLOW", default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """In this block no network works out where it would begin: saved weights overwrite all of it.

    As many random numbers are drawn as for one that is to learn, so nothing after it changes.
    """
    before = _FOLLOW.set(True)
    try:
        yield
    finally:
        _FOLLOW.reset(before)


def follows() -> bool:
    """Whether this is such a block."""
    return _FOLLOW.get()
