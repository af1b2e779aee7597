"""Small networks whose every part has a say: at initialisation some weigh nothing."""

from __future__ import annotations

import gymnasium as gym
import torch

from driftrec.agents.learners import make_learner
from driftrec.agents.network import Network
from driftrec.agents.serving import ServedModel
from driftrec.envs.sb3 import BatchVecEnv

SILENT = ("vector.weight", "passing.weight", "adjuster.gain.weight")  # zero where a network begins


def stir(network: Network, endings: tuple[str, ...] = ()) -> None:
    """Draws the weights that begin at zero anew, and those whose names end so."""
    generator = torch.Generator().manual_seed(0)
    for path, weight in network.named_parameters():
        if path in SILENT or path.endswith(endings):
            torch.nn.init.normal_(weight, std=0.3, generator=generator)


def stirred_model(
    name: str = "interest-attention", endings: tuple[str, ...] = (), **options: int
) -> ServedModel:
    """A served model of a small stirred network, of Video's users."""
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", 2, slate_size=3, history=4, horizon=6))
    network = make_learner(name, "ppo", env, seed=0, hidden=16, **options).policy.network
    stir(network, endings)
    world = env.get_attr("simulator")[0].world
    return ServedModel.of(network, 3, world.catalog, world.request_text)
