"""Every layer's attention in numbers: softmax(q k^T / sqrt(d)) before and after the adjustment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from driftrec.simulators.streams import Floats

from ..attention import of_every_head
from .reading import Reading
from .recommender import TextRecommender


@dataclass(frozen=True)
class LayerAttention:
    """One layer's attention, for one user.

    Attributes:
        layer: counted from 0.
        before: [H, T, T] of the plain model; rows sum to 1.
        after: [H, T, T] with the query adjusted by the interest, in all layers below as well.
        tokens: [T] in words.
        spans: first token of each text and that past its last, the request's at the end.
    """

    layer: int
    before: Floats
    after: Floats
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    def on_texts(self, after: bool = True) -> Floats:
        """[n] share of the attention that each text gets, over all heads and tokens."""
        share = (self.after if after else self.before).mean((0, 1))
        return np.array([share[a:b].sum() for a, b in self.spans], np.float32)


class _Recorder:
    """Sees every layer's query and key, and keeps what the attention comes to."""

    def __init__(self, heads: int) -> None:
        self.heads = heads
        self.maps: list[Tensor] = []

    def __call__(self, module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None) -> None:
        key = of_every_head(key, self.heads)
        scaling = getattr(module, "scaling", None) or query.shape[-1] ** -0.5
        logits = query @ key.mT * scaling
        if mask is not None:
            refused = ~mask if mask.dtype == torch.bool else mask < 0
            logits = logits.masked_fill(refused, float("-inf"))
        elif getattr(module, "is_causal", False):
            ahead = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
            logits = logits.masked_fill(ahead, float("-inf"))
        self.maps.append(logits.softmax(-1))


@torch.inference_mode()
def attention_maps(
    recommender: TextRecommender, reading: Reading, interest: Tensor
) -> list[LayerAttention]:
    """The attention of every layer over one user's reading, plain and adjusted.

    Args:
        recommender: whose model it is.
        reading: of one user (B = 1).
        interest: [1, F].
    """
    backbone = recommender.reader.backbone
    both = []
    for adjust in (None, recommender.adjustment(interest)):
        recorder = _Recorder(backbone.shape[1])
        backbone.model(
            inputs_embeds=reading.embeddings,
            attention_mask=reading.mask,
            interest=adjust,
            observe=recorder,
        )
        both.append([layer[0].numpy() for layer in recorder.maps])
    return [
        LayerAttention(i, before, after, tuple(reading.tokens[0]), tuple(reading.spans[0]))
        for i, (before, after) in enumerate(zip(*both, strict=True))
    ]
