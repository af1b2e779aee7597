"""What users are after: lasting interests and passing ones, followed as a Bayes filter would."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn.functional import softplus

from .fresh import follows

_PACE = 10.0  # logits held in tens: a step of the optimiser moves them by so much more
_LEAK = 1e-3  # of a belief, that anything may have happened
_SAMPLE = 4000  # items among which passing interests begin
EDGE = 0.02  # grades are held this far from 0 and 1, where their log-odds end
_GAINS = (5.0, 3.0)  # of lasting and passing interests where a fit begins
_SHARPEST = -1.0  # log of the least spread of a grade's log-odds


@dataclass
class Lesson:
    """What one slate taught.

    Attributes:
        belief: [B, G, C] after it.
        evidence: [B] log-likelihood of the answer, given all before.
        blame: [B, K] its gradient in each item's utility: taken less foreseen, and graded less
            foreseen where it was taken.
    """

    belief: Tensor
    evidence: Tensor
    blame: Tensor


@dataclass
class Law:
    """How interests pass into one another from one request to the next.

    Attributes:
        start: [G, C] of a user of whom nothing is known.
        follow: [C, C] share of a passing interest that lasts, or is succeeded by another.
        own: [G, C] share that is succeeded by what is typical of the lasting interest.
        leak: share of users whose lasting interest changes.
        lasting: [G, F] what the interests add to log-odds per unit of an item's vector, and
            ``passing`` [C, F].
    """

    start: Tensor
    follow: Tensor
    own: Tensor
    leak: Tensor
    lasting: Tensor
    passing: Tensor

    def lift(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """[..., K, G] and [..., K, C], what the interests add to utilities of items [..., K, F]."""
        return embedding @ self.lasting.T, embedding @ self.passing.T


class InterestChain(nn.Module):
    """G lasting interests p_g and C passing ones v_c; b_t(g, c) says which, and how surely.

        b_t = A(b_{t-1} L_t / |b_{t-1} L_t|),   L_t(g, c) = P(answer_t | p_g + v_c + what is known)

    P is a multinomial logit over the slate's items and nothing (McFadden, 1974), times a logistic
    density of the log-odds of the grade. A says what follows: a passing interest lasts, or is
    succeeded by another, or by one that is typical of the lasting interest; a lasting one seldom
    changes. That is the filter of a hidden Markov chain (Rabiner, 1989, eq. 19) on pairs, with all
    of it learned from what users answer. Where tastes pass from one thing to the next the chain
    foresees it, and what others of the same kind like, which no regression on the past does.

    Args:
        features: [N, F] public item vectors; passing interests begin at their clusters.
        lasting: G.
        passing: C.
    """

    reward: Tensor

    def __init__(self, features: Tensor, lasting: int, passing: int) -> None:
        super().__init__()
        size = features.shape[1]
        self.shape = (lasting, passing)
        self.fixed: Law | None = None
        self.lasting = nn.Parameter(torch.zeros(lasting, size))
        self.passing = nn.Parameter(_clusters(features, passing))
        self.log_gain = nn.Parameter(torch.zeros(2))
        self.prior = nn.Parameter(torch.zeros(lasting, passing))
        self.follow = nn.Parameter(torch.zeros(passing, passing))
        # log-odds that a passing interest lasts, that the next is typical, that the lasting changes
        self.change = nn.Parameter(torch.tensor([3.5, -1.5, -5.0]))
        self.outside = nn.Parameter(torch.tensor(3.2))
        self.position = nn.Parameter(torch.tensor(-0.05))
        self.grade = nn.Parameter(torch.tensor([0.7, -1.5, -0.5]))  # slope, offset, log spread
        self.register_buffer("reward", torch.tensor([1.0, 0.0, 0.0]))  # of ``earned.Earned``

    def begin_at(self, users: Tensor, generator: np.random.Generator) -> None:
        """Puts lasting interests where users [U, F] are, by what they took beyond what they saw."""
        few = users[torch.as_tensor(generator.permutation(len(users))[:_SAMPLE])].double().numpy()
        with torch.no_grad():
            self.lasting.copy_(_centres(few, len(self.lasting), generator).to(users))
            self.prior.copy_(0.2 * self.lasting @ self.passing.T)
            self.log_gain.copy_(torch.tensor(_GAINS).log())

    def pull(self) -> tuple[Tensor, Tensor]:
        """[G, F] and [C, F], what the interests add to log-odds per unit of an item's vector."""
        gain = self.log_gain.exp()
        return gain[0] * self.lasting, gain[1] * self.passing

    def start(self) -> Tensor:
        """[G, C] belief about a user of whom nothing is known."""
        return (_PACE * self.prior).flatten().softmax(0).view(self.shape)

    def learn(
        self,
        belief: Tensor,
        lift: tuple[Tensor, Tensor],
        utility: Tensor,
        shown: Tensor,
        taken: Tensor,
        grade: Tensor,
    ) -> Lesson:
        """One slate.

        Args:
            belief: [B, G, C] before it.
            lift: [B, K, G] and [B, K, C] of ``lift``.
            utility: [B, K] log-odds of each item by what is known beside the interests.
            shown: [B, K] 1 where a slot holds an item.
            taken: [B, K] 1 where the item was taken; several count as several choices.
            grade: [B, K] of what was taken.
        """
        lasting, passing = lift
        count = taken.sum(1)[:, None, None]
        none, each = 1 - taken.amax(1)[:, None, None], count.clamp_min(1)
        place = self.position * torch.arange(grade.shape[1], dtype=grade.dtype)
        utility = utility + place
        top = torch.maximum(utility.amax(1), self.outside).detach()[:, None]
        weight = (lasting + (utility - top)[..., None]).exp() * shown[..., None]  # [B, K, G]
        odds = passing.exp()
        total = weight.mT @ odds + (self.outside - top)[..., None].exp()  # [B, G, C]
        own = (taken * (utility - top)).sum(1)[:, None, None]
        match = lasting.mT @ taken[..., None] + taken[:, None] @ passing + own
        chosen = match + none * (self.outside - top)[..., None] - each * total.log()
        spread = log_spread_of(self.grade)
        finer = (-spread).exp()
        log_odds = (taken * log_odds_of(grade)).sum(1)[:, None, None] / each
        foreseen = self.grade[0] * (match + count * top[..., None]) / each + self.grade[1]
        error = (log_odds - foreseen) * finer  # of a grade's log-odds, in spreads
        density = error - 2 * softplus(error) - spread
        likelihood = chosen + (1 - none) * density
        peak = likelihood.detach().flatten(1).amax(1)
        joint = belief * (likelihood - peak[:, None, None]).exp()
        evidence = joint.sum((1, 2)).clamp_min(1e-30)
        belief = joint / evidence[:, None, None]
        foreseen = (odds @ (belief * each / total).mT * weight).sum(2)
        steep = self.grade[0] * finer
        graded = steep * (belief * torch.tanh(error / 2)).sum((1, 2))[:, None] / each[:, 0]
        return Lesson(belief, evidence.log() + peak, taken * (1 + graded) - foreseen)

    def fix(self) -> None:
        """Keeps the law as it is now, for users who are served and not learned from."""
        self.fixed = self.law()

    def law(self) -> Law:
        """What follows what, to be made once for many slates."""
        if self.fixed is not None:
            return self.fixed
        start, (lasts, typical, changes) = self.start(), torch.sigmoid(self.change)
        follow = (1 - lasts) * (1 - typical) * (_PACE * self.follow).softmax(1)
        follow = follow + lasts * torch.eye(len(follow))
        own = (1 - lasts) * typical * start / start.sum(1, keepdim=True)
        return Law(start, follow, own, changes + _LEAK, *self.pull())

    def move(self, belief: Tensor, law: Law) -> Tensor:
        """[B, G, C] what is believed of the next request, after one."""
        kind = belief.sum(2, keepdim=True)
        after = belief @ law.follow + kind * law.own
        return (1 - law.leak) * after + law.leak * law.start

    @property
    def spread(self) -> Tensor:
        """Scale of the logistic noise in the log-odds of a grade."""
        return log_spread_of(self.grade).exp()


def log_spread_of(grade: Tensor) -> Tensor:
    """Log of the scale of a grade's noise, of the law [3]: slope, offset and that."""
    return grade[2].clamp_min(_SHARPEST)


def log_odds_of(grade: Tensor) -> Tensor:
    """Of grades of any shape, held a little from 0 and 1."""
    share = grade.clamp(EDGE, 1 - EDGE)
    return (share / (1 - share)).log()


def _clusters(vectors: Tensor, count: int) -> Tensor:
    """[count, F] where a network begins that no saved weights follow; draws of torch's seed."""
    seed = int(torch.randint(2**31, ()))
    few = vectors[torch.randperm(len(vectors))[:_SAMPLE]].double().numpy()
    if follows():
        return vectors.new_zeros(count, vectors.shape[1])
    return _centres(few - few.mean(0), count, np.random.default_rng(seed)).to(vectors)


def _centres(
    vectors: npt.NDArray[np.float64], count: int, generator: np.random.Generator
) -> Tensor:
    """[count, F] unit vectors of k-means' centres, some more than once where vectors are few."""
    with warnings.catch_warnings():  # that a cluster is empty: its centre stays where it began
        warnings.simplefilter("ignore", UserWarning)
        centre, _ = kmeans2(vectors, min(count, len(vectors)), minit="++", rng=generator)
    centre = np.resize(centre, (count, vectors.shape[1]))
    length = np.linalg.norm(centre, axis=1, keepdims=True)
    return torch.tensor(centre / np.maximum(length, 1e-6))
