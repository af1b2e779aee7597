"""The dynamic interest I = f(history): what is believed, and what is remembered beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .chain import EDGE, InterestChain, Law, log_spread_of
from .following import Habits, follow_users
from .interest import DeltaMemory
from .occasion import Occasion, OccasionLaw
from .reading import SURPRISED, Interest, Memory, Seen, surprise_of

GAIN = 8.0  # log-odds per unit of a memory, where the fit begins
POPULAR = 12.0  # log-odds per unit of average feedback, where the fit begins


class DynamicInterest(nn.Module):
    """A chain of interests, and memories of what they leave unexplained, at several time scales.

        u_tk = sum_s r_s <m_s, e_k> + popularity_k + o_tk
        b_t, dlog P / du_tk = ``InterestChain`` (b_{t-1}, u_t, answer_t)
        m_s <- a_s m_s + rate_s sum_k (dlog P / du_tk) e_k

    I_t = (m_1..m_S, b_t, surprise -log P), in O(1) a slate. The memories are a user's own departure
    from what the chain knows of the kind, by stochastic gradient ascent on the likelihood with
    forgetting: the delta rule (Widrow & Hoff, 1960) for a model of choice. The fastest learns
    how what was just taken bears on what is taken next. Surprise opens the forget gates a_s
    further. o is what the occasion adds (``driftrec.agents.occasion``).

    Fitted by the likelihood of a log (``driftrec.agents.logfit``), with no sight of any reward.

    Args:
        features: [N, F] public item vectors.
        half_lives: of the memories, in slates.
        surprise: whether the memories' gates listen to surprise.
        kinds: (G, C) of ``InterestChain``.
        own: [N, F] where the vectors of single items begin, beside what features say.
        requests: R.
    """

    def __init__(
        self,
        features: Tensor,
        half_lives: tuple[float, ...],
        surprise: bool,
        kinds: tuple[int, int],
        own: Tensor,
        requests: int,
    ) -> None:
        super().__init__()
        self.memory = DeltaMemory(features.shape[1], half_lives, rate=0.06, surprise=surprise)
        self.chain = InterestChain(features, *kinds)
        self.occasion = OccasionLaw(len(features), features.shape[1], requests)
        self.metric = nn.Parameter(torch.eye(features.shape[1]))
        self.own = nn.Parameter(own)
        self.read = nn.Parameter(torch.linspace(1, -0.3, len(half_lives)))
        self.popular = nn.Parameter(torch.ones(()))
        self.habits: Habits | None = None

    @property
    def width(self) -> int:
        """W, of the interest as one vector."""
        return self.memory.scales * self.memory.size + sum(self.chain.shape) + 1

    def items(self, features: Tensor) -> Tensor:
        """[N, F] item vectors: the public ones, and what was learned of each item beside them."""
        return features @ self.metric + self.own

    def fix(self) -> None:
        """Keeps what it knows as it is now, for users who are served and not learned from."""
        self.chain.fix()
        self.habits = self._habits()

    def forward(self, seen: Seen, before: Memory | None = None) -> Interest:
        """T slates one after the other.

        Args:
            seen: what was shown and how it was received.
            before: what is carried on; None where nothing is known.
        """
        learning = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if self.habits is not None and not learning:
            return self._followed(self.habits, seen, before)
        law = self.chain.law()
        memory, belief = self._known(len(seen.feedback), law, before)
        known = POPULAR * self.popular * seen.expected + seen.lift
        pull = self.occasion.pull(seen.shown_on)
        memories, beliefs, evidence = list[Tensor](), list[Tensor](), list[Tensor]()
        # taken apart at once: the gradient of a slice is as large as the whole
        answers = (pull, known, seen.shown, seen.taken, seen.feedback)
        parts = (seen.embedding, *law.lift(seen.embedding), *answers)
        for items, lasting, passing, pulled, known, shown, taken, grade in zip(
            *(part.unbind(1) for part in parts), strict=True
        ):
            recalled = (GAIN * self.read) @ memory + pulled
            utility = (items @ recalled[..., None])[..., 0] + known
            lesson = self.chain.learn(belief, (lasting, passing), utility, shown, taken, grade)
            belief = self.chain.move(lesson.belief, law)
            surprise = surprise_of(lesson.evidence)
            memory = self.memory.step(memory, items, lesson.blame, surprise)
            memories.append(memory)
            beliefs.append(belief)
            evidence.append(lesson.evidence)
        return Interest(
            torch.stack(memories, 1),
            torch.stack(beliefs, 1),
            torch.stack(evidence, 1),
            seen.occasion,
        )

    def _known(self, batch: int, law: Law, before: Memory | None) -> tuple[Tensor, Tensor]:
        """[B, S, F] and [B, G, C], memories and belief before the first slate."""
        if before is None:
            return self.memory.empty(batch), law.start.expand(batch, -1, -1)
        return before.interest, before.belief

    def _habits(self) -> Habits:
        """What ``following`` needs of it, as arrays and numbers."""
        law, memory, chain = self.chain.law(), self.memory, self.chain
        asking = Occasion.of_strangers(len(self.occasion.asked), memory.size)
        asking.request[:, 0] = torch.arange(len(asking.request))
        tired = Occasion.of_strangers(1, memory.size)
        tired.had += 1
        known = {
            **vars(law),
            "keep": memory.keep,
            "alarm": memory.alarm * memory.surprise,
            "rate": memory.rate.exp(),
            "read": GAIN * self.read,
            "asked": self.occasion.pull(asking)[:, 0],
            "tire": self.occasion.pull(tired)[0, 0, 0],
            "popular": POPULAR * self.popular,
            "outside": chain.outside,
            "position": chain.position,
            "slope": chain.grade[0],
            "offset": chain.grade[1],
            "spread": log_spread_of(chain.grade),
            "edge": torch.tensor(EDGE),
            "surprised": torch.tensor(SURPRISED),
        }
        return Habits(**{name: _plain(part) for name, part in known.items()})

    def _followed(self, habits: Habits, seen: Seen, before: Memory | None) -> Interest:
        """``forward`` by compiled code."""
        batch, steps = seen.feedback.shape[:2]
        known = self._known(batch, self.chain.law(), before)
        memory, belief = (part.float().clone() for part in known)  # which are written to
        memories = torch.empty(batch, steps, *memory.shape[1:])
        beliefs = torch.empty(batch, steps, *belief.shape[1:])
        evidence = torch.empty(batch, steps)
        told = (seen.embedding, seen.feedback, seen.expected, seen.shown, seen.lift)
        had, request = seen.shown_on.had, seen.shown_on.request
        state = (request, memory, belief, memories, beliefs, evidence)
        # some are in 16 bits where the rest of the network is
        parts = (*(part.float() for part in (*told, had)), *state)
        follow_users(habits, *(_plain(part) for part in parts))
        return Interest(memories, beliefs, evidence, seen.occasion)


def _plain(part: Tensor) -> Any:
    """As an array, or a number where it has no shape."""
    array = part.detach().contiguous().numpy()
    return array if array.ndim else array[()]
