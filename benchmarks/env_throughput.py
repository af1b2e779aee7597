"""How many user-steps a second of one core the environments do, beside a yardstick of the same run.

    python benchmarks/env_throughput.py            # all cases, some minutes
    python benchmarks/env_throughput.py --quick    # the main ones

Rates are user-steps per second of CPU time of this process: the median of a few windows, random
slates drawn beforehand, through the environment's own ``step``. The yardstick is Gymnasium's
CartPole-v1, a single environment in pure Python, run before and after every case; its rate moves
with the machine, the ratio hardly does. Users stay until the horizon of 100, so 1 % of them are
replaced each step; in "views" they do too, with ``copy=False``: observations are views of the
environment's memory, good until its next step. In "random" users leave as random slates make them
(after some 20 requests), and most of the time goes to the warm-ups of those who come. All drifts
are on unless a row says otherwise, D = 32, diagnostics off. Other simulators run in their own
defaults, where they are installed.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from unittest import mock

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402

from driftrec.envs import DriftEnv, DriftVectorEnv  # noqa: E402
from driftrec.simulators import DRIFTS, Patience, Simulator, build_world, load_domain  # noqa: E402
from driftrec.simulators.text import WordBank, generate_catalog  # noqa: E402

WINDOWS = 5
SLATES = 16  # batches of slates drawn beforehand


@dataclass(frozen=True)
class Case:
    """A size to be measured; times are CPU seconds."""

    name: str
    domain: str = "video"
    users: int = 1024
    items: int = 1000
    slots: int = 10
    history: int = 50
    drift: str = "every"
    stay: bool = True
    copy: bool = True


@dataclass(frozen=True)
class Result:
    """What a case gave."""

    case: Case
    rate: float  # user-steps per CPU second
    yardstick: float  # CartPole steps per CPU second around it
    reset: float  # microseconds of CPU a user
    memory: float  # bytes a user beyond the world

    @property
    def ratio(self) -> float:
        """Times the yardstick."""
        return self.rate / self.yardstick


def every_drift(items: int) -> str:
    """All drifts; items come and go in small catalogues only, as the mask of them is [B, N]."""
    return ",".join(name for name in DRIFTS if name != "lifecycle" or items <= 1000)


def build(case: Case) -> Simulator:
    """The world of a case."""
    names = every_drift(case.items) if case.drift == "every" else case.drift
    domain = load_domain(case.domain).with_drift(names, 1.0)
    if case.stay:
        domain = replace(domain, patience=Patience(most=1e9))
    bank = WordBank.load(domain.words)
    catalog = generate_catalog(bank, case.items)
    world = build_world(catalog, domain.population, bank.successors, bank.requests, 0)
    return Simulator(domain, world, slate_size=case.slots, history=case.history)


def make(case: Case, simulator: Simulator) -> DriftEnv | DriftVectorEnv:
    """An environment over a world that is at hand."""
    options = {"slate_size": case.slots, "history": case.history, "diagnostics": False}
    with (
        mock.patch("driftrec.envs.env.make_simulator", return_value=simulator),
        mock.patch("driftrec.envs.vector_env.make_simulator", return_value=simulator),
    ):
        if case.users == 1:
            return DriftEnv(**options)
        return DriftVectorEnv(case.users, copy=case.copy, **options)


def rate_of(run: Callable[[], int], window: float) -> float:
    """Units per CPU second, median of windows of ``window`` CPU seconds; ``run`` returns units."""
    run()
    rates = []
    for _ in range(WINDOWS):
        done, start = 0, time.process_time()
        while time.process_time() - start < window:
            done += run()
        rates.append(done / (time.process_time() - start))
    return float(np.median(rates))


def yardstick(window: float) -> float:
    """Steps per CPU second of a single CartPole-v1."""
    env = gym.make("CartPole-v1")
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 2, 500).tolist()

    def run() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return rate_of(run, window)


def stepper(env: DriftEnv | DriftVectorEnv) -> Callable[[], int]:
    """A call that takes one step of every user with random slates."""
    rng, single = np.random.default_rng(0), isinstance(env, DriftEnv)
    users = 1 if single else env.num_envs
    shape = (SLATES, users, env.slate_size)
    slates = rng.integers(0, len(env.catalog), shape)
    count = 0

    def run() -> int:
        nonlocal count
        shown = slates[count % SLATES]
        count += 1
        if isinstance(env, DriftEnv):
            _, _, left, timed_out, _ = env.step(shown[0])
            if left or timed_out:
                env.reset()
        else:
            env.step(shown)
        return users

    return run


def spread_ages(env: DriftEnv | DriftVectorEnv) -> None:
    """Users in mid-episode, each at another request, as in a session that has run for long."""
    users = env.session.users
    assert users is not None
    users.step[:] = np.arange(len(users)) * env.horizon // len(users)


def measure(case: Case, window: float) -> Result:
    """Rate, reset and memory of a case."""
    simulator = build(case)
    before = yardstick(window)
    env = make(case, simulator)
    start = time.process_time()
    resets = max(1, 200 // case.users)
    for seed in range(resets):
        env.reset(seed=seed * case.users)
    reset = (time.process_time() - start) / resets / case.users
    spread_ages(env)
    rate = rate_of(stepper(env), window)
    return Result(
        case, rate, (before + yardstick(window)) / 2, reset * 1e6, memory_of(case, simulator)
    )


def memory_of(case: Case, simulator: Simulator) -> float:
    """Bytes a user that an environment and its last observation hold beyond the world."""
    gc.collect()
    tracemalloc.start()
    env = make(case, simulator)
    kept = [env.reset(seed=0)]
    kept.append(
        env.step(np.zeros((case.users, case.slots), int).squeeze(0 if case.users == 1 else ()))
    )
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / case.users


def cases(quick: bool) -> Iterator[Case]:
    """What is measured."""
    yield Case("B = 1", users=1)
    yield Case("B = 1,024")
    yield Case("B = 1,024, views", copy=False)
    yield Case("B = 1,024, random", stay=False)
    if quick:
        return
    for users in (64, 4096, 16_384):
        yield Case(f"B = {users:,}", users=users)
    yield Case("B = 4,096, views", users=4096, copy=False)
    yield Case("B = 1, random", users=1, stay=False)
    yield Case("B = 4,096, random", users=4096, stay=False)
    yield Case("K = 20", slots=20)
    yield Case("H = 10", history=10)
    yield Case("drifts of the preset", drift="all")
    yield Case("no drift", drift="none")
    for items in (100, 1000, 10_000, 100_000, 1_000_000):
        yield Case(f"N = {items:,}, no lifecycle", items=items, drift=every_drift(10**9))


def peers(window: float) -> Iterator[tuple[str, float | str]]:
    """User-steps per CPU second of other simulators, or why there is none."""
    for name, run in (("SARDINE", sardine), ("RecSim", recsim)):
        try:
            yield name, rate_of(run(), window)
        except ImportError as error:
            yield name, f"not installed ({error})"
        except Exception as error:  # old code meets new libraries in many ways
            yield name, f"does not run here ({error!r})"


def sardine() -> Callable[[], int]:
    """``sardine/SlateTopK-BoredInf-v0``: 1,000 items, slate of 10."""
    importlib.import_module("sardine")
    return played(gym.make("sardine/SlateTopK-BoredInf-v0"))


def recsim() -> Callable[[], int]:
    """RecSim's interest evolution as it comes: slate of 2 from 10 candidates; gym's older calls."""
    evolution = importlib.import_module("recsim.environments.interest_evolution")
    options = {"num_candidates": 10, "slate_size": 2, "resample_documents": True, "seed": 0}
    env = evolution.create_environment(options)
    env.reset()

    def run() -> int:
        if env.step(env.action_space.sample())[2]:
            env.reset()
        return 1

    return run


def played(env: gym.Env) -> Callable[[], int]:
    """One random step of a Gymnasium environment."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(200)]

    def run() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return run


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="main cases, short windows")
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--domain", default="video")
    chosen = parser.parse_args()
    window = 0.2 if chosen.quick else 0.5
    print(f"{'case':<26}{'user-steps/s':>14}{'x CartPole':>12}{'reset us':>10}{'bytes/user':>12}")
    rows = []
    for case in cases(chosen.quick):
        result = measure(replace(case, domain=chosen.domain), window)
        rows.append({**asdict(result), "ratio": result.ratio})
        print(
            f"{case.name:<26}{result.rate:>14,.0f}{result.ratio:>12.2f}"
            f"{result.reset:>10.1f}{result.memory:>12,.0f}",
            flush=True,
        )
    bar = yardstick(window)
    print(f"{'CartPole-v1, single':<26}{bar:>14,.0f}{1:>12.2f}")
    for name, found in peers(window):
        text = f"{found:>14,.0f}{found / bar:>12.3f}" if isinstance(found, float) else "  " + found
        print(f"{name:<26}{text}", flush=True)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
