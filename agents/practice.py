"""Practice: the interest learns from how users answer the slates that it would show them."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from .earned import Earned
from .history import available, newest, window
from .logfit import UNREAD, InterestFit
from .network import Network
from .output import Output
from .policy import InterestAttentionPolicy
from .reading import Memory
from .tape import Episodes, played
from .trial import Trial

_REMEMBERED = 8  # rollouts whose users are read, new ones among earlier ones
_BATCH = 128  # users: new ones teach more than reading the same again
_RATE = 0.01


def practise(
    policy: InterestAttentionPolicy,
    env: VecEnv,
    worth: Tensor,
    rollouts: int,
    generator: np.random.Generator,
    first: Episodes | None = None,
    trial: bool = True,
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
        trial: whether settings of the slates are tried in the latter half, where that is long
            enough (``driftrec.agents.trial``).

    Returns:
        Mean reward of a request in each rollout; users who left earn nothing.
    """
    batch = min(_BATCH, env.num_envs)
    updates = env.num_envs // batch
    fit = InterestFit(policy.network, _RATE, rollouts * updates)
    books = Earned(worth)
    seen = deque[tuple[Tensor, ...]](maxlen=_REMEMBERED)
    earned = list[float]()
    session = env.get_attr("session")[0]
    tried = Trial(policy.network.head, session, rollouts // 2 if trial else 0)
    before = rollouts - tried.rollouts
    for rollout in range(rollouts):
        if rollout >= before:
            tried.begin(rollout - before)
        episodes = play_best(policy, env, worth) if rollout or first is None else first
        earned.append(float(episodes.reward.mean()))
        if rollout >= before:
            tried.end(rollout - before, episodes.reward.mean(1).numpy())
        books.read(episodes)
        asked = episodes.request, episodes.time
        seen.append((episodes.slates, episodes.feedback, _read(episodes), *asked))
        answers = [torch.cat(parts) for parts in zip(*seen, strict=True)]
        for _ in range(updates):
            rows = torch.as_tensor(generator.permutation(len(answers[0]))[:batch])
            fit.update(*(part[rows] for part in answers))
        _settle(policy.network, books)
    return earned


def _settle(network: Network, books: Earned) -> None:
    """Lets the slates follow from what has been learned."""
    chain = network.interest.chain
    chain.reward.copy_(torch.tensor(books.law(chain.spread.item())))
    network.read_as_fitted()


def play_best(policy: InterestAttentionPolicy, env: VecEnv, worth: Tensor) -> Episodes:
    """One episode of every user, who are shown the best slates that the interest alone knows."""
    memory: Memory | None = None

    def best(observation: dict[str, Tensor]) -> Tensor:
        nonlocal memory
        output, memory = _foresee(policy.network, observation, memory)
        return policy.choose(output, True)

    return played(env, worth, best)


def _foresee(
    network: Network, observation: dict[str, Tensor], memory: Memory | None
) -> tuple[Output, Memory]:
    """What the interest alone foresees: all that a new network does, and no layer is computed."""
    seen = network.perceive(*(window(observation) if memory is None else newest(observation)))
    interest = network.interest(seen, memory)
    last = interest.at(slice(-1, None))
    nothing = last.vector.new_zeros(*last.vector.shape[:2], network.config.hidden)
    output = network.read_out(nothing, last)
    output.available = available(observation)
    return output, interest.carried(None, 0)


def _read(episodes: Episodes) -> Tensor:
    """[B, H + T] 1 for the answers that are learned from: not the first, nor what nobody saw."""
    before = episodes.slates.shape[1] - episodes.steps
    warm = torch.ones(len(episodes.alive), before)
    warm[:, :UNREAD] = 0
    return torch.cat((warm, episodes.alive), 1)
