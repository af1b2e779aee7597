"""Pretrained language models by name, hub name or folder, with the interest in their attention."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    get_constant_schedule_with_warmup,
)

from ..attention import NAME, check_adjustable, query_shape
from ..cache import cache_folder
from .pinned import PINNED, pinned_folder, quiet

Places = str | tuple[tuple[str, str | int], ...] | None  # a device map that can be a key


@dataclass(frozen=True, eq=False)
class Backbone:
    """A language model and its tokenizer.

    Attributes:
        name: what it was asked for by.
        model: its transformer, without a head; ``interest=`` reaches every layer's attention.
        tokenizer: of transformers, fast.
        rotary: whether positions are rotary.
        causal: whether a token sees only those before it.
    """

    name: str
    model: PreTrainedModel
    tokenizer: Any
    rotary: bool
    causal: bool

    @classmethod
    def of(cls, name: str, model: PreTrainedModel, tokenizer: Any) -> Backbone:
        """From a model that was loaded with the attention ``driftrec.agents.attention.NAME``.

        Raises:
            ValueError: where the interest does not reach its attention.
        """
        check_adjustable(model)
        modules = list(model.named_modules())
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(
            name,
            model.eval(),
            tokenizer,
            rotary=any(path.rpartition(".")[2] == "rotary_emb" for path, _ in modules),
            causal=any(
                getattr(module, "is_causal", False) is True
                for _, module in modules
                if hasattr(module, "layer_idx")
            ),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers L, heads H and the dimensions D of a head."""
        return query_shape(self.model.config)

    @property
    def width(self) -> int:
        """Of a hidden state."""
        return int(self.model.config.hidden_size)

    @property
    def embedding(self) -> nn.Embedding:
        """Of the tokens."""
        embedding = self.model.get_input_embeddings()
        assert isinstance(embedding, nn.Embedding)
        return embedding


def load_backbone(
    model: str = "minilm",
    *,
    finetune: bool = False,
    lora: int = 0,
    causal: bool = False,
    device_map: str | Mapping[str, str | int] | None = None,
    cache: Path | None = None,
) -> Backbone:
    """A pretrained model, frozen unless asked.

    A frozen one is loaded once and shared by all who ask for it.

    Args:
        model: ``minilm``, ``smollm2`` (see ``PINNED``), a folder that ``save_pretrained`` wrote, or
            a name on the model hub, for instance a multilingual one
            (``intfloat/multilingual-e5-small``).
        finetune: whether all weights are to be trained.
        lora: rank of LoRA adapters on every linear layer, trained while the rest stays frozen; 0:
            none. Needs peft.
        causal: whether a token must not see those after it: an encoder is made a decoder, as BERT
            can be.
        device_map: where the layers lie, as transformers' ``from_pretrained`` takes it: "auto"
            spreads a model that is larger than one device over all there are; a mapping says it
            layer by layer, "disk" being read when needed. Needs accelerate; None: all on the CPU.
        cache: where converted weights are kept, and those that lie on the disk.

    Raises:
        ValueError: where there is no such model, its family has no attention interface or cannot
            read causally, or options contradict each other.
    """
    if lora < 0 or (lora and finetune):
        raise ValueError(
            f"lora must be at least 0, and 0 with finetune, got lora={lora}, finetune={finetune}"
        )
    if device_map is not None and importlib.util.find_spec("accelerate") is None:
        raise ValueError(
            "device_map needs the package accelerate: pip install 'driftrec[language]', "
            f"got {device_map!r}"
        )
    places = tuple(device_map.items()) if isinstance(device_map, Mapping) else device_map
    if not (finetune or lora):
        return _frozen(model, causal, places, cache)
    backbone = _load(model, causal, places, cache)
    if lora:
        if importlib.util.find_spec("peft") is None:
            raise ValueError("lora needs the package peft: pip install 'driftrec[language]'")
        from peft import LoraConfig, inject_adapter_in_model

        adapters = LoraConfig(r=lora, lora_alpha=2 * lora, target_modules="all-linear")
        inject_adapter_in_model(adapters, backbone.model)
    else:
        backbone.model.requires_grad_(True)
    return backbone


@lru_cache(maxsize=2)
def _frozen(model: str, causal: bool, places: Places, cache: Path | None) -> Backbone:
    return _load(model, causal, places, cache)


def _load(name: str, causal: bool, places: Places, cache: Path | None) -> Backbone:
    pinned = name in PINNED
    source = str(pinned_folder(name, cache)) if pinned else name
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=pinned)
            config = AutoConfig.from_pretrained(source, local_files_only=pinned)
            if causal and hasattr(config, "is_decoder"):
                config.is_decoder = True
            model = AutoModel.from_pretrained(
                source,
                config=config,
                attn_implementation=NAME,
                dtype=torch.float32,
                device_map=dict(places) if isinstance(places, tuple) else places,
                offload_folder=None if places is None else str((cache or cache_folder()) / "parts"),
                local_files_only=pinned,
            )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"model must be one of {', '.join(PINNED)}, a folder with a saved model, or a name on "
            f"the model hub, got {name!r}, which cannot be loaded: {reason}"
        ) from error
    except ValueError as error:
        if "attn" not in str(error) and "attention" not in str(error):
            raise
        raise ValueError(
            f"model must be of a family with transformers' attention interface, got {name!r}: "
            f"{' '.join(str(error).split())}"
        ) from error
    backbone = Backbone.of(name, model.requires_grad_(False), tokenizer)
    if causal and not backbone.causal:
        raise ValueError(f"model must be able to read causally, got {name!r}: bert and llama can")
    return backbone


def fine_tuning(
    parameters: Iterable[nn.Parameter] | Iterable[Tensor],
    steps: int,
    rate: float = 1e-5,
    warm_up: float = 0.1,
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """An optimizer for pretrained weights: a small rate, reached slowly, lest they be spoilt.

    Args:
        parameters: of the model; those that are frozen are left out.
        steps: how many will be done.
        rate: learning rate after the warm-up.
        warm_up: share of the steps over which the rate rises from 0.
    """
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise ValueError("parameters must hold one that is trained, got frozen ones alone")
    optimizer = torch.optim.AdamW(trained, lr=rate)
    return optimizer, get_constant_schedule_with_warmup(optimizer, int(warm_up * steps))
