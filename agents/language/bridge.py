"""A language that the model cannot read, learnt from pairs of texts in both.

MiniLM's vocabulary holds next to no Chinese. Two linear maps are fitted on texts x with their
translations, from counts phi(x) of character n-grams to what the model makes of the translation,

    e(x) = phi(x) A + a,   the vector of the whole text, in which items are scored,
    s(x) = phi(x) B + b,   the mean of its input embeddings: one soft token that the model reads,

both by ridge regression (Hoerl & Kennard, 1970). So a Chinese title enters the pretrained model,
attention and all, as one token in its own input space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from driftrec.simulators import unit
from driftrec.simulators.streams import Floats

from .embeddings import TextEncoder


@dataclass(frozen=True)
class Bridge:
    """The two maps.

    Attributes:
        mean: [G] mean of the n-gram counts.
        vector: [G, F] A, and ``vector_mean`` [F] a.
        token: [G, E] B, and ``token_mean`` [E] b.
        norm: length of a soft token: that of the model's own on average.
    """

    mean: Floats
    vector: Floats
    vector_mean: Floats
    token: Floats
    token_mean: Floats
    norm: float

    @classmethod
    def fit(
        cls,
        encoder: TextEncoder,
        pairs: Sequence[tuple[str, str]],
        ridge: float = 0.3,
        size: int = 4096,
    ) -> Bridge:
        """From pairs of a text and its translation into what the encoder's model reads.

        Args:
            encoder: of the model.
            pairs: titles and dictionary entries alike.
            ridge: penalty, in squared lengths of phi, which has unit length.
            size: G, of the hash table of n-grams.

        Raises:
            ValueError: for fewer than two pairs.
        """
        if len(pairs) < 2:
            raise ValueError(f"pairs must be at least 2, got {len(pairs)}")
        foreign, known = zip(*pairs, strict=True)
        counts = ngrams(foreign, size)
        mean = counts.mean(0)
        counts = counts - mean
        vectors, tokens = encoder(known), mean_tokens(encoder, known)
        kernel = counts @ counts.T + ridge * np.eye(len(pairs), dtype=np.float32)

        def weights(target: Floats) -> Floats:
            return (counts.T @ np.linalg.solve(kernel, target - target.mean(0))).astype(np.float32)

        norm = encoder.backbone.embedding.weight.norm(dim=1).mean()
        return cls(
            mean,
            weights(vectors),
            vectors.mean(0),
            weights(tokens),
            tokens.mean(0),
            float(norm),
        )

    def vectors(self, texts: Sequence[str]) -> Floats:
        """[n, F] unit rows."""
        return unit(np.add(self._counts(texts) @ self.vector, self.vector_mean, dtype=np.float32))

    def tokens(self, texts: Sequence[str]) -> Floats:
        """[n, E] one soft token a text."""
        return unit(
            np.add(self._counts(texts) @ self.token, self.token_mean, dtype=np.float32)
        ) * np.float32(self.norm)

    def _counts(self, texts: Sequence[str]) -> Floats:
        return np.subtract(ngrams(texts, len(self.mean)), self.mean, dtype=np.float32)


def ngrams(texts: Sequence[str], size: int) -> Floats:
    """[n, size] counts of single characters and pairs, hashed, each row of unit length."""
    counts = np.zeros((len(texts), size), np.float32)
    for row, text in zip(counts, texts, strict=True):
        text = text.casefold()
        for gram in [*text, *map("".join, pairwise(text))]:
            digest = hashlib.blake2b(gram.encode(), digest_size=4).digest()
            row[int.from_bytes(digest, "little") % size] += 1
    return unit(counts)


@torch.inference_mode()
def mean_tokens(encoder: TextEncoder, texts: Sequence[str]) -> Floats:
    """[n, E] mean of the input embeddings of each text's tokens."""
    tokenizer, embedding = encoder.backbone.tokenizer, encoder.backbone.embedding
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return torch.stack([embedding(torch.tensor(row)).mean(0) for row in ids]).numpy()
