"""What each step and each slot of an episode is to be praised for."""

from __future__ import annotations

import torch
from torch import Tensor

from .tape import Episodes


def discounted(
    episodes: Episodes, gamma: float, gae_lambda: float, scale: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantages and the returns they imply, [B, T] each, in units of ``scale``.

    A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t; V is 0 after a user
    has left, and what was predicted after the last step where the horizon cut the episode.
    Source: Schulman, Moritz, Levine, Jordan & Abbeel (2016), eq. 16.
    """
    reward, value, alive = episodes.reward / scale, episodes.value, episodes.alive
    following = torch.cat((alive[:, 1:], (value[:, -1:] != 0).float()), 1)
    advantage = torch.zeros_like(reward)
    running = torch.zeros(len(reward))
    for t in reversed(range(reward.shape[1])):
        delta = reward[:, t] + gamma * value[:, t + 1] * following[:, t] - value[:, t]
        running = (delta + gamma * gae_lambda * following[:, t] * running) * alive[:, t]
        advantage[:, t] = running
    return advantage, advantage + value[:, :-1]


def slot_advantage(episodes: Episodes, advantage: Tensor, scale: float) -> Tensor:
    """[B, T, K] credit of each slot: its own reward less a fair share, and the shared future.

    A_tk = (r_tk - mean(r) / K) + (A_t - (r_t - mean(r))): a slot is not praised for what was taken
    elsewhere in the slate. The mean is over the users alive at t.
    """
    reward, alive = episodes.reward / scale, episodes.alive
    mean = (reward * alive).sum(0) / alive.sum(0).clamp_min(1)
    own = episodes.slot_reward / scale - (mean / episodes.slot_reward.shape[2])[:, None]
    future = advantage - (reward - mean)
    return own + future[..., None]


def slot_credit(
    episodes: Episodes, gamma: float, gae_lambda: float, scale: float
) -> tuple[Tensor, Tensor]:
    """[B, T, K] credit of each slot, of mean 0 and deviation 1 over users alive, and returns."""
    advantage, returns = discounted(episodes, gamma, gae_lambda, scale)
    credit, alive = slot_advantage(episodes, advantage, scale), episodes.alive.bool()
    return (credit - credit[alive].mean()) / (credit[alive].std() + 1e-6), returns
