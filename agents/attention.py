"""Interest-conditioned attention A_l(I): one function for every model family of transformers.

In layer l the query is adjusted by the user's interest I before it meets the keys,

    softmax((q A_l(I)) k^T / sqrt(d)) v,   A_l(I) = 1 + diag(g_l(I)) + U_l diag(s_l(I)) V_l^T,

and A_l = 1 where nothing is adjusted, so an untouched pretrained model is reproduced. Keys and
values do not depend on I: they stay in the cache when the interest changes.

Registered through transformers' attention interface, together with a mask function of the same
name: without one transformers passes no mask at all, and says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "driftrec_interest"
Observer = Callable[[nn.Module, Tensor, Tensor, Tensor | None], None]


@dataclass
class Adjustment:
    """A_l(I) of every layer, for B users at T requests.

    Attributes:
        gain: [B, T, L, H, D] g_l, of L layers, H heads of D dimensions.
        scale: [B, T, L, R] s_l, or None where A_l is diagonal.
        left: [L, H, D, R] U_l.
        right: [L, H, D, R] V_l.
        calls: how many layers have used it: a family that swallows it unused is found out.
    """

    gain: Tensor
    scale: Tensor | None
    left: Tensor
    right: Tensor
    calls: int = 0

    def adjust(self, query: Tensor, layer: int) -> Tensor:
        """Query [B, H, T, D] of one layer times A_l."""
        self.calls += 1
        adjusted = query * (1 + self.gain[:, :, layer].transpose(1, 2))
        if self.scale is not None:
            along = torch.einsum("bhtd,hdr->btr", query, self.right[layer])
            along = along * self.scale[:, :, layer]
            adjusted = adjusted + torch.einsum("btr,hdr->bhtd", along, self.left[layer])
        return adjusted


def interest_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    interest: Adjustment | None = None,
    observe: Observer | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention of [B, H, T, D] with the query adjusted by ``interest``.

    ``observe`` sees the query, adjusted, the key and the mask of every layer.
    """
    if interest is not None:
        layer = getattr(module, "layer_idx", None)
        if not isinstance(layer, int):
            raise ValueError(
                f"{type(module).__name__} does not say which layer it is in (layer_idx): the "
                "interest adjusts each layer in its own way"
            )
        query = interest.adjust(query, layer)
    if observe is not None:
        observe(module, query, key, attention_mask)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(NAME, interest_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def query_shape(config: PretrainedConfig) -> tuple[int, int, int]:
    """Layers L, heads H and the dimensions D of a head."""
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return config.num_hidden_layers, heads, size


def make_backbone(config: PretrainedConfig) -> PreTrainedModel:
    """A transformer of random weights whose every layer lets the interest into its attention.

    Raises:
        ValueError: for a family that does not, see ``check_adjustable``.
    """
    model = AutoModel.from_config(config, attn_implementation=NAME)
    check_adjustable(model)
    return model


def check_adjustable(model: PreTrainedModel) -> None:
    """Refuses a model that swallows the interest: some families do, and say nothing.

    Runs it on three tokens, with A_l = 2 and without, and draws no random number.

    Raises:
        ValueError: naming the family, what was seen and what works.
    """
    layers, heads, size = query_shape(model.config)
    embedding, training = model.get_input_embeddings(), model.training
    assert isinstance(embedding, nn.Embedding)
    width = embedding.embedding_dim
    tokens = torch.linspace(-1, 1, 3 * width).cos().view(1, 3, width)
    unused = torch.zeros(layers, heads, size, 0)
    double = Adjustment(torch.ones(1, 3, layers, heads, size), None, unused, unused)
    model.eval()  # dropout would draw, and differ between the runs
    with torch.no_grad():
        plain, adjusted = (
            model(inputs_embeds=tokens, interest=interest).last_hidden_state
            for interest in (None, double)
        )
    model.train(training)
    if double.calls != layers or torch.equal(plain, adjusted):
        raise ValueError(
            "config must be of a family that passes the interest to its attention, got "
            f"{model.config.model_type!r}: it reached {double.calls} of {layers} layers and the "
            f"output {'stayed as it was' if torch.equal(plain, adjusted) else 'moved'}; "
            "bert, gpt2, llama, qwen2 and others of transformers' attention interface do"
        )


class InterestAdjuster(nn.Module):
    """From interest vectors I [B, T, W] to the adjustment of every layer.

    Zero at initialisation. With rotary positions the two halves of a head share their gain: then
    the adjustment commutes with the rotation, and scores still depend on distances alone. The
    low-rank part mixes dimensions that rotate at different speeds, so it is meant for families
    without rotation.

    Args:
        config: of the model whose attention is adjusted.
        width: W.
        rank: R of the low-rank part; 0 leaves the diagonal alone.
        rotary: whether positions are rotary.
    """

    def __init__(self, config: PretrainedConfig, width: int, rank: int, rotary: bool) -> None:
        super().__init__()
        layers, heads, size = query_shape(config)
        self.shape = (layers, heads, size // 2 if rotary else size)
        self.rotary, self.rank = rotary, rank
        self.gain = nn.Linear(width, self.shape[0] * self.shape[1] * self.shape[2])
        self.scale = nn.Linear(width, layers * rank) if rank else None
        for head in (self.gain, self.scale):
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)
        self.left = nn.Parameter(torch.randn(layers, heads, size, rank) / size**0.5)
        self.right = nn.Parameter(torch.randn(layers, heads, size, rank) / size**0.5)

    def forward(self, interest: Tensor) -> Adjustment:
        """[B, T, W] -> the adjustment of every layer at every request."""
        batch, steps = interest.shape[:2]
        gain = torch.tanh(self.gain(interest)).view(batch, steps, *self.shape)
        if self.rotary:
            gain = torch.cat((gain, gain), dim=-1)
        scale = None
        if self.scale is not None:
            scale = self.scale(interest).view(batch, steps, self.shape[0], self.rank)
        return Adjustment(gain, scale, self.left, self.right)


def of_every_head(key: Tensor, heads: int) -> Tensor:
    """[B, H, T, D] the keys [B, G, T, D] that each of H heads reads; G groups of heads share them.

    Source: Ainslie et al. (2023), "GQA: training generalized multi-query transformer models".
    """
    return key.repeat_interleave(heads // key.shape[1], 1)
