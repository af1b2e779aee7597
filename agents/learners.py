"""Learned agents by name: {PPO, REINFORCE} x networks."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from .episodes import EpisodeAlgorithm
from .network import NetworkConfig
from .platform import Platform
from .policy import InterestAttentionPolicy, ItemTable
from .ppo import EpisodePPO
from .reinforce import EpisodeReinforce

ALGORITHMS: dict[str, type[EpisodeAlgorithm]] = {"ppo": EpisodePPO, "reinforce": EpisodeReinforce}
NETWORKS: dict[str, NetworkConfig] = {
    "interest-attention": NetworkConfig(),
    "attention": NetworkConfig(conditioned=False),
}


def make_learner(
    agent: str,
    algo: str,
    env: Any,
    *,
    seed: int = 0,
    tensorboard_log: str | None = None,
    **options: Any,
) -> EpisodeAlgorithm:
    """An algorithm of Stable-Baselines3's kind, ready to ``learn``.

    Args:
        agent: a name in ``NETWORKS``.
        algo: a name in ``ALGORITHMS``.
        env: a ``BatchVecEnv``.
        seed: of network, sampling and users.
        tensorboard_log: folder of TensorBoard events.
        **options: fields of ``NetworkConfig`` and arguments of the algorithm.

    Raises:
        ValueError: for an unknown agent or algorithm, with the known ones.
    """
    for name, value, known in (("agent", agent, NETWORKS), ("algo", algo, ALGORITHMS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    shape = {f.name for f in fields(NetworkConfig)} & set(options)
    network = replace(NETWORKS[agent], **{k: options.pop(k) for k in shape})
    platform = Platform.of(env)
    items = ItemTable(platform.log.features, platform.log.bias, platform.worth)
    return ALGORITHMS[algo](
        InterestAttentionPolicy,
        env,
        policy_kwargs={"items": items, "network": network},
        seed=seed,
        tensorboard_log=tensorboard_log,
        **options,
    )


def load_learner(path: str, env: Any = None) -> EpisodeAlgorithm:
    """A saved algorithm, of whichever class saved it.

    Raises:
        ValueError: if the file is no saved learner.
    """
    from stable_baselines3.common.save_util import load_from_zip_file

    data, _, _ = load_from_zip_file(path, device="cpu")
    name = (data or {}).get("algorithm_name")
    if name not in ALGORITHMS:
        raise ValueError(f"path must be a model saved by driftrec, got {path!r}")
    return ALGORITHMS[name].load(path, env=env, device="cpu")
