"""Progress on stderr: a bar where someone watches, a line now and then where it is logged."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def bar(progress: bool | None, **options: Any) -> Any:
    """A tqdm bar: always (True), never (False), or on a terminal only (None)."""
    return tqdm(disable=None if progress is None else not progress, **options)


def note(progress: bool | None, text: str) -> None:
    """Print a line on stderr where a bar was wanted but there is no terminal to draw it on."""
    if progress is None and not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
