"""The interest-conditioned attention: a causal transformer that the interest adjusts."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, PreTrainedModel

from .attention import Adjustment, InterestAdjuster, make_backbone
from .network import Network, NetworkConfig
from .optimizer import gentle_group
from .pretrained import PretrainedBody


@dataclass(frozen=True)
class AttentionConfig(NetworkConfig):
    """Shape of the transformer.

    Attributes:
        layers: of the transformer.
        heads: of each layer.
        rank: R of the low-rank part of A_l.
        conditioned: whether the interest adjusts attention; False is the ablation.
        backbone: a pretrained language model in place of the small transformer, as
            ``load_backbone`` takes it (``minilm``, ``smollm2``, a folder, a hub name); "" for none.
        finetune: whether its own weights are trained, at ``finetune_rate``.
        finetune_rate: their learning rate, reached over the first ``finetune_warmup`` updates.
        finetune_warmup: updates.
        lora: rank of adapters that are trained in their place; 0: none.
        device_map: where its layers lie, for models larger than one device: see ``load_backbone``.

    Raises:
        ValueError: where one of the last five is set without a backbone, or out of range.
    """

    layers: int = 2
    heads: int = 4
    rank: int = 0
    conditioned: bool = True
    backbone: str = ""
    finetune: bool = False
    finetune_rate: float = 1e-5
    finetune_warmup: int = 50
    lora: int = 0
    device_map: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("finetune", "lora", "device_map"):
            if getattr(self, name) and not self.backbone:
                raise ValueError(
                    f"{name} must be left alone without a backbone, got {getattr(self, name)!r}"
                )
        if self.finetune and self.finetune_rate <= 0:
            raise ValueError(f"finetune_rate must be above 0, got {self.finetune_rate}")
        if self.finetune and self.finetune_warmup < 1:
            raise ValueError(f"finetune_warmup must be at least 1, got {self.finetune_warmup}")


@dataclass
class Cache:
    """Keys and values of the slates read so far.

    Attributes:
        layers: transformers' own cache.
        mask: [B, T] which of them are the user's own.
    """

    layers: Any
    mask: Tensor

    def __setitem__(self, rows: Tensor, other: Cache) -> None:
        """Overwrites users; their slates, fewer perhaps, go to the end."""
        length = other.mask.shape[1]
        self.mask[rows] = False
        self.mask[rows, -length:] = True
        for mine, theirs in zip(self.layers.layers, other.layers.layers, strict=True):
            mine.keys[rows, :, -length:] = theirs.keys
            mine.values[rows, :, -length:] = theirs.values

    def branch(self) -> Cache:
        """A cache that can be read on from while this one stays as it is.

        Layers grow by making new tensors, so the tensors themselves are shared.
        """
        layers = copy(self.layers)
        layers.layers = [copy(layer) for layer in self.layers.layers]
        return Cache(layers, self.mask)


class InterestNetwork(Network):
    """h_t = transformer(token_1..t | A_l(I_t)), see ``driftrec.agents.attention``."""

    Config: ClassVar[type[NetworkConfig]] = AttentionConfig
    longest = 2048.0
    config: AttentionConfig

    def build(self) -> None:
        """The transformer, and what makes adjustments out of the interest."""
        config = self.config
        self.backbone: Any = self._pretrained() if config.backbone else self._small()
        rotary = not isinstance(self.backbone, PretrainedBody) or self.backbone.rotary
        self.reading = nn.Sequential(nn.Linear(self.interest.width, config.hidden), nn.SiLU())
        self.adjuster = InterestAdjuster(
            self.backbone.config, config.hidden, config.rank, rotary=rotary
        )

    def _small(self) -> PreTrainedModel:
        config = self.config
        return make_backbone(
            LlamaConfig(
                vocab_size=1,
                hidden_size=config.hidden,
                intermediate_size=2 * config.hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                max_position_embeddings=4096,
                bos_token_id=None,
                eos_token_id=None,
            )
        )

    def _pretrained(self) -> PretrainedBody:
        own = self.config
        body = PretrainedBody(own.backbone, own.hidden, own.finetune, own.lora, own.device_map)
        self.longest = min(type(self).longest, body.longest)
        return body

    def gentle(self) -> dict[str, Any] | None:
        """The pretrained weights that are trained, and their rate."""
        if not isinstance(self.backbone, PretrainedBody) or not self.backbone.gentle():
            return None
        rate, warm_up = self.config.finetune_rate, self.config.finetune_warmup
        return gentle_group(self.backbone.gentle(), rate, warm_up)

    def adjustment(self, context: Tensor) -> Adjustment | None:
        """A_l of every layer for contexts [B, T, W]; None where attention is not conditioned."""
        return self.adjuster(self.reading(context)) if self.config.conditioned else None

    def mix_whole(self, token: Tensor, context: Tensor) -> Tensor:
        """One causal pass; no key is kept."""
        adjust = self.adjustment(context)
        hidden = self.backbone(inputs_embeds=token, interest=adjust, use_cache=False)
        return hidden.last_hidden_state

    def mix(
        self, token: Tensor, context: Tensor, carry: Cache | None = None, place: int = 0
    ) -> tuple[Tensor, Cache]:
        """Reads the tokens after those in the cache."""
        mask = torch.ones(token.shape[:2], dtype=torch.bool)
        position = None
        if carry is None:
            position = torch.arange(place, place + token.shape[1])[None]
        else:
            mask = torch.cat((carry.mask, mask), 1)
        hidden = self.backbone(
            inputs_embeds=token,
            attention_mask=None if mask.all() else mask,
            position_ids=position,
            cache=None if carry is None else carry.layers,
            interest=self.adjustment(context),
            use_cache=True,
        )
        return hidden.last_hidden_state, Cache(hidden.cache, mask)
