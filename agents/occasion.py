"""What the occasion adds to the interest: that something was had lately, that it is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from driftrec.simulators.world import WEEK

_REMEMBERED = 24  # slates, of what was taken from which single items are remembered
_NOTHING = -1  # in place of an item
_PULL = 4.0  # log-odds per unit: steps of the optimiser move them by so much more
_ASK = 5.0  # and again what a request asks for, which few of them say
_UNKNOWN = -1.0  # hour at which an item comes out


@dataclass
class Occasion:
    """What is known beside the interest at T requests of B users.

    Attributes:
        had: [B, T, F] decayed sum of the vectors of what was taken.
        lately: [B, T, W] what was taken from the last W slates, the newest last; -1 for nothing.
        request: [B, T] its id.
        time: [B, T, 4] of it, as observed; zeros where it is not known.
    """

    had: Tensor
    lately: Tensor
    request: Tensor
    time: Tensor

    @classmethod
    def of_strangers(cls, users: int, size: int) -> Occasion:
        """At one request of users of whom nothing is known; F = ``size``."""
        return cls(
            torch.zeros(users, 1, size),
            torch.full((users, 1, _REMEMBERED), _NOTHING),
            torch.zeros(users, 1, dtype=torch.long),
            torch.zeros(users, 1, 4),
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> Occasion:
        """With each part changed."""
        return Occasion(*(change(getattr(self, f.name)) for f in fields(self)))

    def put(self, rows: Tensor, other: Occasion) -> None:
        """Overwrites that of some users."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(other, f.name)

    def then(self, *later: Occasion) -> Occasion:
        """This one, and later ones after it."""
        parts = (self, *later)
        return Occasion(*(torch.cat([getattr(p, f.name) for p in parts], 1) for f in fields(self)))


class OccasionLaw(nn.Module):
    """What an occasion adds to the log-odds of an item.

        o_tj = <tire had_t + asked_{request t}, e_j> + fresh 2^(-age_tj / half_life)
               + familiar ln(1 + sum_{s < t: taken_s = j} (t - s)^-d)
        had_t = rho (had_{t-1} + e of what was taken),   rho = 2^(-1 / half_life)

    Users tire of a kind of thing that they just had, and miss it again later (Leqi, Kilinc Karzan,
    Lipton & Montgomery, 2021, "Rebounding bandits for modeling satiation effects"); they come back
    to a single thing that they know (base-level activation of ACT-R: Anderson & Schooler, 1991,
    "Reflections of the environment in memory"); news grow old; and who asks for something wants
    it. Whether any of it is so is learned from answers: tire, asked, familiar and fresh are 0 where
    the fit begins.

    Args:
        items: N.
        size: F, of the item vectors.
        requests: R.
    """

    born: Tensor

    def __init__(self, items: int, size: int, requests: int) -> None:
        super().__init__()
        self.register_buffer("born", torch.full((items,), _UNKNOWN))
        self.tire = nn.Parameter(torch.zeros(()))
        self.asked = nn.Parameter(torch.zeros(requests, size))
        self.familiar = nn.Parameter(torch.zeros(()))
        self.fresh = nn.Parameter(torch.zeros(()))
        self.decay = nn.Parameter(torch.tensor(0.5))
        self.log_half_life = nn.Parameter(torch.tensor([6.0, 24.0]).log())  # of had, of news
        self.dated = False  # whether any item comes out at some hour
        self.register_load_state_dict_post_hook(_see_births)

    def tell_births(self, hours: npt.NDArray[np.float32]) -> None:
        """Says at which hour of the week [N] each item comes out, as the platform knows."""
        self.born.copy_(torch.as_tensor(hours))
        _see_births(self)

    def after(
        self,
        before: Occasion,
        embedding: Tensor,
        slates: Tensor,
        taken: Tensor,
        request: Tensor,
        time: Tensor,
    ) -> Occasion:
        """The occasion of each request that follows a slate.

        Args:
            before: [B, 1] that at which the first slate was shown.
            embedding: [B, T, K, F] of the items shown.
            slates: [B, T, K].
            taken: [B, T, K] 1 where an item was.
            request: [B, T] that follows each.
            time: [B, T, 4] of it.
        """
        steps = slates.shape[1]
        place = taken.argmax(2, keepdim=True)
        item = slates.gather(2, place)[..., 0].where(taken.amax(2) > 0, _NOTHING)
        lately = torch.cat((before.lately[:, 0], item), 1).unfold(1, _REMEMBERED, 1)[:, 1:]
        rate = torch.exp2(-torch.exp(-self.log_half_life[0]))
        lag = torch.arange(1, steps + 1)[:, None] - torch.arange(steps + 1)  # [T, 1 + T]
        kept = (rate ** lag.clamp_min(0)) * (lag >= 0)
        # column s > 0 is the slate in place s - 1, which counts as of the request that follows
        kept = torch.cat((kept[:, :1], rate * kept[:, 1:]), 1)
        had = kept @ torch.cat((before.had, (embedding * taken[..., None]).sum(2)), 1)
        return Occasion(had, lately, request, time)

    def pull(self, occasion: Occasion) -> Tensor:
        """[B, T, F] what is added to the interest: log-odds per unit of an item's vector."""
        asked = self.asked[occasion.request] * (occasion.request > 0)[..., None]
        return _PULL * (self.tire * occasion.had + _ASK * asked)

    def lift(self, occasion: Occasion, items: Tensor | None = None) -> Tensor:
        """[B, T, L] log-odds of ``items`` [B, T, L], of all where None: the known and the new."""
        power = torch.arange(_REMEMBERED, 0, -1.0) ** -self.decay
        if items is None:
            there = occasion.lately.clamp_min(0)
            known = torch.zeros(*there.shape[:2], len(self.born))
            known = known.scatter_add(2, there, power * (occasion.lately >= 0))
        else:
            same = occasion.lately[:, :, None] == items[..., None]
            known = (same * power).sum(-1)
        lift = self.familiar * known.log1p()
        if self.dated:
            lift = lift + self.fresh * self._new(occasion, items)
        return _PULL * lift

    def _new(self, occasion: Occasion, items: Tensor | None) -> Tensor:
        """[B, T, L] how new items are: 1 when they come out, 0 where that is not known."""
        born = self.born if items is None else self.born[items.clamp_min(0)]
        age = (_hour_of(occasion.time)[..., None] - born) % WEEK
        new = torch.exp2(-age * torch.exp(-self.log_half_life[1]))
        told = (born >= 0) & (occasion.time.abs().sum(-1, keepdim=True) > 0)
        return new.where(told, 0)


def _see_births(law: OccasionLaw, *_: object) -> None:
    law.dated = bool((law.born >= 0).any())


def _hour_of(time: Tensor) -> Tensor:
    """[B, T] whole hour of the week by ``driftrec.envs.spaces.clock_features``."""
    turn = torch.atan2(time[..., 2], time[..., 3]) / (2 * torch.pi)
    return (turn % 1 * WEEK + 1e-3).floor() % WEEK
