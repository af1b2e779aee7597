"""The policy by its name in Stable-Baselines3's own algorithms; importing this is all it takes.

    import driftrec.agents.sb3
    model = stable_baselines3.PPO("InterestAttentionPolicy", BatchVecEnv(env))

The items come from the environment's action space. ``policy_kwargs`` choose another network
(``network_class``) or another shape (``network``), see ``InterestAttentionPolicy``.
"""

from __future__ import annotations

from stable_baselines3 import A2C, PPO

from .policy import InterestAttentionPolicy

for _algorithm in (A2C, PPO):
    _algorithm.policy_aliases[InterestAttentionPolicy.__name__] = InterestAttentionPolicy

__all__ = ["InterestAttentionPolicy"]
