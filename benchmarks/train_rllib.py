"""RLlib's PPO on ``driftrec/News-v0``, through wrappers that make one vector of each side.

    python benchmarks/train_rllib.py --iterations 20
    python benchmarks/train_rllib.py --iterations 2 --batch 200 --horizon 10    # a few seconds

What the agent sees are topics of the last slates and what was taken from them; what it does is a
point in the items' feature space, the nearest items being the slate. Prints the mean return of an
episode after each iteration. Needs the extra ``rllib``; its Ray runs in this machine alone.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import gymnasium as gym  # noqa: E402
import ray  # noqa: E402
from ray.rllib.algorithms.ppo import PPOConfig  # noqa: E402
from ray.tune.registry import register_env  # noqa: E402

from driftrec.envs.wrappers import FlatObservation, ProtoAction  # noqa: E402

NAME = "driftrec-news"


def make(options: dict[str, Any]) -> gym.Env:
    """One user, as RLlib asks for it; it copies users side by side itself."""
    env = gym.make("driftrec.envs:driftrec/News-v0", **options)
    return ProtoAction(FlatObservation(env, last=5))


def config(batch: int, users: int, workers: int, **options: Any) -> PPOConfig:
    """PPO by RLlib's own defaults, on ``batch`` user-steps an iteration."""
    register_env(NAME, make)
    return (
        PPOConfig()
        .environment(NAME, env_config=options)
        .env_runners(num_env_runners=workers, num_envs_per_env_runner=users)
        .training(train_batch_size=batch, minibatch_size=max(1, batch // 8), num_epochs=4)
        .debugging(seed=0, log_level="ERROR")
    )


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4000, help="user-steps an iteration")
    parser.add_argument("--users", type=int, default=8, help="at once, in each worker")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: in this one")
    parser.add_argument("--horizon", type=int, default=100, help="requests a session")
    given = parser.parse_args()
    ray.init(
        address="local",  # not one of others that happens to run here
        num_cpus=given.workers + 1,
        include_dashboard=False,
        log_to_driver=False,
    )
    options = config(given.batch, given.users, given.workers, horizon=given.horizon)
    algorithm = options.build_algo()
    try:
        for iteration in range(1, given.iterations + 1):
            result = algorithm.train()
            seen = result["env_runners"]
            line = {
                "iteration": iteration,
                "steps": int(seen["num_env_steps_sampled_lifetime"]),
                "return": float(seen["episode_return_mean"]),
            }
            print(json.dumps(line), flush=True)
    finally:
        algorithm.stop()
        ray.shutdown()


if __name__ == "__main__":
    main()
