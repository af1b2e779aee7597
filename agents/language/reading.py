"""Histories and requests as the token embeddings that a language model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from driftrec.simulators.streams import Floats

from .bridge import Bridge
from .embeddings import TextEncoder

_EVENT_TOKENS = 32  # of one text in a history, the rest is not read
_LETTERS = 16 * _EVENT_TOKENS  # more than that many tokens ever have


@dataclass
class Reading:
    """B users' texts side by side.

    Attributes:
        embeddings: [B, T, E] what the model takes in.
        mask: [B, T] 1 where there is a token, 0 where a row is padded.
        tokens: [B] the tokens in words; a soft token is a whole text.
        spans: [B] where each text of a row lies, (first token, past the last one), the request's
            at the end; (0, 0) where it was left out for want of room.
    """

    embeddings: Tensor
    mask: Tensor
    tokens: list[list[str]]
    spans: list[list[tuple[int, int]]]


class Reader:
    """Turns texts into tokens, and those that the model has no tokens for into soft ones.

    Args:
        encoder: of the model.
        bridge: for texts in a language that the model cannot read.
        max_tokens: of one user; the oldest texts are left out where there are more.
    """

    def __init__(
        self, encoder: TextEncoder, bridge: Bridge | None = None, max_tokens: int = 256
    ) -> None:
        self.encoder, self.bridge, self.max_tokens = encoder, bridge, max_tokens
        self.backbone = encoder.backbone
        tokenizer = self.backbone.tokenizer
        self._stop = tokenizer(".", add_special_tokens=False)["input_ids"]
        self._first = _known(tokenizer.cls_token_id, tokenizer.bos_token_id)
        self._last = [] if self.backbone.causal else _known(tokenizer.sep_token_id)

    def readable(self, text: str) -> bool:
        """Whether the model has tokens for the text."""
        tokenizer = self.backbone.tokenizer
        ids = tokenizer(text[:_LETTERS], add_special_tokens=False)["input_ids"]
        return tokenizer.unk_token_id not in ids

    def vectors(self, texts: Sequence[str]) -> Floats:
        """[n, F] unit vectors of texts, whatever their language.

        Raises:
            ValueError: where the model cannot read one and there is no bridge.
        """
        out = np.empty((len(texts), self.encoder.width), np.float32)
        own = [self._by_model(text) for text in texts]
        for by_model in set(own):
            rows = [i for i, this in enumerate(own) if this is by_model]
            some = [texts[i][:_LETTERS] for i in rows]
            if by_model:
                out[rows] = self.encoder(some)
            elif self.bridge is not None:
                out[rows] = self.bridge.vectors(some)
        return out

    def read(self, texts: Sequence[Sequence[str]]) -> Reading:
        """The texts of B users, each row oldest first and the request at the end.

        Raises:
            ValueError: where the model cannot read a text and there is no bridge.
        """
        rows = [self._row(row) for row in texts]
        longest = max(len(names) for _, names, _ in rows)
        embeddings = torch.zeros(len(rows), longest, self.backbone.embedding.embedding_dim)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for i, (vectors, _, _) in enumerate(rows):
            embeddings[i, : len(vectors)] = vectors
            mask[i, : len(vectors)] = 1
        return Reading(embeddings, mask, [names for _, names, _ in rows], [s for *_, s in rows])

    def _row(self, texts: Sequence[str]) -> tuple[Tensor, list[str], list[tuple[int, int]]]:
        """Embeddings [T, E], tokens and spans of one user."""
        room = self.max_tokens - len(self._first) - len(self._last)
        parts: list[tuple[Tensor, list[str]]] = []
        for text in reversed(texts):
            part = self._part(text)
            room -= len(part[1])
            if room < 0 and parts:
                break
            parts.append(part)
        left_out = len(texts) - len(parts)
        vectors, names = self._embed(self._first)
        pieces, spans = [vectors], [(0, 0)] * left_out
        for vectors, words in reversed(parts):
            spans.append((len(names), len(names) + len(words)))
            pieces.append(vectors)
            names = names + words
        vectors, words = self._embed(self._last)
        return torch.cat((*pieces, vectors)), names + words, spans

    def _part(self, text: str) -> tuple[Tensor, list[str]]:
        """Embeddings [t, E] and tokens of one text, closed by a full stop where it has many."""
        if not self._by_model(text):
            assert self.bridge is not None
            return torch.from_numpy(self.bridge.tokens([text[:_LETTERS]])), [text]
        tokenizer = self.backbone.tokenizer
        ids = tokenizer(text[:_LETTERS], add_special_tokens=False)["input_ids"][:_EVENT_TOKENS]
        return self._embed([*ids, *self._stop])

    def _embed(self, ids: list[int]) -> tuple[Tensor, list[str]]:
        with torch.no_grad():
            vectors = self.backbone.embedding(torch.tensor(ids, dtype=torch.long))
        return vectors, self.backbone.tokenizer.convert_ids_to_tokens(ids)

    def _by_model(self, text: str) -> bool:
        if self.readable(text):
            return True
        if self.bridge is None:
            raise ValueError(
                f"text must be in the vocabulary of {self.backbone.name}, got {text[:40]!r}: give "
                "a bridge, or a multilingual model, for instance intfloat/multilingual-e5-small"
            )
        return False


def _known(*ids: int | None) -> list[int]:
    """The first id that there is."""
    return [i for i in ids if i is not None][:1]
