"""Ten million user-steps of random slates per environment: no exception, no NaN, no growing memory.

    python benchmarks/soak.py                                      # every id, some minutes each
    python benchmarks/soak.py --env driftrec/Video-v0 --steps 1000000

Exits with 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from driftrec.envs import ENV_IDS, DriftVectorEnv  # noqa: E402

USERS = 4096
LOOK = 20  # steps between looks at the users' state
GROWTH = 16 * 2**20  # bytes that memory may rise after the first fifth


def memory() -> int:
    """Bytes resident now, or the most so far where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def faults_of_step(observation: dict, reward: np.ndarray, env: DriftVectorEnv) -> list[str]:
    """What is wrong with one answer."""
    feedback, shown = observation["feedback"], observation["slates"][:, -1]
    checks = {
        "reward is not finite": np.isfinite(reward).all(),
        "feedback leaves [0, 1]": feedback.min() >= 0 and feedback.max() <= 1,
        "ids leave the catalogue": shown.min() >= 0 and shown.max() < len(env.catalog),
        "two items taken from one slate": (feedback[:, -1] > 0).sum(1).max() <= 1,
        "time leaves [-1, 1]": np.abs(observation["time"]).max() <= 1,
    }
    return [fault for fault, fine in checks.items() if not fine]


def faults_of_users(env: DriftVectorEnv) -> list[str]:
    """What is wrong with the users' state."""
    users = env.session.users
    assert users is not None
    parts = {"taste": users.taste, "query": users.query, "patience": users.patience, **users.state}
    faults = [
        f"{name} is not finite" for name, part in parts.items() if not np.isfinite(part).all()
    ]
    for name, vectors in (("interest", users.interest), ("taste", users.taste)):
        if abs(np.linalg.norm(vectors, axis=1) - 1).max() > 1e-3:
            faults.append(f"{name} is no unit vector")
    return faults


def soak(env_id: str, steps: int) -> list[str]:
    """Faults of ``steps`` user-steps under random slates."""
    env = DriftVectorEnv(USERS, ENV_IDS[env_id], history=10, diagnostics=False)
    rng, rounds = np.random.default_rng(0), -(-steps // USERS)
    env.reset(seed=0)
    start, ended, faults, early = time.process_time(), 0, set(), 0
    for count in range(rounds):
        slates = rng.integers(0, len(env.catalog), (USERS, env.slate_size))
        observation, reward, left, timed_out, _ = env.step(slates)
        ended += int((left | timed_out).sum())
        faults.update(faults_of_step(observation, reward, env))
        if count % LOOK == 0:
            faults.update(faults_of_users(env))
        if count == rounds // 5:
            early = memory()
    grown = memory() - early
    if grown > GROWTH:
        faults.add(f"memory grew by {grown / 2**20:.0f} MiB")
    print(
        f"{env_id:<32}{rounds * USERS:>12,} user-steps {ended:>10,} users "
        f"{time.process_time() - start:>7.0f} CPU s   +{grown / 2**20:.1f} MiB   "
        + ("; ".join(sorted(faults)) or "no fault"),
        flush=True,
    )
    return sorted(faults)


def main() -> int:
    """Soaks the chosen environments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--env", choices=list(ENV_IDS), action="append", help="default: every id")
    parser.add_argument("--steps", type=int, default=10_000_000, help="user-steps per environment")
    chosen = parser.parse_args()
    return int(any([soak(env_id, chosen.steps) for env_id in chosen.env or ENV_IDS]))


if __name__ == "__main__":
    sys.exit(main())
