"""The static ablation: attention that has read the warm-up, and reads nothing after it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .output import Output
from .reading import Memory
from .transformer import InterestNetwork


class StaticAttentionNetwork(InterestNetwork):
    """``InterestNetwork`` whose interest and history are frozen when the episode starts.

    Slates and feedback up to the first decision are the warm-up. Every later request, its words and
    its time, is a token without a slate: it attends to the warm-up and to itself, at the place
    that comes after the warm-up, with the interest and the memories of then. Neither later
    feedback nor later requests leave a trace.

    A policy that is shown windows of history instead of episodes (Stable-Baselines3's own
    algorithms) takes each window for a warm-up: there it is not static.
    """

    adaptive: ClassVar[bool] = False

    def forward(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        last: int | None = None,
    ) -> Output:
        """As any network's; the first of the ``last`` requests is the first decision."""
        steps = slates.shape[1]
        last = steps if last is None else last
        warm = steps - last + 1
        *begun, evidence = self.digest(
            slates[:, :warm], feedback[:, :warm], request[:, :warm], time[:, :warm]
        )
        known = Memory(begun[1][:, -1], self.interest.beliefs(begun[2])[:, -1], None, warm)
        later = self._without_slate(known, request[:, warm:], time[:, warm:])
        token, memories, context = (torch.cat(pair, 1) for pair in zip(begun, later, strict=True))
        place = torch.arange(steps)
        seen = (place[:, None] >= place) & ((place < warm) | (place[:, None] == place))
        hidden = self.backbone(
            inputs_embeds=token,
            attention_mask=seen[None, None],  # [1, 1, T, T]
            position_ids=place.clamp_max(warm)[None],
            interest=self.adjustment(context),
            use_cache=False,
        ).last_hidden_state
        output = self.read_out(hidden[:, -last:], memories[:, -last:], context[:, -last:])
        output.evidence = evidence
        return output

    def step(
        self, memory: Memory, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor
    ) -> tuple[Output, Memory]:
        """One more request; what was shown and how it was received is not looked at."""
        token, memories, context = self._without_slate(memory, request, time)
        hidden, _ = self.mix(token, context, memory.carry)
        memory.carry.layers.crop(-1)
        return self.read_out(hidden, memories, context), memory

    def _without_slate(
        self, known: Memory, request: Tensor, time: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, memories and context of requests [B, T], with an interest that stays."""
        batch, steps = request.shape
        nothing = torch.full((batch, steps, 1), -1)
        token, *_ = self.digest(nothing, torch.zeros(batch, steps, 1), request, time)
        memories = known.interest[:, None].expand(-1, steps, -1, -1)
        belief = known.belief[:, None].expand(-1, steps, -1)
        surprise = torch.zeros(batch, steps, self.interest.memory.scales)
        return token, memories, torch.cat((memories.flatten(2), surprise, belief), -1)
