"""The slate that is expected to earn most, by what is believed of the user."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

from .chain import InterestChain, log_odds_of, log_spread_of
from .filling import DEEP, fill_slates
from .head import Draw, Head
from .output import Output
from .slate import UNAVAILABLE, entropy

_PROMISING = 400  # items that somebody may want most, of which the candidates are some
_CANDIDATES = 120  # items among which a slate is made: a third good alone, the others beside them
_LEAST = 1e-3  # gain, in mean worths, below which items are told apart by less than its log
_NEVER = 2 * UNAVAILABLE  # a slate that is short of items holds others, none of them twice
_MOST = 30.0  # log-odds; sums of exp of many more overflow


@dataclass
class _Offer:
    """L items at T requests of B users, of each of whom M things may be true.

    Attributes:
        share: [B, T, M, 1] how likely each is.
        odds: [B, T, M, L] of taking an item rather than nothing.
        earns: [B, T, M, L] these odds times what the item then earns, in mean worths.
    """

    share: Tensor
    odds: Tensor
    earns: Tensor

    def adds(
        self,
        total: Tensor | float = 1.0,
        earned: Tensor | float = 0.0,
        looked_at: Tensor | float = 1.0,
    ) -> Tensor:
        """[B, T, L] what each item adds to a slate whose items have these sums [B, T, M, 1].

        ``looked_at`` is the factor on the odds of whatever comes next.
        """
        gain = self.earns - earned / total * self.odds
        return self._mean(gain / (total / looked_at + self.odds))

    def hint(self, slate: Tensor) -> Tensor:
        """[B, T, L] what the least bit of each item adds to a slate [B, T, K] of these."""
        odds, earns = (part.sum(3, keepdim=True) for part in self.at(slate))
        return self._mean((self.earns - earns / (1 + odds) * self.odds) / (1 + odds))

    def at(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, M, K] ``odds`` and ``earns`` of the items in places [B, T, K]."""
        place = _spread(place, self.odds.shape[2])
        return self.odds.gather(3, place), self.earns.gather(3, place)

    def of(self, place: Tensor) -> _Offer:
        """The offer of the items in places [B, T, L]."""
        return _Offer(self.share, *self.at(place))

    def _mean(self, gain: Tensor) -> Tensor:
        return (self.share.mT @ gain)[:, :, 0]


class ExpectedReward(Head):
    """Slot after slot by what an item adds to the expected reward of the slate.

    A user is one of M, with probability w_m, and each chooses by a multinomial logit (McFadden,
    1974): v_mj are the odds of item j against nothing, r_mj is what it earns when taken. Below
    items i, whose odds sum to V_m - 1 and whose slate earns z_m,

        log-odds of j = log sum_m w_m v_mj (r_mj - z_m) / (V_m + v_mj) - d max_i <x_i, x_j>
        log v_mj = u_mj - outside,   u_mj = <q_m, e_j> + popular_j
        r_mj     = worth_j R(z_mj) + loyalty sigmoid(z_mj),   z_mj = slope u_mj + offset

    sigmoid(z) is the grade that is foreseen, R what it earns (``driftrec.agents.earned``).

    The best slate under such a mixture is NP-hard to find (Rusmevichientong, Shmoys, Tong &
    Topaloglu, 2014, "Assortment optimization under the multinomial logit model with random choice
    parameters"); what adds most, slot after slot, comes near it. An item that is likely taken and
    earns little stays out where it would keep a user from a better one, and what one belief is
    served with leaves room for the others. The charge d on likeness to the likest item above
    spreads slates further than one request would have them: an answer to several kinds of things
    teaches more, which pays at the requests that follow.

    How users choose and grade is what the interest was fitted to (``InterestChain``). d and what
    loyalty is worth are found by a trial (``driftrec.agents.trial``); all of it is learned from
    then on.
    """

    settings: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "loyalty": (0.5, 1.5),
        "charge": (0.5, 1.0, 2.0, 4.0),
    }

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.outside = nn.Parameter(torch.tensor(3.2))
        self.position = nn.Parameter(torch.tensor(-0.05))
        self.grade = nn.Parameter(torch.tensor([0.7, -1.5, -0.5]))  # slope, offset, log spread
        self.reward = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))
        self.charge = nn.Parameter(torch.zeros(()))
        self.loyalty = nn.Parameter(torch.zeros(()))
        self.promised = 0.0

    def prepare(self, features: Tensor, diversity: float, loyalty: float) -> None:
        """Where charge and loyalty begin."""
        self.charge.data.fill_(diversity)
        self.loyalty.data.fill_(loyalty)
        self.promised = loyalty  # what ``log_worth`` holds of it

    def adopt(self, chain: InterestChain) -> None:
        """Takes over how users choose and grade."""
        with torch.no_grad():
            for mine, theirs in zip(
                (self.outside, self.position, self.grade, self.reward),
                (chain.outside, chain.position, chain.grade, chain.reward),
                strict=True,
            ):
                mine.copy_(theirs)

    # --- slates ----------------------------------------------------------------------------------

    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """One slot after the other, among the candidates."""
        level = 1 - torch.rand(len(output.value), slots)
        slates, log_odds, total = self._fill(output, level, sharp)
        chosen = (log_odds - total).where(log_odds > UNAVAILABLE / 2, 0)
        return Draw(slates, chosen, output.value[:, :0])

    def best(self, output: Output, slots: int) -> Tensor | None:
        """What adds most, in each slot."""
        return self._fill(output, torch.zeros(len(output.value), slots), 1.0)[0]

    @torch.no_grad()
    def _fill(
        self, output: Output, level: Tensor, sharp: Tensor | float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B, K] slates at the only request, their log-odds, and those of anything there."""
        items, left, offer = self._candidates(output, level.shape[1])
        parts = (offer.share[..., 0], offer.odds, offer.earns, left)
        share, odds, earns, free = (part[:, 0].contiguous().numpy() for part in parts)
        vectors = embedding(items[:, 0], output.features)
        places = torch.empty(level.shape, dtype=torch.long)
        log_odds, total = torch.empty(level.shape), torch.empty(level.shape)
        scale = np.empty((len(items), 1), np.float32)
        scale[:] = output.sharpness.item() * np.asarray(sharp)
        fill_slates(
            share,
            odds,
            earns,
            free,
            vectors.numpy(),
            np.float32(self.position.item()),
            np.float32(self.charge.item()),
            np.float32(_LEAST),
            scale[:, 0],
            level.numpy(),
            places.numpy(),
            log_odds.numpy(),
            total.numpy(),
        )
        return items[:, 0].gather(-1, places), log_odds, total

    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """Given the slots above, among the candidates and what was shown."""
        items, left, _ = self._candidates(output, slates.shape[-1])
        shown = (items[..., None] == slates[:, :, None]).any(-1)
        mine = output.to_be_had(torch.zeros(slates.shape), slates)
        left = torch.cat((left.masked_fill(shown, _NEVER), mine), -1)
        start = items.shape[-1]
        items = torch.cat((items, slates), -1)
        offer = self._offer(output, *_utility(output, items))
        vectors, nearest = embedding(items, output.features), torch.zeros(items.shape)
        total, earned, chosen = torch.ones(()), torch.zeros(()), list[Tensor]()
        for slot in range(slates.shape[-1]):
            looked_at = (slot * self.position).exp()
            gain = _log(offer.adds(total, earned, looked_at))
            log_odds = output.sharpness * (gain - self.charge * nearest) + left
            taken = slice(start + slot, start + slot + 1)
            mine = log_odds[..., taken.start]
            chosen.append((mine - log_odds.logsumexp(-1)).where(mine > UNAVAILABLE / 2, 0))
            left[..., taken] = _NEVER
            nearest = torch.maximum(nearest, (vectors @ vectors[:, :, taken].mT)[..., 0])
            total = total + looked_at * offer.odds[..., taken]
            earned = earned + looked_at * offer.earns[..., taken]
        return torch.stack(chosen, -1)

    @torch.no_grad()
    def _candidates(self, output: Output, slots: int) -> tuple[Tensor, Tensor, _Offer]:
        """[B, T, L] items, 0 or what keeps those out that are not to be had, and their offer."""
        count = len(output.bias)
        if count <= _CANDIDATES:
            items = torch.arange(count).expand(*output.value.shape, count)
            left = output.to_be_had(torch.zeros(items.shape), items)
            return items, left, self._offer(output, *_utility(output))
        match = output.query @ output.embedding.T
        bias = (output.bias + output.lift()).expand_as(match[:, :, 0])
        promising = (match + output.weight[..., None]).amax(2) + bias
        wanted = min(count, max(_CANDIDATES, 2 * slots))
        few = min(count, max(_PROMISING, wanted))
        items = output.to_be_had(promising).topk(few, sorted=False).indices
        match = match.gather(3, _spread(items, match.shape[2]))
        utility = _utility_by(output, match, bias.gather(-1, items), output.log_worth[items])
        offer = self._offer(output, *utility)
        alone = output.to_be_had(offer.adds(), items)
        first = alone.topk(max(slots, _CANDIDATES // 3)).indices
        beside = output.to_be_had(offer.hint(first[..., :slots]), items)
        others = beside.scatter(-1, first, _NEVER).topk(wanted - first.shape[-1], sorted=False)
        place = torch.cat((first, others.indices), -1)
        items = items.gather(-1, place)
        return items, output.to_be_had(torch.zeros(items.shape), items), offer.of(place)

    def _offer(self, output: Output, utility: Tensor, log_worth: Tensor) -> _Offer:
        """What is believed of items by their ``_utility``."""
        share = (output.weight / output.sharpness).softmax(-1)[..., None]
        odds = (utility - self.outside).clamp_max(_MOST).exp()
        foreseen = self.grade[0] * utility + self.grade[1]
        worth = (log_worth.exp() - self.promised).clamp_min(0)
        earns = worth * earns_at(foreseen, self.reward) + self.loyalty * torch.sigmoid(foreseen)
        return _Offer(share, odds, odds * earns)

    # --- what is learned from ------------------------------------------------------------------

    def log_share(self, output: Output, items: Tensor) -> Tensor:
        """As the first of a slate, where all items are candidates."""
        return self.rank(output).log_softmax(-1).gather(-1, items)

    def rank(self, output: Output) -> Tensor:
        """By what each adds to an empty slate."""
        return output.to_be_had(
            output.sharpness * _log(self._offer(output, *_utility(output)).adds())
        )

    def entropy(self, output: Output) -> Tensor:
        """Of the first slot."""
        return entropy(self.rank(output))

    def log_likelihood(self, output: Output, slates: Tensor, feedback: Tensor) -> Tensor:
        """Of the answers, under the same mixture: the law of ``InterestChain``."""
        slots = torch.arange(slates.shape[-1], dtype=feedback.dtype)
        utility = _utility(output, slates.clamp_min(0))[0] + self.position * slots
        log_odds = utility - self.outside
        shown = (slates >= 0)[:, :, None]
        taken, graded = (feedback > 0).to(feedback.dtype), log_odds_of(feedback)
        total = torch.where(shown, log_odds, UNAVAILABLE).logsumexp(-1)
        each = taken.sum(-1)[:, :, None].clamp_min(1)
        chosen = (taken[:, :, None] * log_odds).sum(-1) - each * softplus(total)
        spread = log_spread_of(self.grade)
        error = (graded[:, :, None] - self.grade[0] * utility - self.grade[1]) * (-spread).exp()
        density = error - 2 * softplus(error) - spread
        answer = chosen + (taken[:, :, None] * density).sum(-1)
        return ((output.weight / output.sharpness).log_softmax(-1) + answer).logsumexp(-1)


def _spread(place: Tensor, beliefs: int) -> Tensor:
    """[B, T, L] -> [B, T, M, L], the same for each."""
    return place[:, :, None].expand(-1, -1, beliefs, -1)


def _utility(output: Output, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """[B, T, M, L] u of ``items`` [B, T, L], of all where None; and their ``log_worth``."""
    if items is None:
        match, bias = output.query @ output.embedding.T, output.bias + output.lift()
        return _utility_by(output, match, bias, output.log_worth)
    match = output.query @ embedding(items, output.embedding).mT
    return _utility_by(
        output, match, output.bias[items] + output.lift(items), output.log_worth[items]
    )


def _utility_by(
    output: Output, match: Tensor, bias: Tensor, log_worth: Tensor
) -> tuple[Tensor, Tensor]:
    """As ``_utility``, by what each interest adds and what is added whatever the interest."""
    log_worth = log_worth[..., None, :]
    return (match + bias[..., None, :]) / output.sharpness - log_worth, log_worth


def earns_at(foreseen: Tensor, law: Tensor) -> Tensor:
    """R at log-odds of grades of any shape, by its slope, offset and floor."""
    return law[2] + (1 - law[2]) * torch.sigmoid(law[0] * foreseen + law[1])


def _log(gain: Tensor) -> Tensor:
    """The log of a gain of any sign: an item that costs something still ranks by how much."""
    part = gain / _LEAST
    small = torch.where(part > -DEEP, softplus(part.clamp_min(-DEEP)).log(), part)
    return small + math.log(_LEAST)
