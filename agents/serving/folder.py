"""The exported folder: written whole or not at all, and checked when it is read.

    config.json        what it is, which release wrote it, sizes, and the name of the newest data
    data-<digest>/     model.safetensors, items.json, topics in model.safetensors, index.faiss

New data are written beside the old; ``config.json``, replaced in one step, says which are good.
A process that is killed on the way leaves the old ones named, and the next one clears up.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .items import Items
from .model import ServedModel, build, describe
from .retrieval import LARGE, SEARCHES, build_index, has_faiss, import_faiss

FORMAT, VERSION = "driftrec-recommender", 1
CONFIG, MODEL, ITEMS, INDEX = "config.json", "model.safetensors", "items.json", "index.faiss"
_TOPIC = "items.topic"  # the one tensor that is no weight


def save(model: ServedModel, folder: Path, search: str = "auto") -> None:
    """Writes ``model`` to ``folder``, in place of what was exported to it before.

    Args:
        model: what is shipped.
        folder: new, empty, or an export.
        search: "exact", "faiss", or "auto": faiss where it is installed and the catalogue is large.

    Raises:
        ValueError: for an unknown search, or a folder that holds other things.
    """
    if search not in SEARCHES:
        raise ValueError(f"search must be one of {', '.join(SEARCHES)}, got {search!r}")
    if search == "auto":
        search = "faiss" if len(model.items) >= LARGE and has_faiss() else "exact"
    _check_target(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        fresh = folder / ".data-new"
        shutil.rmtree(fresh, ignore_errors=True)  # of a killed process
        fresh.mkdir()
        _write_data(model, fresh, search)
        files = {path.name: _digest(path) for path in sorted(fresh.iterdir())}
        name = "data-" + hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
        if not (folder / name).exists():
            os.replace(fresh, folder / name)
        config = {
            "format": FORMAT,
            "version": VERSION,
            "driftrec": metadata.version("driftrec"),
            "data": name,
            "files": files,
            "network": describe(model.network),
            "slots": model.slots,
            "num_items": len(model.items),
            "search": search,
        }
        _write(fresh.with_suffix(".json"), json.dumps(config, indent=2) + "\n")
        os.replace(fresh.with_suffix(".json"), folder / CONFIG)
        _clear(folder, name)


def load(folder: Path) -> tuple[ServedModel, Any]:
    """What was exported: the model, and faiss's index or None where items are searched exactly.

    Raises:
        ValueError: saying what is wrong with the folder.
    """
    config = _read_config(folder)
    try:
        return _read_data(config, folder)
    except FileNotFoundError:  # another process may just have replaced the export
        config = _read_config(folder)
    try:
        return _read_data(config, folder)
    except FileNotFoundError as error:
        raise ValueError(f"folder {folder} is damaged: {error.filename} is missing") from None


# --- writing ----------------------------------------------------------------------------------


def _check_target(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"folder must be a folder, got the file {folder}")
    if not folder.exists():
        return
    foreign = [p.name for p in folder.iterdir() if not _ours(p.name)]
    if foreign:
        raise ValueError(f"folder must be new or hold an export, {folder} holds {foreign[0]!r}")


def _ours(name: str) -> bool:
    return name in (CONFIG, ".lock") or name.startswith(("data-", ".data-"))


def _write_data(model: ServedModel, folder: Path, search: str) -> None:
    items, network = model.items, model.network
    weights = {k: v.detach().contiguous() for k, v in network.state_dict().items()}
    save_file(weights | {_TOPIC: torch.as_tensor(items.topic)}, folder / MODEL)
    _write(folder / ITEMS, json.dumps(items.plain(), ensure_ascii=False))
    if search == "faiss":
        index = build_index(network.embedding, network.bias)
        import_faiss().write_index(index, str(folder / INDEX))
    for path in folder.iterdir():
        _sync(path)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _sync(path: Path) -> None:
    """Waits until a file lies on the disk: a rename may get there before what it names."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _clear(folder: Path, name: str) -> None:
    """Removes the data that are not named, old or left behind by a killed process."""
    for path in folder.iterdir():
        if path.name not in (name, CONFIG, ".lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- reading ----------------------------------------------------------------------------------


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"folder must hold an export, {folder} has no {CONFIG}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"folder {folder} is damaged: {CONFIG} holds no JSON ({error})") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"folder must hold an export, the {CONFIG} of {folder} is of another kind")
    if config.get("version") != VERSION:
        raise ValueError(
            f"folder {folder} is of format {config.get('version')}, this driftrec reads {VERSION}: "
            "export the run again, or install the driftrec that wrote it "
            f"({config.get('driftrec')})"
        )
    kinds = {"data": str, "files": dict, "network": dict, "slots": int, "search": str}
    for name, kind in kinds.items():
        if not isinstance(config.get(name), kind):
            raise ValueError(f"folder {folder} is damaged: {CONFIG} has no {name!r}")
    if Path(config["data"]).name != config["data"] or not config["data"].startswith("data-"):
        raise ValueError(f"folder {folder} is damaged: {CONFIG} names the data {config['data']!r}")
    return config


def _read_data(config: Mapping[str, Any], folder: Path) -> tuple[ServedModel, Any]:
    data = folder / config["data"]
    for name in {MODEL, ITEMS} | set(config["files"]):
        if _digest(data / name) != config["files"].get(name):
            raise ValueError(f"folder {folder} is damaged: {name} is not what was written")
    try:
        weights = load_file(data / MODEL)
        texts = json.loads((data / ITEMS).read_text(encoding="utf-8"))
        items = Items(
            topic=weights.pop(_TOPIC).numpy().astype(np.int32),
            **{name: tuple(part) for name, part in texts.items()},
        )
        network = build(config["network"], weights)
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"folder {folder} is damaged: {error}") from None
    index = None
    if config["search"] == "faiss":
        index = import_faiss().read_index(str(data / INDEX))
    return ServedModel(network, config["slots"], items), index


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
