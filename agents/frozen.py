"""The static ablation: attention that has read the warm-up, and reads nothing after it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from .output import Output
from .reading import Interest, Memory
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
        interest: Interest | None = None,
        only: Tensor | None = None,
    ) -> Output:
        """As any network's; the first of the ``last`` requests is the first decision."""
        steps = slates.shape[1]
        last = steps if last is None else last
        warm = steps - last + 1
        begun = self.perceive(
            slates[:, :warm], feedback[:, :warm], request[:, :warm], time[:, :warm]
        )
        known = self.interest(begun) if interest is None else interest.at(slice(warm))
        newest = known.carried(None, warm)
        after, still = self._without_slate(newest, request[:, warm:], time[:, warm:])
        token = torch.cat((self.tokens(begun), after), 1)
        interest = known.then(still)
        place = torch.arange(steps)
        seen = (place[:, None] >= place) & ((place < warm) | (place[:, None] == place))
        hidden = self.backbone(
            inputs_embeds=token,
            attention_mask=seen[None, None],  # [1, 1, T, T]
            position_ids=place.clamp_max(warm)[None],
            interest=self.adjustment(interest.vector),
            use_cache=False,
        ).last_hidden_state
        return self.read_some(hidden, interest, last, only)

    def step(
        self, memory: Memory, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor
    ) -> tuple[Output, Memory]:
        """One more request; what was shown and how it was received is not looked at."""
        token, interest = self._without_slate(memory, request, time)
        hidden, _ = self.mix(token, interest.vector, memory.carry)
        memory.carry.layers.crop(-1)
        return self.read_out(hidden, interest), memory

    def _without_slate(
        self, known: Memory, request: Tensor, time: Tensor
    ) -> tuple[Tensor, Interest]:
        """Tokens of requests [B, T], and an interest that stays."""
        batch, steps = request.shape
        nothing = torch.full((batch, steps, 1), -1)
        token = self.tokens(self.perceive(nothing, torch.zeros(batch, steps, 1), request, time))
        memories = known.interest[:, None].expand(-1, steps, -1, -1)
        belief = known.belief[:, None].expand(-1, steps, -1, -1)
        occasion = known.occasion.map(lambda part: part.expand(-1, steps, *part.shape[2:]))
        occasion = replace(occasion, request=request, time=time)  # what users had stays as it was
        return token, Interest(memories, belief, memories.new_zeros(batch, steps), occasion)
