"""Episodes as they were played: what learning reads, and the tape that collects it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from .head import Draw
from .history import available, newest, window
from .output import Output
from .reading import Interest

_TAUGHT = 50  # items that the teacher names at each step
_TEMPERATURE = 0.2  # below 1 the teacher insists on its best
_ATTAINED = 0.8  # of the best slate's reward, by who does not see what the teacher sees


@dataclass
class Teacher:
    """The n best items of a teacher at some steps, and the probability that it gives each.

    Attributes:
        steps: [S] of which it was asked.
        items: [B, S, n].
        share: [B, S, n] rows sum to 1.
    """

    steps: Tensor
    items: Tensor
    share: Tensor

    def of(self, rows: Tensor) -> Teacher:
        """What it says of some of the users."""
        return Teacher(self.steps, self.items[rows], self.share[rows])


@dataclass
class Episodes:
    """B episodes of T steps after a warm-up of H slates.

    Attributes:
        slates: [B, H + T, K] shown, and ``feedback`` on them.
        request: [B, H + T] the request after each, and ``time`` [B, H + T, 4].
        reward: [B, T].
        slot_reward: [B, T, K] the reward that came from each slot.
        alive: [B, T] whether the user was still there when the step began.
        log_probability: [B, T, K] of each slot when it was drawn.
        value: [B, T + 1] of each step when it was taken; 0 after the user has left.
        proto: [B, T, F] what the head drew in place of slates; [B, T, 0] where it drew slates.
        available: [B, T, N] whether each item was to be had; None where all always are.
        teacher: what a teacher that knows the users would show, or None.
        interest: the dynamic interest after each slate but the last, as it was when they were
            played; None where they were not.
    """

    slates: Tensor
    feedback: Tensor
    request: Tensor
    time: Tensor
    reward: Tensor
    slot_reward: Tensor
    alive: Tensor
    log_probability: Tensor
    value: Tensor
    proto: Tensor
    available: Tensor | None = None
    teacher: Teacher | None = None
    interest: Interest | None = None

    @property
    def steps(self) -> int:
        """T."""
        return self.reward.shape[1]

    def take(self, rows: Tensor) -> Episodes:
        """The episodes in ``rows``."""
        own = ("teacher", "interest")
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in own}
        teacher = self.teacher and self.teacher.of(rows)
        taken: dict[str, Any] = {k: None if v is None else v[rows] for k, v in parts.items()}
        interest = self.interest and self.interest.of(rows)
        return Episodes(**taken, teacher=teacher, interest=interest)

    def batches(
        self, size: int, generator: np.random.Generator
    ) -> Iterator[tuple[Episodes, Tensor]]:
        """All episodes once, ``size`` at a time, in random order; with them their rows."""
        order = torch.as_tensor(generator.permutation(len(self.slates)))
        for rows in order.split(size):
            yield self.take(rows), rows


class Tape:
    """Collects the episodes of B users as they are played."""

    def __init__(self, first: Any, horizon: int, worth: Tensor) -> None:
        self.observation = _tensors(first)
        self.worth = worth
        parts = window(self.observation)
        self.history = parts[0].shape[1]
        self.sequence = [[part] for part in parts]
        batch, slots = parts[0].shape[0], parts[0].shape[2]
        self.reward = torch.zeros(batch, horizon)
        self.alive = torch.zeros(batch, horizon)
        self.log_prob = torch.zeros(batch, horizon, slots)
        self.value = torch.zeros(batch, horizon + 1)
        self.present = torch.ones(batch)
        self.left = torch.zeros(batch, dtype=torch.bool)
        self.interest: list[Interest] = []
        self.proto: list[Tensor] = []
        self.available: list[Tensor] = []
        self.taught: list[tuple[int, Tensor, Tensor]] = []

    def ask_teacher(self, step: int, session: Any, loyalty: float) -> None:
        """Notes what each item adds to a slate by the users' true state, pleasing included."""
        gain = session.simulator.log_gain(session.users, loyalty, _ATTAINED)
        best = torch.as_tensor(gain).topk(min(_TAUGHT, gain.shape[1]), dim=1)
        share = (best.values / _TEMPERATURE).softmax(1)
        self.taught.append((step, best.indices, share))

    def record(
        self,
        step: int,
        draw: Draw,
        output: Output | None,
        observation: Any,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Notes one step; of a user whose episode ended, the last observation.

        ``output`` is None where nobody was asked, but a log read.
        """
        self.reward[:, step] = torch.as_tensor(reward) * self.present
        self.alive[:, step], self.log_prob[:, step] = self.present, draw.log_probability
        self.proto.append(draw.proto)
        mask = available(self.observation)
        if mask is not None:
            self.available.append(mask)
        if output is not None:
            self.value[:, step] = output.value[:, 0] * self.present
            self.interest.append(output.interest)
        for row in np.flatnonzero(done):
            for key, part in infos[row]["terminal_observation"].items():
                observation[key][row] = part
            if self.present[row]:
                self.left[row] = not infos[row]["TimeLimit.truncated"]
        self.present[torch.as_tensor(done)] = 0
        self.observation = _tensors(observation)
        for part, new in zip(self.sequence, newest(self.observation), strict=True):
            part.append(new)

    def _teacher(self) -> Teacher | None:
        if not self.taught:
            return None
        steps, items, share = zip(*self.taught, strict=True)
        return Teacher(torch.tensor(steps), torch.stack(items, 1), torch.stack(share, 1))

    def finish(self, last_value: Tensor) -> Episodes:
        """The episodes; the value after the last step counts for those cut off by the horizon."""
        slates, feedback, request, time = (torch.cat(part, 1) for part in self.sequence)
        self.value[:, -1] = torch.where(self.left, 0.0, last_value)
        slot_reward = feedback * self.worth[slates.clamp_min(0)]
        return Episodes(
            slates,
            feedback,
            request,
            time,
            self.reward,
            slot_reward[:, self.history :] * self.alive[..., None],
            self.alive,
            self.log_prob,
            self.value,
            torch.stack(self.proto, 1),
            torch.cat(self.available, 1) if self.available else None,
            self._teacher(),
        )


def played(env: VecEnv, worth: Tensor, choose: Callable[[dict[str, Tensor]], Tensor]) -> Episodes:
    """One episode of every user, of slates that were not drawn: log-probabilities and values are 0.

    Args:
        env: a ``BatchVecEnv``.
        worth: [N] reward per unit of feedback.
        choose: gives the slates [B, K] at what is observed.
    """
    horizon = int(env.get_attr("horizon")[0])
    tape = Tape(env.reset(), horizon, worth)
    for step in range(horizon):
        with torch.no_grad():
            slates = choose(tape.observation)
        unknown = torch.zeros(slates.shape)
        draw = Draw(slates, unknown, unknown[:, :0])
        tape.record(step, draw, None, *env.step(slates.numpy()))
    return tape.finish(torch.zeros(env.num_envs))


def _tensors(observation: Any) -> dict[str, Tensor]:
    return {key: torch.as_tensor(np.asarray(value)) for key, value in observation.items()}
