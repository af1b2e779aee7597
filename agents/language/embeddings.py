"""Text to vectors by a pretrained model, in batches, computed once and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from driftrec.simulators import Catalog
from driftrec.simulators.streams import Floats

from ..cache import write_whole
from .backbones import Backbone

_SHARE_NAMED = 0.1  # of a topic in an item, from which on the item's text names it


def item_text(title: str, description: str = "", categories: Sequence[str] = ()) -> str:
    """What the model reads of one item: title, categories and description."""
    parts = (title, ", ".join(categories), description)
    return ". ".join(part.strip().rstrip(".。") for part in parts if part.strip())


def check_text(name: str, text: Any, empty: bool = False) -> None:
    """Refuses what no model can read: what is no string, or half of a character (a surrogate).

    Raises:
        ValueError: naming the argument, what came and what was expected.
    """
    if not isinstance(text, str) or not (empty or text.strip()):
        kind = "a string" if empty else "a string with something in it"
        raise ValueError(f"{name} must be {kind}, got {text!r:.60}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        part = text[error.start : error.start + 20]
        raise ValueError(f"{name} must be Unicode throughout, got {part!a}") from None


def catalog_texts(catalog: Catalog) -> list[str]:
    """[N] the texts of all items of a catalogue."""
    named = catalog.topics >= _SHARE_NAMED
    return [
        item_text(title, description, [catalog.topic_names[c] for c in np.flatnonzero(row)])
        for title, description, row in zip(catalog.title, catalog.description, named, strict=True)
    ]


class TextEncoder:
    """Unit vectors of texts: the mean of the last hidden states of their tokens.

    Args:
        backbone: which model.
        max_tokens: of a text; what comes after is not read.
        batch_size: texts in one pass; they are sorted by length, so little is padded.
        cache: folder in which vectors are kept by the content of model and text; None keeps none.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        max_tokens: int = 128,
        batch_size: int = 32,
        cache: Path | None = None,
    ) -> None:
        for name, value in (("max_tokens", max_tokens), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.backbone, self.max_tokens, self.batch_size = backbone, max_tokens, batch_size
        self.cache = None
        if cache is not None:
            self.cache = VectorCache(cache / f"{fingerprint(backbone)}-{max_tokens}")

    @property
    def width(self) -> int:
        """F, length of a vector."""
        return self.backbone.width

    def __call__(self, texts: Sequence[str]) -> Floats:
        """[n, F] unit rows, in the order of ``texts``.

        Raises:
            ValueError: where a text is no string.
        """
        for text in texts:
            check_text("texts", text, empty=True)
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        known = {} if self.cache is None else self.cache.read(set(keys))
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
        if missing:
            vectors = self._encode(list(missing.values()))
            new = dict(zip(missing, vectors, strict=True))
            known |= new
            if self.cache is not None:
                self.cache.write(new)
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, self.width), "f4")

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> Floats:
        out = np.empty((len(texts), self.width), np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = self.backbone.tokenizer(
                # A token rarely has more than a dozen letters: what is cut unread costs no time.
                [texts[i][: 16 * self.max_tokens] or " " for i in rows],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            mask = batch["attention_mask"]
            hidden = self.backbone.model(
                input_ids=batch["input_ids"], attention_mask=mask
            ).last_hidden_state
            weight = mask[..., None].to(hidden.dtype)
            pooled = (hidden * weight).sum(1) / weight.sum(1).clamp_min(1)
            out[rows] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return out


def fingerprint(backbone: Backbone) -> str:
    """Of the weights and the tokenizer: another model, or one that was trained on, has another."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(backbone.model.state_dict().items()):
        digest.update(name.encode())
        if tensor.is_meta:  # not in memory, see ``device_map``: known by where it came from
            digest.update(f"{backbone.name}{tuple(tensor.shape)}".encode())
            continue
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    tokenizer = json.loads(backbone.tokenizer.backend_tokenizer.to_str())
    # What the last call padded and cut is kept there too, and says nothing of the next.
    lasting = {k: v for k, v in tokenizer.items() if k not in ("padding", "truncation")}
    digest.update(json.dumps(lasting, sort_keys=True).encode())
    return digest.hexdigest()


class VectorCache:
    """Vectors by 32-byte keys, in files that are written once and never changed.

    A file is named by the keys in it, written beside its place and renamed, so any number of
    processes may write at once: they add files, and the same keys give the same file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: set[str] = set()
        self._vectors: dict[bytes, Floats] = {}

    def read(self, keys: set[bytes]) -> dict[bytes, Floats]:
        """Those of ``keys`` that are known. A file that is damaged counts as absent."""
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            try:
                with np.load(path) as file:
                    stored = [bytes(row) for row in file["keys"]]
                    self._vectors |= dict(zip(stored, file["vectors"], strict=True))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                continue
        return {key: self._vectors[key] for key in keys if key in self._vectors}

    def write(self, vectors: dict[bytes, Floats]) -> None:
        """Adds a file; where that cannot be, the vectors are known to this process alone."""
        keys = sorted(vectors)
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32] + ".npz"
        rows = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
        stacked = np.stack([vectors[key] for key in keys])
        self._vectors |= vectors
        self._seen.add(name)
        with contextlib.suppress(OSError):
            write_whole(self.folder / name, lambda file: np.savez(file, keys=rows, vectors=stacked))
