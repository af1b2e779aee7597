"""Result files that are either whole or absent: write beside the target, then rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import UserError

FREE_BYTES_WANTED = 64 * 2**20


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it into place.

    Args:
        path: the file that appears, whole, or stays as it was.
        write: gets the temporary path, which keeps the suffix of ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def own_folders(paths: Sequence[Path], out: Path) -> list[Path]:
    """A folder below ``out`` for each of ``paths``: by its name, numbered where that is not one's.

    Of a single path it is ``out`` itself.
    """
    if len(paths) == 1:
        return [out]
    names = [path.resolve().name for path in paths]
    return [
        out / (name if names.count(name) == 1 else f"{name}-{names[:k].count(name) + 1}")
        for k, name in enumerate(names)
    ]


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in UTF-8, whole or not at all."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path`` as JSON that a person can read."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: where the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must hold JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def check_writable(folder: Path) -> None:
    """Create ``folder`` and make sure that results can be written to it.

    Raises:
        UserError: where it cannot be created or written, or the disk is (nearly) full.
    """
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(f"the disk under {folder} is full") from None
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from None
    finally:
        _remove_quietly(probe)
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_WANTED:
        raise UserError(
            f"the disk under {folder} is full: {free / 2**20:.0f} MiB free, "
            f"at least {FREE_BYTES_WANTED / 2**20:.0f} MiB wanted"
        )


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
