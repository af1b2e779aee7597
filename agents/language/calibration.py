"""What the interest does to a pretrained model's attention before anything is trained.

The adjustment A_l(I) = 1 + U_l diag(s_l(I)) V_l^T of ``driftrec.agents.attention`` is set in
closed form, from one pass of the plain model over the items' texts, so that a query gains towards
the keys of texts like those that the user took:

    V_l     the mean query q of the layer over |q|^2, so that V_l^T q is about 1 for any query,
    P_r     the first R principal directions of the items' vectors,  s_r(I) = strength_l <P_r, I>,
    U_lr    the regression of the items' mean keys on their component r, less what it has in common
            with the keys of tokens without meaning ([CLS], [SEP], full stops),

scaled in each head so that the keys of an item gain one unit of log-odds from an interest that
is the item itself. ``strength`` is therefore in log-odds. I = 0 gives A_l = 1: the plain model.

With rotary positions dimensions that turn within a text are left alone: what a direction means
there depends on where the token stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from driftrec.simulators.streams import Floats

from ..attention import InterestAdjuster, of_every_head
from .backbones import Backbone
from .reading import Reader

_RIDGE = 0.1  # of the regression on components, in squared lengths of vectors
_LEAST_GAIN = 0.05  # log-odds: heads that hardly tell items apart are not blown up beyond this
_BATCH = 32


def calibrated_adjuster(
    reader: Reader,
    texts: Sequence[str],
    vectors: Floats,
    *,
    rank: int,
    strength: float,
    decay: float,
) -> InterestAdjuster:
    """The adjuster that follows from the items.

    Args:
        reader: of the model.
        texts: [N] of the items.
        vectors: [N, F] centred vectors of them, in the space of the interest.
        rank: R, at most F.
        strength: log-odds in the last layer.
        decay: how much of the strength each layer has of that above it.
    """
    backbone = reader.backbone
    layers, heads, size = backbone.shape
    means, plain = mean_states(reader, texts)
    query, key = means  # [N, L, H, D] each
    rank = min(rank, *vectors.shape)
    basis = np.linalg.svd(vectors, full_matrices=False)[2][:rank]
    component = torch.from_numpy(np.ascontiguousarray(vectors @ basis.T))  # [N, R]
    centred = (key - key.mean(0)).flatten(1)
    ridge = _RIDGE * torch.eye(rank)
    up = torch.linalg.solve(component.T @ component + ridge, component.T @ centred)
    left = up.view(rank, layers, heads, size).permute(1, 2, 3, 0)  # [L, H, D, R]
    right = query.mean(0)  # [L, H, D]
    empty = (plain - key.mean(0)).permute(1, 2, 3, 0)  # [L, H, D, 3]
    if backbone.rotary:
        slow = slow_dimensions(backbone, reader.max_tokens).to(left.dtype)
        left, right, empty = left * slow[:, None], right * slow, empty * slow[:, None]
    empty = torch.linalg.qr(empty).Q
    left = left - empty @ (empty.mT @ left)
    gain = torch.einsum("nr,lhdr,nlhd->nlh", component, left, key - key.mean(0))
    gain = gain.mean(0) / size**0.5
    left = left / gain.clamp_min(_LEAST_GAIN)[..., None, None]
    right = right / right.square().sum((1, 2), keepdim=True).clamp_min(1e-12)

    adjuster = InterestAdjuster(backbone.model.config, vectors.shape[1], rank, backbone.rotary)
    assert isinstance(adjuster.scale, nn.Linear)
    share = strength * decay ** torch.arange(layers - 1, -1, -1.0)
    with torch.no_grad():
        adjuster.left.copy_(left)
        adjuster.right.copy_(right[..., None].expand_as(left))
        weight = share[:, None, None] * torch.from_numpy(basis)  # [L, R, F]
        adjuster.scale.weight.copy_(weight.flatten(0, 1))
    return adjuster


@torch.inference_mode()
def mean_states(reader: Reader, texts: Sequence[str]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Mean query and key of each text's own tokens, and the keys of tokens without meaning.

    Returns:
        ([N, L, H, D], [N, L, H, D]) and [3, L, H, D]: the first token, the last, and the rest of
        what closes a text, each averaged over all texts.
    """
    layers, heads, size = reader.backbone.shape
    out = torch.zeros(2, len(texts), layers, heads, size)
    empty = torch.zeros(3, layers, heads, size)
    for start in range(0, len(texts), _BATCH):
        rows = slice(start, start + _BATCH)
        reading = reader.read([[text] for text in texts[rows]])
        spans = torch.tensor([row[0] for row in reading.spans])  # [b, 2]
        place = torch.arange(reading.mask.shape[1])
        # The full stop that closes a text is the last token of its span, where it has several.
        stop = torch.where(spans[:, 1] - spans[:, 0] > 1, spans[:, 1] - 1, -1)
        own = (place >= spans[:, :1]) & (place < spans[:, 1:]) & (place != stop[:, None])
        last = reading.mask.sum(1) - 1
        groups = (place == torch.zeros_like(last)[:, None], place == last[:, None])
        weights = [_shares(g) for g in (own, *groups, place == stop[:, None])]

        def observe(
            module: nn.Module,
            query: Tensor,
            key: Tensor,
            mask: Tensor | None,
            rows: slice = rows,
            weights: list[Tensor] = weights,
        ) -> None:
            layer = int(module.layer_idx)  # type: ignore[arg-type]
            key = of_every_head(key, heads)
            for part, state in zip(out, (query, key), strict=True):
                part[rows, layer] = torch.einsum("bt,bhtd->bhd", weights[0], state)
            for part, weight in zip(empty, weights[1:], strict=True):
                part[layer] += torch.einsum("bt,bhtd->hd", weight, key)

        reader.backbone.model(
            inputs_embeds=reading.embeddings, attention_mask=reading.mask, observe=observe
        )
    return (out[0], out[1]), empty / len(texts)


def _shares(chosen: Tensor) -> Tensor:
    """[b, T] equal weights that sum to 1 in each row; zeros in a row where nothing is chosen."""
    weight = chosen.float()
    return weight / weight.sum(1, keepdim=True).clamp_min(1)


def slow_dimensions(backbone: Backbone, span: int) -> Tensor:
    """[D] which dimensions of a head turn by less than a radian over ``span`` tokens."""
    (rotary,) = (m for n, m in backbone.model.named_modules() if n.endswith("rotary_emb"))
    frequency = rotary.inv_freq
    assert isinstance(frequency, Tensor)
    slow = torch.zeros(backbone.shape[2], dtype=torch.bool)
    half = backbone.shape[2] // 2
    slow[: len(frequency)] = frequency * span < 1
    slow[half : half + len(frequency)] = frequency * span < 1
    return slow
