"""How many user-steps a second of one core training does, beside Stable-Baselines3's own PPO.

    python benchmarks/train_throughput.py

All phases of one training in one process, on driftrec/Video-v0 with 128 users: playing and
learning both count, validation does not. Beside them stock PPO of Stable-Baselines3 on the same
environment and window of 50 slates: with the same network through ``InterestAttentionPolicy``
(which reads its window anew at every step of every epoch), and with a multilayer perceptron on the
flattened window. Rates are user-steps per second of CPU time; ratios are to that perceptron's.
The fit of the interest comes once for a log and a seed and is kept; its rate is in users read.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym
import torch
from stable_baselines3 import PPO

from driftrec.agents.learners import make_learner
from driftrec.agents.sb3 import InterestAttentionPolicy  # noqa: F401
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.envs.wrappers import VectorFlatObservation

ENV, USERS, HORIZON = "driftrec.envs:driftrec/Video-v0", 128, 100
ROLLOUT = USERS * HORIZON


def world() -> Any:
    """A native batch with the window that agents see by default."""
    return gym.make_vec(ENV, num_envs=USERS, diagnostics=False)


def ours(algo: str, rollouts: int = 3) -> dict[str, float]:
    """User-steps a CPU-second of each phase, and users read by the fit."""
    steps = rollouts * ROLLOUT
    options: dict[str, Any] = {"pretrain_steps": steps, "practice_steps": steps, "log_users": 1000}
    learner = make_learner("interest-attention", algo, BatchVecEnv(world()), seed=1, **options)
    spent: dict[str, float] = defaultdict(float)

    def timed(method: Callable[..., Any], name: str = "") -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            before, inside = time.process_time(), spent["fit"] + spent["practice"]
            result = method(*args, **kwargs)
            phase = name or ("pretraining" if learner.pretraining else algo)
            inside = 0 if name else spent["fit"] + spent["practice"] - inside
            spent[phase] += time.process_time() - before - inside
            return result

        return call

    vars(learner).update(
        fit_interest=timed(learner.fit_interest, "fit"),
        practise=timed(learner.practise, "practice"),
        collect_rollouts=timed(learner.collect_rollouts),
        train=timed(learner.train),
    )
    with TemporaryDirectory() as empty, mock.patch.dict(os.environ, DRIFTREC_CACHE=empty):
        learner.learn(2 * steps)  # the fit is made here, not found
    users = learner.log_passes * options["log_users"]
    return {
        "fit, users read": users / spent["fit"],
        "practice": steps / spent["practice"],
        "pretraining": steps / spent["pretraining"],
        algo: steps / spent[algo],
    }


def stock(policy: str, env: Any, steps: int) -> float:
    """The same of Stable-Baselines3's PPO, with its own defaults but for the size of a rollout."""
    model = PPO(policy, env, n_steps=steps // USERS, batch_size=256, seed=1, device="cpu")
    before = time.process_time()
    model.learn(steps)
    return steps / (time.process_time() - before)


def main() -> None:
    """Measures all of it and prints a table, or JSON with --json."""
    torch.set_num_threads(1)
    rates = {
        "SB3 PPO, perceptron on the flat window": stock(
            "MlpPolicy", BatchVecEnv(VectorFlatObservation(world(), last=50)), 32 * USERS
        ),
        "SB3 PPO, InterestAttentionPolicy": stock(
            "InterestAttentionPolicy", BatchVecEnv(world()), 2 * USERS
        ),
    }
    for algo in ("ppo", "reinforce"):
        rates |= {f"ours, {name}": rate for name, rate in ours(algo).items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps(rates))
        return
    unit = next(iter(rates.values()))
    print(f"{Path(__file__).name}: user-steps per CPU-second, and multiples of the first")
    for name, rate in rates.items():
        print(f"  {name:42s}{rate:10,.0f}  {rate / unit:6.2f}x")


if __name__ == "__main__":
    main()
