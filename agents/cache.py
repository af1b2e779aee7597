"""The user's cache folder, and files in it that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def cache_folder() -> Path:
    """``$DRIFTREC_CACHE``, or ``driftrec`` in the user's cache folder."""
    own = os.environ.get("DRIFTREC_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(root) / "driftrec"


def write_whole(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Lets ``fill`` write a file beside its place and renames it; any number may write at once.

    Raises:
        OSError: where the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
