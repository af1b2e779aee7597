"""A pretrained language model as the body of a user model: it reads slates in place of words."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

KEPT = {"finetune": "", "lora": "lora_"}  # names of the weights that a run keeps beside the package


class PretrainedBody(nn.Module):
    """h_t = token_t + W_out LayerNorm(model(W_in token_1..t | A_l(I_t))).

    Takes the place of the small transformer in ``driftrec.agents.transformer``: tokens of the
    episode enter a language model as word embeddings do, at their length, and its every layer's
    attention is adjusted by the interest. W_out is small at the start, so the network begins as
    what it is without a language model, and learns what to take from one.

    A frozen model is not written into checkpoints and exports: it is loaded by its name again.

    Args:
        name: as ``load_backbone`` takes it.
        hidden: width of the tokens.
        finetune: whether the model's own weights are trained.
        lora: rank of adapters that are trained in their place; 0: none.
        device_map: where the model's layers lie, see ``load_backbone``.

    Raises:
        ValueError: for an unknown model, or one that cannot read causally.
    """

    def __init__(
        self, name: str, hidden: int, finetune: bool, lora: int, device_map: str | None
    ) -> None:
        super().__init__()
        from .language import load_backbone

        loaded = load_backbone(
            name, finetune=finetune, lora=lora, causal=True, device_map=device_map
        )
        self.model, self.rotary = loaded.model, loaded.rotary
        self.kept = KEPT["finetune"] if finetune else KEPT["lora"] if lora else None
        weight = loaded.embedding.weight.detach()
        self.length = float(weight[: min(len(weight), 4096)].norm(dim=1).mean())
        self.enter = nn.Linear(hidden, weight.shape[1])
        self.norm = nn.LayerNorm(loaded.width)
        self.leave = nn.Linear(loaded.width, hidden)
        nn.init.normal_(self.leave.weight, std=0.1 / loaded.width**0.5)
        self.register_state_dict_post_hook(_forget_frozen)
        self.register_load_state_dict_pre_hook(_remember_frozen)

    @property
    def config(self) -> Any:
        """Of the language model."""
        return self.model.config

    @property
    def longest(self) -> int:
        """Tokens that it can read."""
        return int(self.config.max_position_embeddings)

    def gentle(self) -> list[nn.Parameter]:
        """Pretrained weights that are trained on; adapters are new, and learn as all else does."""
        return [p for p in self.model.parameters() if p.requires_grad] if self.kept == "" else []

    def train(self, mode: bool = True) -> PretrainedBody:
        """As any module's, but without dropout: what learns must be what has played."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, inputs_embeds: Tensor, **reading: Any) -> Any:
        """As a model of transformers, of tokens [B, T, hidden]; ``interest`` included."""
        token = nn.functional.normalize(self.enter(inputs_embeds), dim=-1) * self.length
        read = self.model(inputs_embeds=token, **reading)
        state = read.last_hidden_state.to(inputs_embeds.device)
        read.last_hidden_state = inputs_embeds + self.leave(self.norm(state))
        return read


def _is_frozen(body: nn.Module, name: str) -> bool:
    kept = body.kept
    return kept is None or str(kept) not in name


def _forget_frozen(body: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name in [n for n in state if n.startswith(f"{prefix}model.") and _is_frozen(body, n)]:
        del state[name]


def _remember_frozen(body: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """What a file does not hold is as it was loaded: a frozen run may be trained on unfrozen."""
    model = body.model
    assert isinstance(model, nn.Module)
    for name, part in model.state_dict().items():
        full = f"{prefix}model.{name}"
        if full in state and _is_frozen(body, full):  # others share it
            raise ValueError(f"weights of a frozen language model must not be loaded, got {full}")
        state.setdefault(full, part)
