"""Practice: the interest learns from how users answer the slates that it would show them."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from .heads import Draw
from .logfit import BATCH, UNREAD, InterestFit
from .policy import InterestAttentionPolicy
from .tape import Episodes, Tape

_REMEMBERED = 8  # rollouts whose users are read again
_PASSES = 2  # over the answers of a rollout; earlier ones are among those that are read
_RATE = 0.01


def practise(
    policy: InterestAttentionPolicy,
    env: VecEnv,
    worth: Tensor,
    rollouts: int,
    generator: np.random.Generator,
    first: Episodes | None = None,
) -> list[float]:
    """Plays what it takes to be best, and goes on fitting the interest on the answers.

    A log of an earlier recommender says most of slates that nobody is going to show. Here the
    likelihood is of the slates that the fitted interest chooses, and as it learns it chooses
    others: data are aggregated under the learner's own policy (Ross, Gordon & Bagnell, 2011), of
    the users' feedback alone. Greedily: of slates drawn with noise it learns next to nothing more
    than from the log.

    Args:
        policy: whose ``network.interest`` goes on being fitted.
        env: a ``BatchVecEnv``.
        worth: [N] reward per unit of feedback.
        rollouts: episodes of each user of ``env``.
        generator: of the order in which users are read.
        first: the first rollout, where it has been played.

    Returns:
        Mean reward of a request in each rollout; users who left earn nothing.
    """
    batch = min(BATCH, env.num_envs)
    updates = _PASSES * (env.num_envs // batch)
    fit = InterestFit(policy.network, _RATE, rollouts * updates)
    seen = deque[tuple[Tensor, Tensor, Tensor]](maxlen=_REMEMBERED)
    earned = list[float]()
    for rollout in range(rollouts):
        episodes = play_best(policy, env, worth) if rollout or first is None else first
        earned.append(float(episodes.reward.mean()))
        seen.append((episodes.slates, episodes.feedback, _read(episodes)))
        slates, feedback, read = (torch.cat(parts) for parts in zip(*seen, strict=True))
        for _ in range(updates):
            rows = torch.as_tensor(generator.permutation(len(slates))[:batch])
            fit.update(slates[rows], feedback[rows], read[rows])
        policy.network.read_as_fitted()
    return earned


def play_best(policy: InterestAttentionPolicy, env: VecEnv, worth: Tensor) -> Episodes:
    """One episode of every user, who are shown what is taken for their best slates."""
    steps = int(env.get_attr("horizon")[0])
    tape, memory = Tape(env.reset(), steps, worth), None
    unknown = torch.zeros(env.num_envs, policy.slots)
    for step in range(steps):
        with torch.no_grad():
            output, memory = policy.advance(tape.observation, memory, None)
            draw = Draw(policy.choose(output, True), unknown, unknown[:, :0])
        tape.record(step, draw, None, *env.step(draw.slates.numpy()))
    return tape.finish(unknown[:, 0])


def _read(episodes: Episodes) -> Tensor:
    """[B, H + T] 1 for the answers that are learned from: not the first, nor what nobody saw."""
    before = episodes.slates.shape[1] - episodes.steps
    warm = torch.ones(len(episodes.alive), before)
    warm[:, :UNREAD] = 0
    return torch.cat((warm, episodes.alive), 1)
